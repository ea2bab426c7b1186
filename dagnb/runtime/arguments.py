"""Large arguments lie in Redis once by their content, whatever the number of calls and of runs that have them.

Whoever submits a run asks for each argument by its hash, and sends what is not there. A run that lives holds what it
needs (`uses`); what no run holds any more stays for `SPARE` seconds, for the next run of the same graph (`ended.lua`).
One of more than `SMALL` bytes stays for less, in proportion: a notebook that tries one large table after the other
shall not fill Redis.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from .keys import ARGUMENT, USES
from .serialize import dumps, loads, seal, unseal
from .values import INLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .wire import Word

#: Seconds that an argument of up to so many bytes stays which no live run needs; the same stands in `ended.lua`.
SPARE, SMALL = 600, 1 << 24


def taken_out(constants: list[Any]) -> tuple[dict[int, str], dict[str, bytes]]:
    """Replace large constants by None: (position → hash of the content, hash → bytes)."""
    if {str, bytes}.isdisjoint(map(type, constants)):
        return {}, {}
    places: dict[int, str] = {}
    known: dict[int, str] = {}  # by identity: a frozen object of many calls is one
    found: dict[str, bytes] = {}
    for at, constant in enumerate(constants):
        if type(constant) in (str, bytes) and len(constant) > INLINE:
            digest = known.get(id(constant))
            if digest is None:
                data = dumps(constant)
                digest = known[id(constant)] = blake2b(data, digest_size=20).hexdigest()
                found[digest] = data
            places[at] = digest
    for at in places:  # now, not before: while all are alive no two have one identity
        constants[at] = None
    return places, found


def send(call: Callable[..., Any], secret: bytes, arguments: Mapping[str, bytes]) -> None:
    """Store what is not there yet. What is there stays for long enough to be held."""
    for digest, data in arguments.items():
        if not call("EXPIRE", ARGUMENT + digest, SPARE):
            call("SET", ARGUMENT + digest, seal(secret, f"arg:{digest}".encode(), data), "EX", SPARE)


def held(run: str, prefix: str, arguments: Mapping[str, bytes]) -> list[tuple[Word, ...]]:
    """The commands by which a run holds its arguments; part of its submission, and harmless when repeated."""
    if not arguments:
        return []
    each = [(("SADD", USES + digest, run), ("PERSIST", ARGUMENT + digest)) for digest in arguments]
    return [("SADD", prefix + "args", *arguments), *(command for pair in each for command in pair)]


def fetched(call: Callable[..., Any], secret: bytes, digests: Sequence[str]) -> dict[str, Any]:
    """The constants by hash. Raises SignatureError, and RuntimeError for one that is not there."""
    found: dict[str, Any] = {}
    for digest in digests:
        data = call("GET", ARGUMENT + digest)
        if data is None:
            msg = "a large argument is gone from Redis: run the DAG again"
            raise RuntimeError(msg)
        found[digest] = loads(unseal(secret, f"arg:{digest}".encode(), data))
    return found
