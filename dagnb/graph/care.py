"""What is done when a call fails or takes too long: `@task(retries=3, retry_delay="1s", retry_on=OSError, timeout=30)`.

It travels with the function, in one pickle, so that the classes in `retry_on` are those that the function raises.
Workers read this file too: nothing heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Tries of one task at most: an event has one byte for the number.
MOST = 255
#: Seconds that a pause grows to at most, unless the first one is longer.
LONGEST = 300.0
#: By this part a pause is shorter or longer, so that tasks that failed together do not come back together.
JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Care:
    """How often a call is made again, after how long, and how long it may take.

    retries  further tries after the first
    delay    seconds before the second try; doubled each time, up to LONGEST
    on       classes of exceptions after which there is another try
    timeout  seconds that one try may take, once its inputs are there; None: any
    """

    retries: int = 0
    delay: float = 1.0
    on: tuple[type[BaseException], ...] = (Exception,)
    timeout: float | None = None

    @property
    def tries(self) -> int:
        """How often the call is made at most."""
        return self.retries + 1

    def again(self, error: BaseException, tried: int) -> bool:
        """Whether there is another try after this failure, the how-manieth it was."""
        return tried <= self.retries and isinstance(error, self.on)

    def pause(self, tried: int, seed: str) -> float:
        """Seconds from a failure to the next try. The same for the same seed: of a run, a task and a try."""
        import random

        grown = self.delay * 2.0 ** min(tried - 1, 64)
        most = max(self.delay, LONGEST)
        return min(grown, most) * (1 + JITTER * (2 * random.Random(seed).random() - 1))


def with_care(_care: Care, fn: Callable[..., Any], /, *args: Any, **words: Any) -> Any:
    """Call `fn` as it is: workers take both apart."""
    return fn(*args, **words)


def careful(care: Care, fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` as workers get it; itself where nothing is asked."""
    return partial(with_care, care, fn) if care.retries or care.timeout is not None else fn


def care_of(fn: Any) -> Care | None:
    """What was asked for a function that workers get."""
    care: Care | None = fn.args[0] if isinstance(fn, partial) and fn.func is with_care else None
    return care


def bare(fn: Any) -> Any:
    """The same function without that."""
    return fn if care_of(fn) is None else fn.args[1]
