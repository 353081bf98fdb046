"""Reading columns out of CSV, JSON Lines, JSON, Parquet and Arrow files, with errors that name the line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetlora.documents import parse_json
from fleetlora.errors import InputError, first_line
from fleetlora.limits import TEXT_BYTES, check_size
from fleetlora.parquet import checked_rows, open_parquet
from fleetlora.registry import suggest

__all__ = ["TABLE_SUFFIXES", "Table", "read_table", "read_text"]

_MEND = "write or download it again"
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Table:
    """Some columns of a file.

    Args:
        path: The file.
        columns: Values by column name, lists of one length; a missing value is None.
        line: Returns the line a row begins on, counted from 1, or None where the format has no lines.
        class_names: Class names the file declares for an integer column (Hugging Face's ``ClassLabel``).
    """

    path: Path
    columns: dict[str, list[Any]]
    line: Callable[[int], int | None]
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def where(self, row: int) -> str:
        """Return ``file:line`` of a row."""
        line = self.line(row)
        return f"{self.path}:{line}" if line is not None else f"{self.path}: record {row + 1}"


def read_text(path: Path) -> str:
    """Return the whole of a UTF-8 file.

    Raises:
        InputError: It cannot be read, is empty, or is not UTF-8; names the line of the first bad byte.
    """
    check_size(path, TEXT_BYTES)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not data.strip():
        raise InputError("the file is empty", where=str(path), mend="give a file with data in it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"not UTF-8 text (byte 0x{data[error.start]:02x})",
            where=f"{path}:{line}",
            mend="give a text file, saved as UTF-8",
        ) from error


def read_table(path: Path, columns: Sequence[str]) -> Table:
    """Read ``columns`` of a file whose format its suffix tells.

    Args:
        path: A ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson``, ``.json`` (list of objects), ``.parquet`` or
            ``.arrow`` file.
        columns: Names of the columns wanted.

    Raises:
        InputError: The file or a column is missing or broken.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"unknown kind of file {path.suffix!r}", where=str(path), mend=f"use {', '.join(TABLE_SUFFIXES)}"
        )
    if not path.is_file():
        raise InputError("no such file", where=str(path), mend="correct the path")
    table = reader(path, columns)
    if len(table) == 0:
        raise InputError("the file has no rows", where=str(path), mend="give a file with data in it")
    return table


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot be read: {error.strerror or error}",
        where=str(path),
        mend="correct the path or its permissions",
    )


def _require(path: Path, wanted: Sequence[str], present: Sequence[str]) -> None:
    for name in wanted:
        if name not in present:
            where = f"{path}:1" if path.suffix.lower() in _SEPARATORS else str(path)
            raise InputError(f"no column {name!r}", where=where, mend=suggest(name, list(present)))
        if list(present).count(name) > 1:
            raise InputError(f"column {name!r} stands there twice", where=f"{path}:1", mend="rename one")


# CSV ------------------------------------------------------------------------------------------------------


def _read_csv(path: Path, columns: Sequence[str]) -> Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    separator = _SEPARATORS[path.suffix.lower()]
    text = read_text(path)
    try:
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    except csv.Error as error:
        where, mend = f"{path}:1", "begin the file with a line of column names"
        raise InputError(f"not a CSV file: {error}", where=where, mend=mend) from error
    _require(path, columns, header)
    try:
        read = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=min(path.stat().st_size + 1024, 2**31 - 1)
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in columns},
                include_columns=list(dict.fromkeys(columns)),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _csv_error(path, text, separator, str(error)) from error

    def line(row: int) -> int | None:
        return _csv_line(text, separator, row + 1)

    return Table(path, {name: read[name].to_pylist() for name in columns}, line)


def _csv_error(path: Path, text: str, separator: str, message: str) -> InputError:
    found = re.search(r"Row #(\d+): (.*)", message, re.DOTALL)
    if not found:
        return InputError(f"not a CSV file: {message}", where=str(path), mend="save it as CSV again")
    line = _csv_line(text, separator, int(found[1]) - 1)
    problem = found[2].splitlines()[0].split(":")[0].strip()
    return InputError(
        f"broken CSV row: {problem}",
        where=f"{path}:{line}" if line else f"{path}: record {found[1]}",
        mend='put a value that holds a separator or a line break in quotes ("…"), and close every quote',
    )


def _csv_line(text: str, separator: str, record: int) -> int | None:
    """Return the line on which a record begins (0 is the header), None if it cannot be told."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    seen, begins = -1, 1
    try:
        for row in rows:
            seen += bool(row)
            if row and seen == record:
                return begins
            begins = rows.line_num + 1
    except csv.Error:
        return None
    return None


# JSON -----------------------------------------------------------------------------------------------------


def _read_jsonl(path: Path, columns: Sequence[str]) -> Table:
    records: list[Any] = []
    lines: list[int] = []
    for number, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        records.append(parse_json(text, str(path), "one JSON object per line", number))
        lines.append(number)
    return _from_records(path, records, columns, lines.__getitem__)


def _read_json(path: Path, columns: Sequence[str]) -> Table:
    records = parse_json(read_text(path), str(path), "give a list of objects")
    if not isinstance(records, list):
        raise InputError("not a list of objects", where=str(path), mend='use [{"text": …, "label": …}, …]')
    return _from_records(path, records, columns, lambda _row: None)


def _from_records(
    path: Path, records: list[Any], columns: Sequence[str], line: Callable[[int], int | None]
) -> Table:
    empty = Table(path, {}, line)
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            raise InputError("not a JSON object", where=empty.where(row), mend='use {"text": …, "label": …}')
        missing = [name for name in columns if name not in record]
        if missing:
            known = suggest(missing[0], [str(key) for key in record])
            raise InputError(f"no key {missing[0]!r}", where=empty.where(row), mend=known)
    return Table(path, {name: [record[name] for record in records] for name in columns}, line)


# Arrow ----------------------------------------------------------------------------------------------------


def _read_parquet(path: Path, columns: Sequence[str]) -> Table:
    with open_parquet(path, _MEND) as file:
        _require(path, columns, file.schema.names)
        return _of_rows(path, file.read(columns), columns)


def _read_arrow(path: Path, columns: Sequence[str]) -> Table:
    import pyarrow as pa

    try:
        check_size(path, TEXT_BYTES)
        with pa.memory_map(str(path)) as file:
            try:
                read = pa.ipc.open_stream(file).read_all()
            except pa.ArrowInvalid:
                file.seek(0)
                read = pa.ipc.open_file(file).read_all()
            return from_arrow(path, read, columns)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InputError(f"damaged Arrow: {first_line(error)}", where=str(path), mend=_MEND) from error


def from_arrow(path: Path, read: Any, columns: Sequence[str]) -> Table:
    """Return ``columns`` of a ``pyarrow.Table`` that was read from ``path``."""
    _require(path, columns, read.column_names)
    rows = checked_rows(read.select(list(dict.fromkeys(columns))), path if path.is_file() else None)
    return _of_rows(path, rows, columns)


def _of_rows(path: Path, rows: Any, columns: Sequence[str]) -> Table:
    """Return ``columns`` of rows that were looked through."""
    names = _declared_classes(rows.schema.metadata or {})
    return Table(path, {name: rows[name].to_pylist() for name in columns}, lambda _row: None, names)


def _declared_classes(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Return the class names that the ``datasets`` library writes beside an integer column."""
    try:
        noted = parse_json(metadata.get(b"huggingface", b"{}").decode(), "huggingface", "")
        features = noted.get("info", {}).get("features", {})
        found: Iterable[tuple[str, Any]] = features.items()
        return {
            name: tuple(map(str, kind["names"]))
            for name, kind in found
            if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and "names" in kind
        }
    except (
        InputError,
        ValueError,
        AttributeError,
        TypeError,
    ):  # a note in a shape of its own declares nothing
        return {}


_READERS: dict[str, Callable[[Path, Sequence[str]], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".arrow": _read_arrow,
}

#: Suffixes of the files that :func:`read_table` reads.
TABLE_SUFFIXES = tuple(_READERS)
