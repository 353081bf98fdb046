"""One number that tells whether two runs came out the same.

The digest covers every result that is not host time: all values of all tables, the trained adapters,
and ``result.json`` without its host block. How a table was cut into chunks, which NaN a float holds
and the sign of a zero do not change it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["digest_of"]

#: Keys of ``result.json`` the digest leaves out: its own value, and what the host did.
_OUTSIDE = frozenset({"digest", "host"})


def digest_of(
    result: Mapping[str, Any], tables: Mapping[str, pa.Table], adapters: Mapping[str, np.ndarray]
) -> str:
    """Return the sha256, in hexadecimal, of all that a run brought about.

    Args:
        result: Contents of ``result.json``; its ``digest`` and ``host`` are left out.
        tables: The run's tables by name.
        adapters: Every trained array by a unique name.
    """
    digest = hashlib.sha256()
    inside = {key: value for key, value in result.items() if key not in _OUTSIDE}
    _feed(digest, "result", json.dumps(_canonical(inside), sort_keys=True).encode())
    for name in sorted(tables):
        for column in tables[name].column_names:
            _feed_column(digest, f"{name}.{column}", tables[name][column])
    for name in sorted(adapters):
        array = np.asarray(adapters[name])
        _feed(digest, f"{name} {array.dtype.str} {array.shape}", _bytes(array))
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, label: str, content: bytes) -> None:
    head = f"{label} {len(content)}\n".encode()
    digest.update(head)
    digest.update(content)


def _feed_column(digest: hashlib._Hash, label: str, column: pa.ChunkedArray) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    valid = column.is_valid().to_numpy()
    _feed(digest, f"{label} valid", np.packbits(valid).tobytes())
    values = column.drop_null()
    if pa.types.is_dictionary(column.type):
        words = values.cast(pa.large_string()).combine_chunks()
        _, ends, text = words.buffers()  # the words lie one after the other in one buffer
        ends = np.frombuffer(ends, "<i8")[words.offset : words.offset + len(words) + 1]
        _feed(digest, f"{label} lengths", np.diff(ends).tobytes())
        _feed(digest, f"{label} text", memoryview(text)[ends[0] : ends[-1]].tobytes())
        return
    if pa.types.is_boolean(column.type):
        values = pc.cast(values, pa.int8())
    _feed(digest, f"{label} {column.type}", _bytes(values.to_numpy()))


def _bytes(array: np.ndarray) -> bytes:
    """Return little-endian bytes, with one bit pattern for NaN and one for zero."""
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array + np.array(0, array.dtype))
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _canonical(value: Any) -> Any:
    """Spell floats by their bits, so that equal values read equally."""
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float):
        return "nan" if math.isnan(value) else (value + 0.0).hex()
    return value
