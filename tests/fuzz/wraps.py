"""How a fuzzer's bytes get past the parts of a format that a blind change would always break."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import numpy as np

from fleetlora.records.checkpoint import _checksum


def gzipped(rest: bytes, _sound: bytes) -> bytes:
    """Return the bytes, compressed."""
    return gzip.compress(rest, 1)


def safetensors(rest: bytes, _sound: bytes) -> bytes:
    """Return a safetensors file whose header is the bytes up to the first NUL, the rest its data."""
    header, _, data = rest.partition(b"\0")
    return len(header).to_bytes(8, "little") + header + data


def checkpoint(rest: bytes, _sound: bytes) -> bytes:
    """Return a checkpoint with the bytes as its JSON, and a checksum that is right."""
    from safetensors.numpy import save

    plain, arrays = rest.decode("utf-8", "replace"), {"/state/a": np.arange(3)}
    return bytes(save(arrays, {"fleetlora": plain, "sha256": _checksum(plain, arrays)}))


def parquet_notes(rest: bytes, sound: bytes) -> bytes:
    """Return the Parquet file with its notes replaced: ``key``, NUL, ``value``, NUL, and so on."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(sound))
    parts = rest.split(b"\0")
    notes = dict(zip(parts[::2], parts[1::2], strict=False))
    notes.pop(b"ARROW:schema", None)
    sink = io.BytesIO()
    try:
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **notes}), sink)
    except (pa.ArrowException, UnicodeDecodeError):  # notes that Arrow itself does not write
        return sound
    return sink.getvalue()


def parquet(rest: bytes, sound: bytes) -> bytes:
    """Return the Parquet file with its notes or, if the first byte is odd, values replaced."""
    return parquet_values(rest[1:], sound) if rest[:1] and rest[0] % 2 else parquet_notes(rest[1:], sound)


def parquet_values(rest: bytes, sound: bytes) -> bytes:
    """Return the Parquet file with bytes of its columns replaced: which column, where, by what, and so on."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(sound)).combine_chunks()
    columns = [column.combine_chunks() for column in table.columns]
    for at in range(0, len(rest) - 3, 4):
        which = rest[at] % len(columns)
        column = columns[which]
        if pa.types.is_primitive(column.type) and not pa.types.is_boolean(column.type) and len(column):
            values = np.array(column.to_numpy(zero_copy_only=False))
            values.view(np.uint8)[int.from_bytes(rest[at + 1 : at + 3], "big") % values.nbytes] = rest[at + 3]
            columns[which] = pa.array(values, from_pandas=False)
    sink = io.BytesIO()
    try:
        pq.write_table(pa.table(columns, schema=table.schema), sink)
    except (pa.ArrowException, ValueError):
        return sound
    return sink.getvalue()


def archive(rest: bytes, _sound: bytes) -> bytes:
    """Return a zip archive: of every line, the name up to the first tab, mode in octal, the content."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as out:
        for line in rest.split(b"\n")[:20]:
            name, _, more = line.decode("utf-8", "replace").partition("\t")
            mode, _, content = more.partition("\t")
            member = zipfile.ZipInfo(name or "x")
            member.external_attr = (
                int(mode, 8) if mode.isdigit() and set(mode) <= set("01234567") else 0
            ) << 16
            member.external_attr &= 0xFFFFFFFF
            out.writestr(member, content.encode("utf-8", "replace"))
    return sink.getvalue()


def npz(rest: bytes, sound: bytes) -> bytes:
    """Return the archive with one member replaced: the first byte says which, the rest is its content."""
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sound)) as old, zipfile.ZipFile(sink, "w") as new:
        names = old.namelist()
        which = names[rest[0] % len(names)] if rest else names[0]
        for name in names:
            new.writestr(name, rest[1:] if name == which else old.read(name))
    return sink.getvalue()


def arrow(rest: bytes, _sound: bytes) -> bytes:
    """Return an Arrow stream of one batch whose text column is the bytes, whether text or not."""
    import pyarrow as pa

    offsets = np.array([0, rest[0] if rest else 0, len(rest)], np.int32)
    text = pa.StringArray.from_buffers(2, pa.py_buffer(offsets), pa.py_buffer(rest))
    batch = pa.record_batch([text, pa.array(["a", "b"])], names=["text", "label"])
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue()


def as_json(value: object) -> bytes:
    """Return a value as JSON bytes, to begin with."""
    return json.dumps(value).encode()
