"""Where workers come from: the pool of this machine, run by the detached supervisor."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from dagnb.errors import OptionError, StoreError
from dagnb.planning.cluster import Cluster
from dagnb.runtime import requests
from dagnb.runtime.attach import Attachment, ensure_supervisor
from dagnb.runtime.context import Context
from dagnb.runtime.directory import is_taken
from dagnb.runtime.resources import PLAIN, Resources, resources_of
from dagnb.runtime.wire import LOST, Wire
from dagnb.settings import Settings

if TYPE_CHECKING:
    from dagnb.runtime.status import PoolStatus

#: Seconds to wait for workers: longer than five failed starts with their pauses.
PATIENCE = 30.0
#: Seconds after a cancel in which a worker may still be held by the task that it was at.
HELD = 2.0


class WorkerPool(Protocol):
    """Workers that can run tasks, wherever they are."""

    @property
    def cluster(self) -> Cluster:
        """What a plan may use."""
        ...

    def start(self) -> None:
        """Have the workers up."""
        ...

    def stop(self) -> None:
        """End them."""
        ...


def _here() -> Context:
    try:
        return Context.here()
    except FileNotFoundError:
        msg = "the working directory of this kernel was removed\n  Workers run where the notebook runs: os.chdir first."
        raise StoreError(msg) from None


def _surroundings() -> object:
    """What a context is read from, as it is: to compare it takes microseconds, to read it a tenth of a run."""
    try:
        cwd = os.getcwd()  # noqa: PTH109  hot path
    except FileNotFoundError:
        cwd = ""
    return cwd, tuple(sys.path), dict(getattr(os.environ, "_data", os.environ))


def _sizes(workers: int | Cluster) -> tuple[Resources, ...]:
    """What each worker may use. Raises OptionError."""
    if isinstance(workers, Cluster):
        return resources_of(workers)
    if type(workers) is not int or workers < 1:
        msg = f"the number of workers must be a whole number above zero, not {workers!r}\n  give workers=1 or more"
        raise OptionError(msg)
    return (PLAIN,) * workers


class LocalPool:
    """The workers of this machine that belong to the context of this kernel. Safe to use from any thread.

    `ensure` on the warm path costs no round trip: it compares the context and looks whether the supervisor lives.
    """

    def __init__(self, settings: Settings, attachment: Attachment) -> None:
        self.settings = settings
        self.attachment = attachment
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._context: Context | None = None
        self._seen: object = None  # what the context was read from
        self._sizes: tuple[Resources, ...] = ()
        self._slots: tuple[int, ...] = ()
        self._cancelled = float("-inf")

    @classmethod
    def connect(cls, settings: Settings | None = None) -> LocalPool:
        """Attach to the supervisor, starting it where needed. Raises StoreError and its children, or OptionError."""
        settings = settings or Settings.load()
        return cls(settings, ensure_supervisor(settings))

    @property
    def cluster(self) -> Cluster:
        """As many equal workers as the setting says."""
        return Cluster.local(self.settings.workers)

    @property
    def path(self) -> str:
        """The socket of the store."""
        return self._attached().path

    @property
    def secret(self) -> bytes:
        """The key that signs payloads."""
        return self._attached().secret

    @property
    def directory(self) -> str:
        """The runtime directory."""
        return str(self._attached().directory.path)

    def wire(self, *, anew: bool = True) -> Wire:
        """A new connection to the store, in this kernel's name. `anew` as in `ensure_supervisor`."""
        with self._lock:
            return self._attached(anew=anew).open()

    def stays(self) -> None:
        """Raises StoreUnreachableError when the background processes were stopped; what was killed is started again."""
        self._attached(anew=False)

    def start(self) -> None:
        """Have as many workers up as the setting says."""
        self.ensure(self.settings.workers)

    def ensure(self, workers: int | Cluster) -> tuple[int, ...]:
        """The slots of these workers of this kernel's context, in their order.

        A number stands for so many equal workers without limits. Those of a cluster have its sizes, enforced where it
        says so (`Cluster.limits`). All are up on return, but the elastic ones: the supervisor starts them when there is
        work for them, or when the run says so in what it is submitted with: `about["prewarm"]` is a list of [position,
        seconds after submission].

        Raises OptionError for a number below one and for workers that this machine cannot have, StoreError when workers
        do not start, with what they said.
        """
        sizes = _sizes(workers)
        with self._lock:
            attached = self._attached()
            seen = _surroundings()
            if self._context is None or seen != self._seen or sizes != self._sizes[: len(sizes)]:
                context = _here()
            else:
                context = self._context
            if context != self._context or sizes != self._sizes[: len(sizes)]:
                fields = {"context": context.to_json(), "workers": len(sizes), "kernel": attached.kernel}
                if any(size != PLAIN for size in sizes):
                    fields["sizes"] = [size.to_dict() for size in sizes]
                self._slots = tuple(self._ask("ensure", **fields)["slots"])
                self._context, self._sizes = context, sizes
            self._seen = seen
            return self._slots[: len(sizes)]

    def cancel(self, run: str, grace: float = 1.0) -> None:
        """Interrupt the running tasks of a run; kill, after `grace` seconds, the workers that are still in it."""
        with self._lock:
            attached = self._attached()
            self._cancelled = time.monotonic()
            requests.send(attached.wire, attached.secret, "cancel", run=run, grace=grace)

    @property
    def held(self) -> bool:
        """Whether a worker may be at a task that was cancelled: a run had better not begin with it alone."""
        return time.monotonic() - self._cancelled < HELD

    def status(self) -> PoolStatus:
        """What runs in the background, now. Raises StoreUnreachableError."""
        from dagnb.runtime.status import PoolStatus

        return PoolStatus.from_dict(self._ask("status"))

    def stop(self) -> None:
        """End workers, Redis and supervisor, for every kernel of this user; live runs are lost. Waits for it."""
        with self._lock:
            directory = self.attachment.directory
            with suppress(StoreError):
                if is_taken(directory.lock):  # perhaps a successor of the one that we know
                    self._ask("stop")
            self.close()
            end = time.monotonic() + PATIENCE
            while is_taken(directory.lock) and time.monotonic() < end:
                time.sleep(0.005)
            directory.sweep()

    @contextmanager
    def unstopped(self) -> Iterator[bool]:
        """Whether the background processes that this kernel knows live; nobody here stops them in the block."""
        with self._lock:
            yield self._pid == os.getpid() and self.attachment.alive()

    def close(self) -> None:
        """Detach this kernel; runs go on."""
        with self._lock:
            self._context, self._sizes, self._slots = None, (), ()
            self.attachment.close()

    def _attached(self, *, anew: bool = True) -> Attachment:
        """The living attachment; a new one after the supervisor has gone, and in a forked child."""
        with self._lock:
            if self._pid != os.getpid() or not self.attachment.alive():
                if self._pid == os.getpid():
                    self.attachment.close()
                self._pid = os.getpid()
                self._context, self._sizes, self._slots = None, (), ()
                self.attachment = ensure_supervisor(self.settings, anew=anew)
            return self.attachment

    def _ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        """One request on a connection of its own, so that an interrupt in the middle leaves nothing half read."""
        with self._lock:
            attached = self._attached()
            wire = attached.open()
        try:
            return requests.ask(wire, attached.secret, verb, PATIENCE, **fields)
        except LOST as error:
            msg = f"the connection to the store was lost ({error})\n  {attached.path}\n  Try again."
            raise StoreError(msg) from error
        finally:
            wire.close()
