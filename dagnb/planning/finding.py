"""Finding: one thing that a run did otherwise than its plan said, in figures and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .words import more

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Finding:
    """What was off, by how much, and what to do about it.

    kind       "duration", "machine", "worker", "noise", "transfer", "start-up", "waiting", "model", "retried",
               "placement", "given up", "unexplained"; "neutral" and "unfinished" say what cannot be compared,
               "as planned" that nothing was off
    text       the finding, in a sentence
    advice     what to do about it, or empty
    seconds    of the makespan that it explains, negative for time saved; NaN where that is not known
    figures    the numbers behind the text
    subject    the kind of task, or the worker, that it speaks of
    """

    kind: str
    text: str
    advice: str = ""
    seconds: float = math.nan
    figures: Mapping[str, float] = field(default_factory=dict)
    subject: str = ""

    def __str__(self) -> str:
        effect = f" ({more(self.seconds)})" if math.isfinite(self.seconds) and abs(self.seconds) >= 0.0005 else ""
        return self.text + effect + (f"; {self.advice}" if self.advice else "")
