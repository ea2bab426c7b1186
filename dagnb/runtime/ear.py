"""Where the supervisor listens: requests of kernels, and words for workers that are not there, on one connection."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import hiredis

from dagnb.runtime import requests
from dagnb.runtime.wire import LOST, PAUSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagnb.runtime.wire import Wire


class Ear:
    """Asks Redis for the next word; the answer is awaited outside, on `descriptor`."""

    def __init__(self, wire: Wire, calls: Wire, inboxes: Callable[[], tuple[str, ...]]) -> None:
        self.wire, self.calls, self.inboxes = wire, calls, inboxes
        #: Inboxes at which we listen in the place of workers.
        self.listening: tuple[str, ...] = ()

    @property
    def descriptor(self) -> int:
        """Readable when something has been said."""
        found: int = self.wire.socket.fileno()
        return found

    def listen(self) -> None:
        """Ask for the next word."""
        self.listening = self.inboxes()
        while True:
            try:
                self.wire.send([("BLPOP", requests.LIST, *self.listening, 0)])
            except LOST:
                self._again()
            else:
                return

    def turn(self) -> None:
        """Workers may have come or gone: an empty request makes us listen at the right inboxes."""
        inboxes = self.inboxes()
        if inboxes != self.listening:
            self.listening = inboxes
            self.calls.call("RPUSH", requests.LIST, b"")

    def heard(self) -> tuple[str, bytes]:
        """Where something was said, and what; nothing where the connection was lost. Then `listen` again."""
        try:
            key, word = self.wire.read()
        except hiredis.ReplyError:  # its disk is full
            time.sleep(PAUSE)
            return requests.LIST, b""
        except LOST:
            self._again()
            return requests.LIST, b""
        return key.decode(), word

    def _again(self) -> None:
        self.wire.close()
        self.wire.connect()
