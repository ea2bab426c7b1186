"""A worker's numbered conversation with Redis: one request outstanding, sent again as the same bytes after any loss.

The script answers a repeated number from its memory, so that nothing happens twice. A worker that was declared dead
(its epoch is gone), or whose acknowledged requests Redis has lost, leaves at once; its slot is recovered.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

import hiredis

from .wire import LOST, PAUSE, SHORTEST, Wire, Word, pack, passes

#: Exit codes: declared dead while alive; Redis has gone back in time. Neither is the running task's fault.
FENCED, GAP = 17, 18
_LEAVES = {b"F": FENCED, b"G": GAP}


class Conversation:
    """`send` then `read`, in turn."""

    def __init__(self, wire: Wire, script: str, epoch: int) -> None:
        self.wire = wire
        self.script = script
        self.epoch = epoch
        self.number = 0
        self.request = b""
        self.digest = b""
        self.load()

    def load(self) -> None:
        """Give the script to a server that does not know it."""
        self.digest = self.wire.call("SCRIPT", "LOAD", self.script)

    def send(self, keys: tuple[str, str], head: tuple[Word, ...], tail: list[Word]) -> None:
        """Send a sync: slot, epoch and number come first in ARGV."""
        self.number += 1
        words = ("EVALSHA", self.digest, 2, *keys, head[0], self.epoch, self.number, *head[1:], *tail)
        self.request = pack(words)
        with suppress(OSError):  # `read` finds out and sends again
            self.wire.socket.sendall(self.request)

    def read(self) -> list[Any]:
        """The answer to what was sent. Leaves the process when the answer says so.

        Raises hiredis.ReplyError when Redis refuses.
        """
        while True:
            try:
                answer: list[Any] = self.wire.read()
            except hiredis.ReplyError as error:
                self._mend(str(error))
            except LOST:
                self._again()
            else:
                if answer[0] in _LEAVES:
                    os._exit(_LEAVES[answer[0]])
                return answer

    def _mend(self, text: str) -> None:
        if "NOSCRIPT" in text:
            self.load()
        elif passes(text):
            time.sleep(PAUSE)  # full or starting: the request has changed nothing and waits
        else:
            raise hiredis.ReplyError(text)
        self._resend()

    def _again(self) -> None:
        self.wire.close()
        self.wire.connect()
        self.load()
        self._resend()

    def _resend(self) -> None:
        try:
            self.wire.socket.sendall(self.request)
        except OSError:
            time.sleep(0.01)

    def listen(self, inbox: str, patience: float) -> bytes | None:
        """The next word in the inbox, or None after `patience` seconds; a lost word is healed by asking again."""
        try:
            self.wire.send([("BLPOP", inbox, max(patience, SHORTEST))])
            answer = self.wire.read()
        except hiredis.ReplyError:  # its disk is full
            time.sleep(PAUSE)
            return None
        except LOST:
            self.wire.close()
            self.wire.connect()
            return None
        word: bytes | None = answer[1] if answer else None
        return word
