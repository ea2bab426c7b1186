"""How a status looks: colour, shape and word, the same in the SVG and on the canvas (js/theme.ts, js/glyphs.ts).

Status is never told by colour alone, and the colours are ones that colour-blind readers tell apart (Okabe & Ito 2008).
Kinds of task have colours of their own, which are not those of any status.
"""

from __future__ import annotations

from dataclasses import dataclass

from dagnb.trace.events import TaskState

FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"

#: The states in the order in which they are listed for a reader: what matters most first.
BY_WEIGHT = (
    TaskState.FAILED, TaskState.RUNNING, TaskState.SKIPPED, TaskState.CANCELLED,
    TaskState.DONE, TaskState.CACHED, TaskState.READY, TaskState.WAITING,
)  # fmt: skip

#: The mark inside the disk of each state, as an SVG path around (0, 0) in a box of 12 pixels.
MARKS = {
    TaskState.WAITING: "",
    TaskState.READY: "M-1.2,0a1.2,1.2 0 1 0 2.4,0a1.2,1.2 0 1 0-2.4,0",
    TaskState.RUNNING: "M-1.7-2.7L2.9,0L-1.7,2.7Z",
    TaskState.DONE: "M-2.9,.2L-.9,2.3L3-2.2",
    TaskState.FAILED: "M-2.3-2.3L2.3,2.3M-2.3,2.3L2.3-2.3",
    TaskState.SKIPPED: "M-2.7,0H2.7",
    TaskState.CANCELLED: "M-1.9-1.9H1.9V1.9H-1.9Z",
    TaskState.CACHED: "M-2.6-1.4H2.6M-2.6,1.4H2.6",
}

#: Drawn as a ring and not as a disk.
HOLLOW = (TaskState.WAITING, TaskState.READY)


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a page. `strong` (glyph) and `soft` (card) are by state; `kinds` are taken in turn."""

    page: str
    card: str
    border: str
    text: str
    quiet: str
    edge: str
    ribbon: str
    stripe: str
    critical: str
    on_strong: str
    strong: tuple[str, ...]
    soft: tuple[str, ...]
    kinds: tuple[str, ...]

    def kind(self, kind: int) -> str:
        """The colour of a kind; grey for "several" (-1)."""
        return self.kinds[kind % len(self.kinds)] if kind >= 0 else self.edge

    @staticmethod
    def ink(colour: str) -> str:
        """Black or white, whichever is read better on `colour` (contrast as WCAG 2 measures it)."""
        parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        return "#10141a" if (light + 0.05) ** 2 > 1.05 * 0.057 else "#ffffff"


LIGHT = Theme(
    page="#ffffff",
    card="#ffffff",
    border="#c9d1da",
    text="#1f2733",
    quiet="#5b6675",
    edge="#a3aebb",
    ribbon="#c6ced8",
    stripe="#f5f7f9",
    critical="#1f2733",
    on_strong="#ffffff",
    strong=("#7d8896", "#5b6675", "#0067a8", "#009e73", "#d55e00", "#515c6b", "#6b5a8e", "#c470a0"),
    soft=("#ffffff", "#ffffff", "#e0eff9", "#effaf5", "#fdebdd", "#eef0f3", "#f2eff8", "#fbf1f7"),
    kinds=("#4477aa", "#c9a227", "#aa3377", "#228833", "#66a9c9", "#9c6b3f", "#8a8fb8", "#7f7f7f"),
)

DARK = Theme(
    page="#15191f",
    card="#1e242c",
    border="#3b4552",
    text="#e6eaf0",
    quiet="#9aa6b5",
    edge="#586474",
    ribbon="#3d4754",
    stripe="#191e25",
    critical="#e6eaf0",
    on_strong="#10141a",
    strong=("#8b97a6", "#aab5c3", "#3d9be0", "#2fc79a", "#ff8a3d", "#b4bfcc", "#b39ddb", "#cc79a7"),
    soft=("#1e242c", "#1e242c", "#15304a", "#18302b", "#46270f", "#2b323b", "#2b2540", "#33212c"),
    kinds=("#77aadd", "#ddcc77", "#dd88bb", "#66bb77", "#99ddee", "#cc9966", "#aaaedd", "#aaaaaa"),
)

THEMES = {"light": LIGHT, "dark": DARK}
