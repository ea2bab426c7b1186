"""Bytes that travel: signed, and pickled in a way that notebook code survives.

Whoever writes to the store could run code in the workers, so that nothing is unpickled before its signature, keyed
BLAKE2b (RFC 7693), is verified. It covers a *purpose* (kind of payload, run, name) beside the bytes: a value of one run
is refused in another. HMAC-SHA256 would take four times as long for a small payload, twice for a large one.
"""

from __future__ import annotations

import hmac
import pickle
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from dagnb.errors import PickleError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Bytes of a signature.
MAC = 32

#: Types whose values never change: shared between tasks as they are, never copied.
ATOMS = frozenset({int, float, str, bytes, bool, type(None), complex})


def seal(secret: bytes, purpose: bytes, data: bytes) -> bytes:
    """`data` behind its signature over (purpose, data)."""
    return signature(secret, purpose, data) + data


def unseal(secret: bytes, purpose: bytes, data: bytes | memoryview) -> memoryview:
    """What was sealed, without a copy. Raises SignatureError when this secret did not seal it for this purpose."""
    view = memoryview(data)
    if len(view) < MAC or not hmac.compare_digest(view[:MAC], signature(secret, purpose, view[MAC:])):
        msg = (
            f"a payload ({purpose.decode(errors='replace')}) is not signed with this user's secret, and not opened.\n"
            "  Somebody else wrote to this Redis, or its runtime directory was replaced: run it again."
        )
        raise SignatureError(msg)
    return view[MAC:]


def signature(secret: bytes, purpose: bytes, data: bytes | bytearray | memoryview) -> bytes:
    """What proves that a holder of the secret made these bytes for this purpose."""
    digest = blake2b(b"%d:%b" % (len(purpose), purpose), key=secret, digest_size=MAC)
    digest.update(data)  # no copy of a large payload
    return digest.digest()


def dumps(value: Any, beside: Beside | None = None) -> bytes:
    """Pickle, by value where the receiver could not import it: what a notebook defines lives in `__main__`.

    `beside` takes large buffers out of the pickle. Raises PickleError, which names the part that cannot travel, and
    MemoryError where there is no room for the bytes.
    """
    try:
        data = pickle.dumps(value, 5, buffer_callback=beside)
        if b"__main__" not in data:
            return data
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001, S110  whatever a user's __reduce__ raises, cloudpickle gets its try
        pass
    if beside is not None:
        beside.buffers.clear()
    try:
        import cloudpickle

        by_value: bytes = cloudpickle.dumps(value, 5, buffer_callback=beside)
    except MemoryError:
        raise  # nothing is wrong with the value, and to say where it is large there is no room
    except Exception as error:
        raise PickleError(_refusal(value, error)) from error
    return by_value


class Beside:
    """Takes buffers of more than `least` bytes out of a pickle, without a copy; `loads` wants them in this order."""

    __slots__ = ("buffers", "least")

    def __init__(self, least: int) -> None:
        self.buffers: list[memoryview] = []
        self.least = least

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        """Whether the buffer stays in the pickle."""
        try:
            raw = buffer.raw()
        except BufferError:  # in neither order contiguous
            return True
        if raw.nbytes > self.least:
            self.buffers.append(raw)
            return False
        return True


def loads(data: bytes | memoryview, buffers: Sequence[bytes | memoryview] = ()) -> Any:
    """The value that `dumps` was given. Only for bytes that `unseal` has let through, or out of a directory of ours."""
    return pickle.loads(data, buffers=buffers)


def _refusal(value: Any, error: Exception) -> str:
    path, part = culprit(value)
    where = f" (at {path})" if path else ""
    return f"a {type(part).__name__}{where} cannot be pickled: {error}"


def culprit(value: Any, depth: int = 6) -> tuple[str, Any]:
    """The path to the innermost part that cannot be pickled, such as `['model'].lock`, and that part."""
    path, part = "", value
    for _ in range(depth):
        for step, inner in _parts(part):
            if not _travels(inner):
                path, part = path + step, inner
                break
        else:
            break
    return path, part


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", inner) for key, inner in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{i}]", inner) for i, inner in enumerate(value))
    elif callable(value) and getattr(value, "__closure__", None):
        cells = zip(value.__code__.co_freevars, value.__closure__, strict=False)
        yield from ((f".{name}", cell.cell_contents) for name, cell in cells)
    elif isinstance(getattr(value, "__dict__", None), dict):
        yield from ((f".{name}", inner) for name, inner in vars(value).items())


def _travels(value: Any) -> bool:
    import cloudpickle

    try:
        cloudpickle.dumps(value, 5)
    except Exception:  # noqa: BLE001  that is the question
        return False
    return True
