"""Functions on their way to the workers: each is stored once under its hash, several new ones in one compressed piece.

Functions of one notebook are alike for the most part (the frame of a pickle, names, line tables): ten of them together
take the room of one. A *bundle* is a compressed pickle of hash → pickled function, signed as one; under the hash of
each of its functions stands its name. That is not signed: what it leads to is, and must hold the function.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING

from dagnb.errors import SignatureError

from .keys import FUNCTION
from .serialize import dumps, loads, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .wire import Wire, Word

#: How the name of a bundle begins. What is sealed is longer than a name, because no pickle is a single byte.
MARK = b"@"
#: Characters of the name of a bundle, with the mark.
NAME = 33
#: Bytes of functions above which they are not put together: large ones have little in common.
LARGEST = 1 << 20
#: Level of compression: what functions have in common is found by the quickest, too.
LEVEL = 1


def stored(secret: bytes, functions: Mapping[str, bytes]) -> dict[str, Word]:
    """Key → what is to be stored there, for functions that the store does not have yet."""
    if len(functions) < 2 or sum(map(len, functions.values())) > LARGEST:
        return {FUNCTION + digest: seal(secret, _purpose(digest), data) for digest, data in functions.items()}
    name = MARK + hashlib.sha256("".join(functions).encode()).hexdigest()[: NAME - 1].encode()
    bundle = zlib.compress(dumps(dict(functions)), LEVEL)
    found: dict[str, Word] = {FUNCTION + name.decode(): seal(secret, _purpose(name.decode()), bundle)}
    return found | dict.fromkeys((FUNCTION + digest for digest in functions), name)


def fetched(wire: Wire, secret: bytes, digests: Sequence[str]) -> dict[str, bytes | SignatureError | None]:
    """Hash → pickled function; None for one that is not there, the error for one that is not signed."""
    said = wire.call("MGET", *(FUNCTION + digest for digest in digests)) if digests else []
    names = list(dict.fromkeys(data for data in said if _names_bundle(data)))
    bundles = wire.call("MGET", *(FUNCTION + name.decode() for name in names)) if names else []
    held = {name: _opened(secret, name, data) for name, data in zip(names, bundles, strict=True)}
    found: dict[str, bytes | SignatureError | None] = {}
    for digest, data in zip(digests, said, strict=True):
        if not _names_bundle(data):
            found[digest] = None if data is None else _unsealed(secret, digest, data)
            continue
        inside = held[data]
        found[digest] = inside.get(digest) if isinstance(inside, dict) else inside
    return found


def _purpose(name: str) -> bytes:
    return f"fn:{name}".encode()


def _names_bundle(data: bytes | None) -> bool:
    return data is not None and len(data) == NAME and data[:1] == MARK


def _unsealed(secret: bytes, name: str, data: bytes) -> bytes | SignatureError:
    try:
        return bytes(unseal(secret, _purpose(name), data))
    except SignatureError as error:
        return error


def _opened(secret: bytes, name: bytes, data: bytes | None) -> dict[str, bytes] | SignatureError | None:
    """The functions of a bundle."""
    content = None if data is None else _unsealed(secret, name.decode(), data)
    if not isinstance(content, bytes):
        return content
    functions: dict[str, bytes] = loads(zlib.decompress(content))
    return functions
