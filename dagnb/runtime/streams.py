"""Streams: a consumer begins while its producer still runs, on another worker, and takes what that yields.

*Early is only tried.* A worker that has nothing to do asks for a consumer whose missing inputs are all streams that
have begun (`stream.lua`, take), connects to their producers and calls the function. In Redis nothing has happened:
the consumer is owned by nobody and its counter stands as it stood. The outcome waits here. When the producers have
committed, the counter falls to zero as ever, the consumer is granted to this worker (it holds its seat, as of a group
of one), and only then the outcome is committed, instead of running the task.

The invariant: an outcome counts only if each of its streams came from the attempt at the producer that was committed.
An attempt has a token; its epoch must be that of the blob in which the producer's value lies, and the attempt must not
have been void, that is made again in the same worker. Otherwise the outcome is dropped, and the task runs as any other
on the whole values. So a death on either side costs work and nothing else:

    the producer dies       its stream ends before the last frame; the consumer is unwound (`StreamLost`), and may begin
                            again when the producer does
    the consumer dies       nothing was owned; the producer knows nothing of it; the consumer runs later, not early
    both, or the run ends   the same

Nobody waits for a consumer: the producer's worker keeps what it yields until it has been read, beside its own work.
Nobody waits in a circle: who begins early listens to a task that runs. A consumer that is a generator may itself be
listened to. Deaths while a consumer is only tried are blamed on nobody.
"""

from __future__ import annotations

from heapq import heappush
from time import perf_counter_ns as now
from typing import TYPE_CHECKING, Any, NamedTuple

from dagnb.errors import PickleError

from .annotated import NOBODY, seat_of
from .failing import failed
from .fetch import blobs_of, stored
from .frames import Incoming, Outgoing, StreamLost, address
from .keys import DAGNB, run_prefix
from .outbox import ELSEWHERE
from .pieces import snapshot, whole
from .scripts import script
from .serialize import ATOMS, dumps
from .values import INLINE, Encoded, Gone, copy_of, land, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .loop import Loop


class Outcome(NamedTuple):
    """What came of a consumer that was tried early; times in ns. `output`: what it printed."""

    value: Any
    error: BaseException | None
    start: int
    end: int
    waited: int
    inputs: list[Any]
    tokens: dict[int, str]
    own: str
    output: tuple[str, str] | None


class Streams:
    """The streams of one run as one worker sees them."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        graph = loop.graph
        self.of = graph.annotated.streams
        self.followers: dict[int, list[int]] = {}
        for task, producers in self.of.items():
            loop.need[task] = ELSEWHERE
            for producer in producers:
                self.followers.setdefault(producer, []).append(task)
        self.prefix = run_prefix(loop.run_id)
        self.outcomes: dict[int, Outcome] = {}
        self.late: set[int] = set()  # consumers whose counters have just fallen
        self.given: list[Outgoing] = []  # what ended here and may still be read
        self.trying = -1  # the consumer that is tried now
        self.yielded = ""  # the token under which it is listened to itself

    def _ask(self, verb: str, *words: int | str) -> list[Any]:
        desk = self.loop.desk
        found: list[Any] = desk.shelf.wire.call(
            "EVAL", script("stream"), 2, self.prefix, DAGNB, verb, desk.slot, *words
        )
        return found

    # ---- a producer -------------------------------------------------------------------------------------------------
    def produce(self, chunks: Iterable[Any]) -> list[Any]:
        """Run a generator; whoever may begin early hears each chunk."""
        task = self.loop.desk.mark[0]
        stream = self._offer(task)
        if stream is None:
            return whole(chunks)
        try:
            value = self._yielded(chunks, stream)
        except BaseException:
            self._close(task, stream, broken=True)
            raise
        self._close(task, stream, broken=False)
        return value

    def _yielded(self, chunks: Iterable[Any], stream: Outgoing) -> list[Any]:
        """What is yielded, told to the stream as it comes.

        As long as all are atoms, what stays and what travels is one list: a hundred thousand numbers cost 10 ms.
        """
        value = stream.chunks
        for chunk in chunks:
            if type(chunk) in ATOMS:
                value.append(chunk)
                if stream.chunks is not value:
                    stream.chunks.append(chunk)
            else:
                kept, pickled = snapshot(chunk, pickled=True)
                if size_of(kept) > INLINE and self.loop.desk.holds is False:
                    self.loop.desk.hold()
                if stream.chunks is value:
                    stream.chunks = value.copy()
                value.append(kept)
                stream.chunks.append(pickled)
            if stream.waiting:
                stream.tell()
        if stream.chunks is value:
            stream.chunks = value.copy()  # the task that gets the list may do anything with it
        return value

    def _offer(self, task: int) -> Outgoing | None:
        """Say that this producer has begun, where that can help anybody: not for one that is quick."""
        loop = self.loop
        followers = self.followers.get(task)
        if not followers or (task not in (loop.outbox.announced, self.trying)):
            return None
        desk = loop.desk
        stream = Outgoing(f"{desk.slot}.{desk.talk.epoch}.{now()}")
        desk.porter().streams[stream.token] = stream
        if task == self.trying:
            self.yielded = stream.token
        self._ask("offer", task, stream.token, *self._seats(followers))
        return stream

    def _seats(self, tasks: Iterable[int]) -> list[int]:
        """The slots that they are named for, -1 for whoever is free."""
        slots, place = self.loop.slots, self.loop.graph.place
        return [NOBODY if place is None or place[task] < 0 else slots[place[task]] for task in tasks]

    def _close(self, task: int, stream: Outgoing, *, broken: bool) -> None:
        """The last chunk is out. A consumer that nobody has begun may follow here without a round trip."""
        loop = self.loop
        stream.end(broken=broken)
        followers = self.followers[task]
        taken = self._ask("close", task, stream.token, *followers)
        stream.expected = 0 if broken else sum(taken)
        if stream.expected > stream.served:
            self.given.append(stream)  # some may not have come yet
        else:
            loop.desk.porter().streams.pop(stream.token, None)
        if broken or task == self.trying:
            return
        graph = loop.graph
        for child, early in zip(followers, taken, strict=False):
            if not early and loop.have[child] == 0 and not graph.single and self._may_run_here(child):
                loop.need[child] = graph.starts[child + 1] - graph.starts[child]

    def stop(self) -> None:
        """The run is over, or left: who has not come yet to listen does without."""
        for stream in self.given:
            self.loop.desk.porter().streams.pop(stream.token, None)

    def _may_run_here(self, task: int) -> bool:
        place = self.loop.graph.place
        return place is None or place[task] in (NOBODY, self.loop.position)

    # ---- a consumer -------------------------------------------------------------------------------------------------
    def early(self) -> bool:
        """Try one consumer, if there is one; to be asked when there is nothing else to do."""
        found = self.loop.desk.shelf.wire.call("HKEYS", self.prefix + "open")
        for producer in map(int, found):
            for task in self.followers.get(producer, ()):
                if task not in self.outcomes and not self.loop.outbox.dead[task] and self._may_run_here(task):
                    tokens = self._take(task)
                    if tokens and self._begin(task, tokens):
                        return True
        return False

    def _take(self, task: int) -> dict[int, str]:
        """The tokens of the streams that the task is to listen to; none if it is not to begin now."""
        place = self.loop.graph.place
        seat = seat_of(task) if place is None or place[task] < 0 else ""
        found = self._ask("take", task, seat, *self.of[task])
        return {d: token.decode() for d, token in zip(self.of[task], found, strict=False) if token}

    def _begin(self, task: int, tokens: dict[int, str]) -> bool:
        """Connect and call; False when a producer has gone meanwhile."""
        loop = self.loop
        streams: dict[int, Incoming] = {}
        inputs: list[Any] | None = None
        try:
            for producer, token in tokens.items():
                path = address(loop.desk.directory, int(token.partition(".")[0]))
                streams[producer] = Incoming(path, loop.desk.secret, token)
            inputs = self._inputs(task, streams)
        except OSError:
            pass
        if inputs is not None:
            self.trying, self.yielded = task, ""
            loop.desk.try_out(task)
            try:
                outcome = self._call(task, inputs, streams, tokens)
            finally:
                loop.desk.try_out(None)
                self.trying = -1
            if outcome is not None:
                self.outcomes[task] = outcome
                return True
        for stream in streams.values():
            stream.close()
        self._ask("leave", task)
        return False

    def _inputs(self, task: int, streams: dict[int, Incoming]) -> list[Any] | None:
        """The inputs of a call: streams, and what is whole; None when a part is not to be had."""
        loop = self.loop
        graph = loop.graph
        needed = graph.needs(task)
        known = stored(loop, [d for d in needed if d not in streams and type(loop.values[d]) is Gone])
        found: list[Any] = []
        for d in needed:
            value = streams[d] if d in streams else known.get(d, loop.values[d])
            if d not in streams:
                value = loop.inputs.opened(value)
            if type(value) is Gone:
                return None
            if d not in streams and type(value) not in ATOMS:
                alone = graph.cstarts[d + 1] - graph.cstarts[d] == 1
                value = copy_of(value if type(value) is Encoded else Encoded(dumps(value)), alone=alone, last=False)
            found.append(value)
        return found

    def _call(
        self, task: int, inputs: list[Any], streams: dict[int, Incoming], tokens: dict[int, str]
    ) -> Outcome | None:
        """Call the function; None when a stream was lost, whatever the function made of that."""
        loop = self.loop
        desk, graph = loop.desk, loop.graph
        value, error = None, None
        start = now()
        try:
            value = land(loop.call(task, graph.function_of[task], inputs))
        except BaseException as raised:  # noqa: BLE001  whatever a task raises is its result
            error = raised
        end = now()
        output = (desk.out.take(), desk.err.take()) if desk.noise else None
        desk.noise.clear()
        for stream in streams.values():
            stream.close()
        unwound = isinstance(error, (StreamLost, PickleError))  # of the latter the ordinary way may know better
        if unwound or any(stream.lost for stream in streams.values()):
            self._void(self.yielded)
            return None
        waited = sum(stream.waited for stream in streams.values())
        return Outcome(value, error, start, end, waited, inputs, tokens, self.yielded, output)

    def _void(self, token: str) -> None:
        if token:
            self._ask("void", "-", token)

    # ---- its outcome ------------------------------------------------------------------------------------------------
    def granted(self, claimed: list[int]) -> list[int]:
        """Of tasks that were granted, those that have to be run; for the others their outcome stands."""
        if self.late:  # of their missing inputs all may have begun
            self._ask("wake", *self._seats(self.late))
            self.late.clear()
        if not self.outcomes:
            return claimed
        rest = []
        for task in claimed:
            outcome = self.outcomes.pop(task, None)
            if outcome is None:
                rest.append(task)
            elif self._counts(outcome):
                self._settle(task, outcome)
            else:
                self._void(outcome.own)
                rest.append(task)
        return rest

    def _counts(self, outcome: Outcome) -> bool:
        """Whether every stream came from the attempt that was committed."""
        wire = self.loop.desk.shelf.wire
        tokens = outcome.tokens
        names = [name.encode() for name in blobs_of(wire, self.prefix, list(tokens))]
        void = wire.call("HMGET", self.prefix + "seat", *("x" + token for token in tokens.values()))
        epochs = [token.split(".")[1].encode() for token in tokens.values()]
        return void == [None] * len(tokens) and [n.partition(b".")[0] for n in names] == epochs

    def _settle(self, task: int, outcome: Outcome) -> None:
        """What would follow from running the task now."""
        loop = self.loop
        graph, outbox = loop.graph, loop.outbox
        if outcome.output is not None:
            loop.desk.out.write(outcome.output[0])
            loop.desk.err.write(outcome.output[1])
        if outcome.error is not None:
            failed(loop, task, outcome.error, outcome.start, outcome.inputs)
            return
        value = loop.values[task] = outcome.value
        loop.record(task, value, outcome.start, outcome.start + outcome.waited, outcome.end)
        outbox.done.append(task)
        if outcome.output is not None:
            outbox.note_output(task)
        if task in graph.kept:
            outbox.keep(task, value)
        loop.release(graph.needs(task))
        for child in graph.users(task):
            count = loop.have[child] = loop.have[child] + 1
            if count == loop.need[child]:
                outbox.dirty.discard(child)
                loop.here[child] = 1
                heappush(loop.ready, graph.rank[child] if graph.rank else child)
            else:
                outbox.dirty.add(child)
