"""Which workers of a run will soon have nothing to do: a word of each on the page of marks.

A worker reads the words of the others between two tasks, without a round trip, and talks to Redis when it can help.
Hints only: a word that is late, or left by a worker that died, costs a sync or a pause, and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .marks import Marks


class Hunger:
    """The words of the slots of one run. A word holds the run, so that no worker minds who is hungry in another."""

    def __init__(self, page: Marks, run: str, slot: int, slots: list[int]) -> None:
        self._word = int.from_bytes(run.encode()[:8].ljust(8, b"\0"), "little")
        self._mine = page.hunger(slot)
        self._others = [page.hunger(other) for other in slots if other != slot]

    def tell(self, hungry: bool) -> None:  # noqa: FBT001
        """Say whether this worker wants work."""
        self._mine[0] = self._word if hungry else 0

    def heard(self) -> bool:
        """Whether some other worker of this run wants work."""
        word = self._word
        for other in self._others:  # noqa: SIM110  between tasks that take microseconds: a generator is twice as slow
            if other[0] == word:
                return True
        return False
