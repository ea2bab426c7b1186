"""What a worker process says outside Python, in a log of bounded size: its beginning and its end.

C libraries, child processes and a dying interpreter write to the descriptors 1 and 2. A file in their place would let
one task fill the disk on which Redis keeps what it remembers, so that the supervisor reads a pipe.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes of a log from which its middle is left out, and of the beginning and the end that stay.
LIMIT, STAYS = 1 << 20, 1 << 16
#: Bytes that the pipe holds where the system allows it, and that are read in one turn.
PIPE = 1 << 20


class Voice:
    """The pipe of one worker and its log.

    reading    descriptor to poll; -1 once everybody who could write has ended
    writing    what the worker gets as stdout and stderr; closed here once it was started
    """

    def __init__(self, file: Path) -> None:
        self.file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        with suppress(OSError, AttributeError):  # others may have used up what one user may have
            fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, PIPE)
        self.size = 0
        self.lost, self.note = 0, b""

    def started(self) -> None:
        """The worker has its end: ours goes, so that its death is heard."""
        os.close(self.writing)
        self.writing = -1

    def hear(self) -> None:
        """Take what there is, one pipe full at most."""
        if self.reading < 0:
            return
        try:
            data = os.read(self.reading, PIPE)
        except BlockingIOError:
            return
        if not data:
            os.close(self.reading)
            self.reading = -1
            return
        with suppress(OSError):  # a full disk takes nothing of it, and must not end us
            self.size += os.write(self.file, data)
            if self.size > LIMIT:
                self._shorten()

    def _shorten(self) -> None:
        """Leave the middle out; the file is open for appending, so that what follows comes behind the end."""
        head, end = os.pread(self.file, STAYS, 0), os.pread(self.file, STAYS, self.size - STAYS)
        self.lost += self.size - len(head) - len(self.note) - len(end)
        self.note = b"\n(... %d bytes left out ...)\n" % self.lost
        os.ftruncate(self.file, 0)
        self.size = os.write(self.file, head + self.note + end)

    def end(self) -> None:
        """The worker has ended: hear the rest, close."""
        if self.writing >= 0:
            self.started()
        self.hear()
        if self.reading >= 0:
            os.close(self.reading)
            self.reading = -1
        os.close(self.file)
