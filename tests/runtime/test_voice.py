"""The log of a worker: everything of little, the beginning and the end of much."""

from __future__ import annotations

import os

import pytest

from dagnb.runtime.voice import LIMIT, STAYS, Voice


def said(voice, data):
    """Say it and hear it, piece by piece, as the supervisor does."""
    for i in range(0, len(data), 1 << 16):
        os.write(voice.writing, data[i : i + (1 << 16)])
        voice.hear()


@pytest.fixture
def voice(tmp_path):
    return Voice(tmp_path / "log")


def test_what_is_little_is_kept_whole(voice, tmp_path):
    said(voice, b"one\n")
    said(voice, b"two\n")
    voice.end()
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_of_much_the_middle_is_left_out_and_counted(voice, tmp_path):
    lines = b"".join(b"%09d\n" % i for i in range(5 * LIMIT // 10))
    said(voice, lines)
    voice.end()
    found = (tmp_path / "log").read_bytes()
    assert len(found) <= LIMIT
    assert found.startswith(lines[:STAYS])
    assert found.endswith(lines[-STAYS:])
    lost = int(found.split(b"(... ", 1)[1].split()[0])
    marks = found.count(b"left out")
    assert marks == 1
    assert len(found) - len(b"\n(... %d bytes left out ...)\n" % lost) + lost == len(lines)


def test_the_rest_is_heard_at_the_end_and_a_descriptor_is_not_left(voice, tmp_path):
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()  # noqa: PTH112, PTH208
    writer = os.dup(voice.writing)
    voice.started()
    os.write(writer, b"last words")
    os.close(writer)
    voice.end()
    assert (tmp_path / "log").read_bytes() == b"last words"
    voice.hear()  # nobody is there any more: harmless
    if before:
        assert len(set(os.listdir("/proc/self/fd"))) == len(before) - 3  # noqa: PTH208
