"""Reading SUMO's FCD formats as a stream: which columns they have, and what their damage looks like."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from xml.parsers import expat

import numpy as np

from fleetlora.errors import InputError
from fleetlora.limits import GZIP_DAMAGE, Unzipped
from fleetlora.parquet import open_parquet
from fleetlora.traces.sumo_columns import FcdColumns, sumo_seconds
from fleetlora.traces.textfile import is_gzip

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_fcd"]

_BLOCK_ROWS = 1 << 16
_HEADER_BYTES = 1 << 16
#: Characters of the names of columns that an error shows.
_SHOWN = 300
#: Prefixes by which SUMO (``--output.column-header``) tells the columns of elements apart.
_PREFIXES = ("timestep_", "vehicle_", "person_", "container_")
_WANTED = ("time", "id", "x", "y", "type", "edge")
_NEEDED = ("time", "id", "x", "y")
_PERSON_TYPES = ("DEFAULT_PEDTYPE", "DEFAULT_CONTAINERTYPE")
_HOW = "write it with `sumo --fcd-output FILE` and let SUMO end by itself"


def read_fcd(path: Path) -> tuple[FcdColumns, bool | None]:
    """Read a file of FCD.

    Args:
        path: The file; its content, not its name, tells the format.

    Returns:
        Its columns, and whether its coordinates are degrees (``None``: it does not say).

    Raises:
        InputError: It is damaged or not FCD.
    """
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return _read_parquet(path), None
    with _opened(path) as stream:
        head = stream.read(256)
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return _XmlReader(path).read()
    return _read_csv(path), None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, through gzip if it is, and turn its damage into an error that names it."""
    try:
        with Unzipped(path) if is_gzip(path) else path.open("rb") as stream:
            yield cast("BinaryIO", stream)
    except GZIP_DAMAGE as error:
        raise InputError("the gzip file is damaged or cut off", where=str(path), mend=_HOW) from error


class _XmlReader:
    """Feeds FCD in XML to expat and collects its vehicles; memory grows by the numbers alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns = FcdColumns()
        self.geo: bool | None = None
        self.root = ""
        self.time_s = float("nan")
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.CommentHandler = self._comment
        self._clear()

    def read(self) -> tuple[FcdColumns, bool | None]:
        try:
            with _opened(self.path) as stream:
                self._parser.ParseFile(stream)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise InputError(
                f"damaged or cut-off XML: {reason}", where=f"{self.path}:{error.lineno}", mend=_HOW
            ) from error
        self._flush()
        return self.columns, self.geo

    def _clear(self) -> None:
        self._vehicle, self._values = array("i"), array("d")

    def _flush(self) -> None:
        values = np.frombuffer(self._values, dtype=np.float64).reshape(-1, 3)
        self.columns.add(np.frombuffer(self._vehicle, dtype=np.int32), *values.T)
        self._clear()

    def _comment(self, text: str) -> None:
        """Read from SUMO's own header, the options it ran with, whether positions are degrees."""
        if not self.root and "onfiguration" in text:
            self.geo = 'fcd-output.geo value="true"' in text

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "vehicle":
            self._add(attributes)
        elif tag == "timestep":
            self.time_s = self._seconds(attributes.get("time", ""))
        elif tag in ("person", "container"):
            self.columns.drop("person or container", 1)
        elif not self.root:
            self.root = tag
            if tag != "fcd-export":
                raise self._error(f"the root element is <{tag}>, not <fcd-export>")

    def _add(self, attributes: dict[str, str]) -> None:
        try:
            values = (self.time_s, float(attributes.get("x", "nan")), float(attributes.get("y", "nan")))
            self._vehicle.append(self.columns.number(attributes["id"], attributes.get("type", "")))
        except KeyError as error:
            raise self._error("a vehicle without id") from error
        except ValueError as error:
            raise self._error(f"a position that is no number: {error}") from error
        self._values.extend(values)
        if len(self._vehicle) >= _BLOCK_ROWS:
            self._flush()

    def _seconds(self, text: str) -> float:
        try:
            return sumo_seconds(text)
        except ValueError as error:
            raise self._error(f"a time step at {text!r}, which is no time") from error

    def _error(self, problem: str) -> InputError:
        return InputError(problem, where=f"{self.path}:{self._parser.CurrentLineNumber}", mend=_HOW)


def _read_parquet(path: Path) -> FcdColumns:
    columns = FcdColumns()
    with open_parquet(path, _HOW) as file:
        found = _find_columns(file.schema.names, path)
        for batch in file.batches(_BLOCK_ROWS, sorted(found.values())):
            _add_batch(columns, batch, found, path)
    return columns


def _read_csv(path: Path) -> FcdColumns:
    import pyarrow as pa
    from pyarrow import csv

    with _opened(path) as stream:
        line = stream.readline(_HEADER_BYTES + 1)
    if len(line) > _HEADER_BYTES:
        raise InputError(f"the first line is longer than {_HEADER_BYTES} bytes", where=f"{path}:1", mend=_HOW)
    header = line.decode("utf-8-sig", errors="replace").strip()
    delimiter = max(";,\t", key=header.count)
    found = _find_columns(header.split(delimiter), path)
    convert = csv.ConvertOptions(
        include_columns=list(found.values()),
        column_types={name: pa.float64() if key in "xy" else pa.string() for key, name in found.items()},
        strings_can_be_null=True,
    )
    columns = FcdColumns()
    try:
        with (
            _opened(path) as stream,
            csv.open_csv(
                stream, parse_options=csv.ParseOptions(delimiter=delimiter), convert_options=convert
            ) as reader,
        ):
            for batch in reader:
                _add_batch(columns, batch, found, path)
    except pa.ArrowException as error:
        raise InputError(f"damaged CSV: {error}", where=str(path), mend=_HOW) from error
    return columns


def _find_columns(names: list[str], path: Path) -> dict[str, str]:
    """Return which of a file's columns holds what."""
    found: dict[str, str] = {}
    for name in names:
        plain = name
        for prefix in _PREFIXES:
            plain = plain.removeprefix(prefix)
        if plain in _WANTED:
            found.setdefault(plain, name)
    missing = [key for key in _NEEDED if key not in found]
    if missing and set(names) - {found.get("time")}:
        raise InputError(
            f"no column for {', '.join(missing)}; it has {', '.join(names)[:_SHOWN]}",
            where=str(path),
            mend=f"{_HOW}; its columns are time, id, x and y",
        )
    if found.get("id", "").startswith(("person_", "container_")) and "edge" not in found:
        raise InputError(
            "vehicles and persons cannot be told apart in it",
            where=str(path),
            mend="write XML, or add `--person-device.fcd.probability 0` to SUMO's options",
        )
    return found


def _add_batch(columns: FcdColumns, batch: pa.RecordBatch, found: dict[str, str], path: Path) -> None:
    import pyarrow.compute as pc

    if "id" not in found:  # SUMO saw no vehicle at all and wrote empty time steps
        return
    batch = batch.filter(pc.is_valid(batch[found["id"]]))  # an empty time step is a row without id
    persons = np.zeros(len(batch), dtype=bool)
    if "edge" in found:
        persons |= pc.greater(pc.utf8_length(batch[found["edge"]]), 0).fill_null(False).to_numpy(False)
    if "type" in found:
        kinds = batch[found["type"]].fill_null("")
        persons |= np.isin(kinds.to_numpy(False), _PERSON_TYPES)
    columns.drop("person or container", int(persons.sum()))
    batch = batch.filter(~persons)
    ids = batch[found["id"]].cast("string").dictionary_encode()
    names = ids.dictionary.to_pylist()
    codes = ids.indices.to_numpy(False)
    first = np.unique(codes, return_index=True)[1]
    kind_of = batch[found["type"]].take(first).to_pylist() if "type" in found else [""] * len(names)
    numbers = [columns.number(name, kind or "") for name, kind in zip(names, kind_of, strict=True)]
    columns.add(
        np.array(numbers, dtype=np.int32)[codes],
        _times(batch[found["time"]], path),
        batch[found["x"]].to_numpy(False),
        batch[found["y"]].to_numpy(False),
    )


def _times(column: pa.Array, path: Path) -> np.ndarray:
    """Return (n,) seconds of a column of numbers or of SUMO's ``hours:minutes:seconds``."""
    import pyarrow as pa

    if not pa.types.is_string(column.type):
        return np.asarray(column.to_numpy(False), dtype=np.float64)
    steps = column.fill_null("").dictionary_encode()
    try:
        seconds = [sumo_seconds(text) for text in steps.dictionary.to_pylist()]
    except ValueError as error:
        raise InputError(f"a time that is none: {error}", where=str(path), mend=_HOW) from error
    return np.asarray(np.array(seconds, dtype=np.float64)[steps.indices.to_numpy(False)])
