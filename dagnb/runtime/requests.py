"""What kernels ask of the supervisor, and how: signed JSON on a Redis list, the answer on a list of its own.

    ensure {context, workers, sizes, reply} → {"slots": [int]}  workers that are up; elastic ones may come later.
                                                                `sizes`: `Resources` of each, where any has limits
    cancel {run, grace}                       interrupt what runs of it, kill after `grace` seconds
    deadlines {}                              a worker has come to a run with timeouts (`dagnb.runtime.deadlines`)
    status {reply}                          → see `Supervisor.status`
    stop {reply}                            → {}                end workers, Redis and supervisor

An empty request asks for nothing: it makes the supervisor listen anew (`dagnb.runtime.ear`).
Every request may be repeated: a kernel asks again when Redis or the supervisor was restarted in between.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import hiredis

from dagnb import errors
from dagnb.errors import StoreError, StoreUnreachableError
from dagnb.runtime.serialize import seal, unseal
from dagnb.runtime.wire import LOST, PAUSE, Wire

#: The list on which the supervisor listens, and the purposes that signatures cover.
LIST = "dagnb:supervisor"
ASK, ANSWER = b"supervisor request", b"supervisor answer"

#: Seconds an answer waits to be fetched.
KEPT = 60

#: Scripts that ask, and that answer. They begin with DEL, because who has begun to write is not refused: runs can be
#: cancelled, and the pool be stopped, also when memory is full.
_SAY = "redis.call('DEL', KEYS[2]) return redis.call('RPUSH', KEYS[1], ARGV[1])"
_ANSWER = f"redis.call('DEL', KEYS[1]) redis.call('RPUSH', KEYS[1], ARGV[1]) redis.call('EXPIRE', KEYS[1], {KEPT})"

#: Seconds after which a request is sent again: it may have been lost with Redis.
REPEAT = 5.0


def pack_request(secret: bytes, verb: str, fields: dict[str, Any]) -> bytes:
    """A request as it lies on the list."""
    return seal(secret, ASK, json.dumps([verb, fields]).encode())


def unpack_request(secret: bytes, data: bytes) -> tuple[str, dict[str, Any]]:
    """The verb and its fields. Raises SignatureError, or ValueError for what is no request."""
    found = json.loads(bytes(unseal(secret, ASK, data)))
    match found:
        case [str(verb), dict(fields)]:
            return verb, fields
    msg = "not a request"
    raise ValueError(msg)


def pack_answer(secret: bytes, fields: dict[str, Any]) -> bytes:
    """An answer as it lies on its list; a failure is {"error": class, "text": message}."""
    return seal(secret, ANSWER, json.dumps(fields).encode())


def send(wire: Wire, secret: bytes, verb: str, **fields: Any) -> None:
    """Ask for something that has no answer."""
    wire.call("EVAL", _SAY, 2, LIST, "dagnb:answer:", pack_request(secret, verb, fields))


def answer(wire: Wire, secret: bytes, reply: str, fields: dict[str, Any]) -> None:
    """Say what a kernel waits for on its list."""
    wire.call("EVAL", _ANSWER, 1, reply, pack_answer(secret, fields))


def ask(wire: Wire, secret: bytes, verb: str, patience: float = 30.0, **fields: Any) -> dict[str, Any]:
    """Ask and wait for the answer.

    Raises what the supervisor answered with, or StoreUnreachableError without an answer within `patience` seconds.
    """
    reply = f"dagnb:answer:{os.urandom(8).hex()}"
    request = pack_request(secret, verb, fields | {"reply": reply})
    end = time.monotonic() + patience
    again, refused = 0.0, ""
    while time.monotonic() < end:
        try:
            if time.monotonic() >= again:
                wire.call("EVAL", _SAY, 2, LIST, reply, request)
                again = time.monotonic() + REPEAT
            wire.send([("BLPOP", reply, 1)])
            found = wire.read()
        except LOST:  # the request may have gone with Redis: a new connection sends it first, and waits then
            wire.close()
            again = 0.0
            continue
        except hiredis.ReplyError as error:  # memory or disk are full
            again, refused = 0.0, f"\n  Redis refused: {error}"
            time.sleep(PAUSE)
            continue
        if found:
            return _opened(secret, found[1])
    msg = f"the supervisor has not answered ({verb}) within {patience:.0f} s\n  {wire.path}{refused}"
    msg += "\n  `%dag doctor` tells what is wrong."
    raise StoreUnreachableError(msg)


def _opened(secret: bytes, data: bytes) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(bytes(unseal(secret, ANSWER, data)))
    if "error" in said:
        raise failure(said["error"], said["text"])
    return said


def failure(kind: str, text: str) -> StoreError:
    """The error that a process of ours reported, in its own class."""
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, StoreError):
        return found(text)
    return StoreUnreachableError(text)
