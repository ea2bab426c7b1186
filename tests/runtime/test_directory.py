"""The runtime directory: what is refused, and that locks mean what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dagnb.errors import RuntimeDirError
from dagnb.runtime.directory import LONGEST_SOCKET, RuntimeDir, is_taken, take
from tests.runtime.life import private_directory, until


def test_it_is_made_private(tmp_path):
    with private_directory() as directory:
        directory.prepare()
        assert directory.path.stat().st_mode & 0o777 == 0o700
        directory.path.chmod(0o755)
        directory.prepare()
        assert directory.path.stat().st_mode & 0o777 == 0o700


def test_a_path_too_long_for_a_socket_is_refused_and_nothing_is_made():
    path = Path("/tmp") / ("x" * LONGEST_SOCKET)
    with pytest.raises(RuntimeDirError, match="too long") as caught:
        RuntimeDir(path).prepare()
    assert "DAGNB_RUNTIME_DIR" in str(caught.value)
    assert str(path) in str(caught.value)
    assert not path.exists()


def test_a_link_or_a_file_in_its_place_is_refused(tmp_path):
    with private_directory() as directory:
        directory.path.symlink_to(tmp_path)
        with pytest.raises(RuntimeDirError, match="link"):
            directory.prepare()
        directory.path.unlink()
        directory.path.write_text("")
        with pytest.raises(RuntimeDirError, match="file"):
            directory.prepare()


def test_one_that_cannot_be_written_is_refused():
    with pytest.raises(RuntimeDirError, match="cannot be used"):
        RuntimeDir("/proc/dagnb").prepare()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_one_of_another_user_is_refused():
    with private_directory() as directory:
        directory.path.mkdir()
        os.chown(directory.path, 12345, 12345)
        with pytest.raises(RuntimeDirError, match="another user"):
            directory.prepare()


def test_the_secret_is_made_once_and_for_us_alone():
    with private_directory() as directory:
        directory.prepare()
        first = directory.make_secret()
        assert len(first) == 32
        assert directory.make_secret() == first == directory.secret()
        assert directory.secret_file.stat().st_mode & 0o777 == 0o600
        directory.secret_file.write_bytes(b"short")
        assert len(directory.make_secret()) == 32


def test_a_lock_lives_as_long_as_its_process():
    code = (
        "import sys, time; from pathlib import Path; from dagnb.runtime.directory import take\n"
        "take(Path(sys.argv[1])); time.sleep(60)"
    )
    with private_directory() as directory:
        directory.prepare()
        holder = subprocess.Popen([sys.executable, "-c", code, str(directory.lock)])
        until(lambda: is_taken(directory.lock))
        assert take(directory.lock, patience=0.05) is None
        holder.kill()
        holder.wait()
        assert not is_taken(directory.lock)
        assert take(directory.lock, patience=0.0) is not None


def test_a_lock_on_a_removed_file_is_no_lock():
    with private_directory() as directory:
        directory.prepare()
        first = take(directory.lock)
        directory.lock.unlink()
        second = take(directory.lock, patience=0.0)
        assert first is not None
        assert second is not None
        os.close(first)
        assert is_taken(directory.lock)
        os.close(second)


def test_clear_leaves_nothing():
    with private_directory() as directory:
        directory.prepare()
        for name in ("lock", "door", "r.sock", "marks", "odd"):
            (directory.path / name).touch()
        (directory.path / "appendonlydir").mkdir()
        (directory.path / "appendonlydir" / "x").touch()
        directory.clear()
        assert list(directory.path.iterdir()) == []
