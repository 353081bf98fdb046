"""Tracks on disk: one Parquet file, one row a fix, with what columns cannot say in the schema's metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fleetlora.documents import parse_json
from fleetlora.errors import InputError
from fleetlora.files import refusing, replacing
from fleetlora.limits import names_array
from fleetlora.parquet import read_parquet
from fleetlora.traces.tracks import Tracks

__all__ = ["FORMAT_VERSION", "holds_tracks", "load_saved_tracks", "save_tracks", "whole_file"]

#: Version of the layout; a reader refuses a newer one.
FORMAT_VERSION = 1

_KEY = b"fleetlora.tracks"
_COLUMNS = ("vehicle", "t_s", "x_m", "y_m", "new_piece", "parked")
_MEND = "make it anew with `fleetlora traces convert`"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place if the block succeeds.

    Raises:
        InputError: The folder cannot be written to.
    """
    with refusing(path, "choose another place"), replacing(path) as part:
        yield part


def holds_tracks(path: Path) -> bool:
    """Tell whether a Parquet file was written by :func:`save_tracks`; False for anything else."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return _KEY in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        return False


def save_tracks(tracks: Tracks, path: Path) -> Path:
    """Write ``tracks`` to ``path`` (see :meth:`Tracks.save`)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = {"format": FORMAT_VERSION, "epoch_s": tracks.epoch_s, "crs": tracks.crs, "name": tracks.name}
    vehicle = pa.DictionaryArray.from_arrays(
        pa.array(tracks.vehicle.astype(np.int32)), pa.array(tracks.vehicle_ids.tolist(), pa.string())
    )
    columns = [vehicle, *(pa.array(getattr(tracks, column)) for column in _COLUMNS[1:])]
    table = pa.table(columns, names=list(_COLUMNS)).replace_schema_metadata({_KEY: json.dumps(about)})
    with whole_file(path) as part:
        pq.write_table(table, part, compression="zstd")
    return path


def load_saved_tracks(path: Path) -> Tracks:
    """Read what :func:`save_tracks` wrote (see :meth:`Tracks.load`)."""
    if not path.is_file():
        raise InputError("no such file", where=str(path), mend="check the path")
    table = read_parquet(path, _MEND)
    about = _about(table.schema.metadata or {}, path)
    missing = [column for column in _COLUMNS if column not in table.column_names]
    if missing:
        raise InputError(f"column {missing[0]!r} is missing", where=str(path), mend=_MEND)
    return _tracks(table, about, path)


def _about(metadata: dict[bytes, bytes], path: Path) -> dict[str, Any]:
    """Return the metadata of a tracks file, checked."""
    try:
        about = parse_json(metadata[_KEY].decode("utf-8", "replace"), f"{path}: notes", _MEND)
        version = int(about["format"])
        known = {"epoch_s": float(about["epoch_s"]), "crs": str(about["crs"]), "name": str(about["name"])}
    except KeyError as error:
        raise InputError(
            "a Parquet file, but not one of tracks",
            where=str(path),
            mend='read it with source = "table", or convert it with `fleetlora traces convert`',
        ) from error
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError("the metadata of the tracks is damaged", where=str(path), mend=_MEND) from error
    if version > FORMAT_VERSION:
        raise InputError(
            f"tracks of format {version}, newer than {FORMAT_VERSION}",
            where=str(path),
            mend="update fleetlora",
        )
    return known


def _tracks(table: Any, about: dict[str, Any], path: Path) -> Tracks:
    import pyarrow as pa

    kinds = (pa.float64(), pa.float64(), pa.float64(), pa.bool_(), pa.bool_())
    try:
        t, x, y, new_piece, parked = (
            np.array(table[column].cast(kind).to_numpy())
            for column, kind in zip(_COLUMNS[1:], kinds, strict=True)
        )
        vehicle = table["vehicle"].combine_chunks().cast(pa.dictionary(pa.int32(), pa.string()))
        codes = vehicle.indices.to_numpy().astype(np.int64)
        names = names_array(vehicle.dictionary.to_pylist(), "vehicle", path)
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        ids = names[codes[starts]] if len(codes) else np.empty(0, dtype=np.str_)
        offsets = np.append(starts, len(codes)).astype(np.int64)
        return Tracks(ids, offsets, t, x, y, new_piece, parked, **about)
    except InputError as error:
        raise InputError(error.problem, where=str(path), mend=_MEND) from error
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise InputError("a column holds the wrong kind of values", where=str(path), mend=_MEND) from error
