"""The page of marks: one writer per line, and a reader in another process."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dagnb.runtime.hunger import Hunger
from dagnb.runtime.marks import LINE, NONE, SLOTS, Mark, Marks


@given(
    st.integers(0, SLOTS - 1),
    st.one_of(st.just(NONE), st.integers(0, NONE)),
    st.text("0123456789abcdef", max_size=32),
    st.integers(0, 2**63),
)
def test_what_is_written_is_read_and_touches_no_other_line(tmp_path_factory, slot, task, run, start):
    file = tmp_path_factory.mktemp("marks") / "marks"
    reader = Marks(file, create=True)
    for number in range(SLOTS):
        reader.clear(number)
    line = Marks(file).line(slot)
    line[:8] = task.to_bytes(8, "little")
    line[8:40] = run.encode().ljust(32, b"\0")
    line[40:48] = start.to_bytes(8, "little")
    assert reader.read(slot) == Mark(None if task == NONE else task, run, start / 1e9)
    empty = Mark(None, "", 0.0)
    assert all(reader.read(other) == empty for other in {0, slot - 1, slot + 1, SLOTS - 1} - {slot, -1, SLOTS})
    reader.clear(slot)
    assert reader.read(slot) == empty


def test_the_page_costs_no_disk_for_slots_that_nobody_uses(tmp_path):
    Marks(tmp_path / "marks", create=True).clear(0)
    found = (tmp_path / "marks").stat()
    assert found.st_size == SLOTS * LINE
    assert found.st_blocks * 512 <= 65536
    assert found.st_mode & 0o077 == 0


def test_a_worker_hears_who_wants_work_in_its_run_and_no_other(tmp_path):
    page = Marks(tmp_path / "marks", create=True)
    for slot in range(4):
        page.clear(slot)
    mine, near, elsewhere = (
        Hunger(Marks(tmp_path / "marks"), run, slot, [0, 1, 2])
        for run, slot in (("a" * 16, 0), ("a" * 16, 1), ("b" * 16, 2))
    )
    mine.tell(True)
    elsewhere.tell(True)
    assert not mine.heard()  # not its own word, not that of another run
    assert near.heard()
    near.tell(True)
    assert mine.heard()
    page.clear(1)  # its worker has died
    assert not mine.heard()
    assert page.read(0).task is None
