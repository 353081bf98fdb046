"""Text tables read fast as a whole; only when a value is bad, a slow second pass finds its line."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fleetlora.errors import InputError, first_line
from fleetlora.limits import GZIP_DAMAGE, TEXT_BYTES, Unzipped, check_size

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TextTable", "find_file", "is_gzip", "local_path", "no_column", "read_table", "read_tables"]

_DELIMITERS = ",;\t|"
_PEEK = 1 << 16


@dataclass(frozen=True)
class TextTable:
    """Rows of text from one file, or from many files of the same form.

    Attributes:
        frame: The columns, all of strings; empty cells are null.
        files: The files, in the order of their rows.
        starts: (F,) row at which each file begins.
        names: Names of all columns of a file, in its order.
        delimiter: What separates the columns.
        header: Whether the first line of each file holds the names.
        quote: The character that encloses cells, or None.
    """

    frame: pl.DataFrame
    files: tuple[Path, ...]
    starts: np.ndarray[tuple[int], np.dtype[np.int64]]
    names: tuple[str, ...]
    delimiter: str
    header: bool
    quote: str | None

    def place(self, column: str, row: int) -> str:
        """Return ``file:line`` of a bad cell: the first line of its file that holds the same text there."""
        path = self.files[int(np.searchsorted(self.starts, row, side="right")) - 1]
        text = self.frame[column][row] or ""
        index = self.names.index(column)
        for line, cells in _records(path, self.delimiter, self.header, self.quote):
            cell = cells[index] if index < len(cells) else ""
            if cell == text and any(cells):
                return f"{path}:{line}"
        return str(path)


def local_path(path: str | Path) -> Path:
    """Return the local path of ``path``, which may name an asset (``asset:NAME``)."""
    from fleetlora.assets import resolve

    return resolve(path).expanduser()


def find_file(path: str | Path) -> Path:
    """Return the local path of a file that must exist.

    Raises:
        InputError: It does not exist, is a folder, or is empty.
    """
    found = local_path(path)
    if found.is_dir():
        raise InputError("a folder, where a file is wanted", where=str(path), mend="name a file in it")
    if not found.is_file():
        raise InputError("no such file", where=str(path), mend="check the path")
    if found.stat().st_size == 0:
        raise InputError("the file is empty", where=str(path), mend="name a file that holds fixes")
    check_size(found, TEXT_BYTES)
    return found


def is_gzip(path: Path) -> bool:
    """Return whether a file begins as gzip does, whatever its name."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def read_table(
    path: Path,
    wanted: Sequence[str],
    delimiter: str | None = None,
    names: Sequence[str] | None = None,
    options: Mapping[str, str] | None = None,
) -> TextTable:
    """Read the columns ``wanted`` of a delimited text file, which may be gzipped.

    Args:
        path: The file; it must exist.
        wanted: Names of the columns to read.
        delimiter: What separates the columns; None: found from the first line.
        names: Names of all columns, for a file without a header line; None: the first line holds them.
        options: By column, the option that says what it is called, for the message if it is missing.

    Raises:
        InputError: The file is damaged, not text, its delimiter unknown, or a column missing.
    """
    first = _first_line(path)
    delimiter = delimiter or _delimiter(first, wanted, path)
    header = names is None
    names = tuple(next(csv.reader([first], delimiter=delimiter))) if names is None else tuple(names)
    names = _distinct(names) if header else names
    for name in wanted:
        if name not in names:
            raise no_column(name, names, path, options or {})
    data = _unzip(path) if is_gzip(path) else path
    frame = _parse(data, [path], names, wanted, delimiter, '"', header)
    return TextTable(frame, (path,), np.zeros(1, dtype=np.int64), names, delimiter, header, '"')


def read_tables(files: Sequence[Path], names: Sequence[str], delimiter: str) -> TextTable:
    """Read many files without header or quotes as one table; every line is a row.

    Raises:
        InputError: A file is damaged or not text.
    """
    texts, left = [], TEXT_BYTES
    for path in files:
        check_size(path, left)
        text = (_unzip(path) if is_gzip(path) else path.read_bytes()).rstrip(b"\r\n \t")
        _refuse_binary(text[:_PEEK], path)
        left -= len(text)
        text = text.removeprefix(codecs.BOM_UTF8)  # the parser takes it off the first file alone
        texts.append(text + b"\n" if text else b"")
    counts = [text.count(b"\n") for text in texts]
    starts = np.append(0, np.cumsum(counts)[:-1]).astype(np.int64)
    frame = _parse(b"".join(texts), files, names, names, delimiter, None, False)
    return TextTable(frame, tuple(files), starts, tuple(names), delimiter, False, None)


def _parse(
    data: bytes | Path,
    files: Sequence[Path],
    names: Sequence[str],
    wanted: Sequence[str],
    delimiter: str,
    quote: str | None,
    header: bool,
) -> pl.DataFrame:
    import polars as pl

    try:
        return pl.read_csv(
            data,
            separator=delimiter,
            quote_char=quote,
            has_header=False,
            skip_rows=int(header),
            schema=dict.fromkeys(names, pl.String),
            columns=sorted({names.index(name) for name in wanted}),
            encoding="utf8-lossy",
        )
    except pl.exceptions.NoDataError:
        return pl.DataFrame(schema=dict.fromkeys(wanted, pl.String))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _misshapen(files, len(names), delimiter, quote, header, error) from error


def _misshapen(
    files: Sequence[Path], width: int, delimiter: str, quote: str | None, header: bool, error: Exception
) -> InputError:
    """Return the error that names the first line with too many cells; other damage by the parser's words."""
    for path in files:
        for line, cells in _records(path, delimiter, header, quote):
            if len(cells) > width:
                return InputError(
                    f"{len(cells)} columns where there should be {width}",
                    where=f"{path}:{line}",
                    mend="mend or remove the line; is a cell with the delimiter in it not quoted?",
                )
    return InputError(
        f"not readable as a table: {first_line(error)}",
        where=str(files[0]),
        mend="check the quotes in the file",
    )


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let csv read cells of any length within the block; its limit is the whole process's."""
    before = csv.field_size_limit(1 << 30)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _records(path: Path, delimiter: str, header: bool, quote: str | None) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each row of a file, slowly."""
    with (
        _long_cells(),
        Unzipped(path) if is_gzip(path) else path.open("rb") as raw,
        io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="") as file,
    ):
        if quote:
            reader = csv.reader(file, delimiter=delimiter, quotechar=quote, strict=True)
        else:
            reader = csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        if header:
            next(reader, None)
        line = reader.line_num
        try:
            for cells in reader:
                yield line + 1, cells
                line = reader.line_num
        except csv.Error as error:
            raise InputError(
                f"not readable as a table: {error}",
                where=f"{path}:{line + 1}",
                mend="check the quotes in the line: one that opens must close",
            ) from error


def _unzip(path: Path) -> bytes:
    try:
        with Unzipped(path) as file:
            return file.read()
    except EOFError as error:
        raise InputError(
            "the gzip file ends too early", where=str(path), mend="fetch it again; the copy was cut short"
        ) from error
    except (*GZIP_DAMAGE, OSError) as error:
        raise InputError(f"damaged gzip file: {error}", where=str(path), mend="fetch it again") from error


def _first_line(path: Path) -> str:
    """Return the first line of a text file.

    Raises:
        InputError: It is not text, or holds nothing.
    """
    if is_gzip(path):
        with io.BytesIO(_unzip(path)) as file:
            head = file.read(_PEEK)
    else:
        with path.open("rb") as plain:
            head = plain.read(_PEEK)
    _refuse_binary(head, path)
    first = head.decode("utf-8-sig", errors="replace").splitlines()[:1]
    if len(head) == _PEEK and first and len(first[0].encode()) >= _PEEK - 4:
        raise InputError(
            f"the first line is longer than {_PEEK} bytes",
            where=f"{path}:1",
            mend="put the names of the columns there, and each fix on a line of its own",
        )
    if not first or not first[0].strip():
        raise InputError(
            "the first line is empty", where=f"{path}:1", mend="put the names of the columns there"
        )
    return first[0]


def _refuse_binary(head: bytes, path: Path) -> None:
    if head.startswith(b"PK\x03\x04"):
        raise InputError("a zip archive", where=str(path), mend="unzip it and name the file inside")
    odd = head.translate(None, bytes(range(32, 256)) + b"\t\n\r\f\x0b")
    if odd:
        raise InputError(
            "not a text file",
            where=str(path),
            mend="give CSV or TSV as UTF-8 (it may be gzipped), or Parquet",
        )


def _delimiter(first: str, wanted: Sequence[str], path: Path) -> str:
    """Return the delimiter under which the first line holds most of the wanted names, or most cells."""
    cells = {mark: first.split(mark) for mark in _DELIMITERS if mark in first}
    if not cells:
        if len(set(wanted)) == 1 and first.strip() == wanted[0]:
            return ","
        raise InputError(
            f"cannot tell what separates the columns of {first[:60]!r}",
            where=f"{path}:1",
            mend="set traces.delimiter; commas, semicolons, tabs and bars are found without",
        )

    def merit(mark: str) -> tuple[int, int]:
        names = {cell.strip().strip('"') for cell in cells[mark]}
        return len(names & set(wanted)), len(cells[mark])

    return max(cells, key=merit)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a header line without blanks around them, repeated ones with their number."""
    trimmed = [name.strip() for name in names]
    seen: Counter[str] = Counter()
    out = []
    for name in trimmed:
        seen[name] += 1
        out.append(f"{name}#{seen[name]}" if seen[name] > 1 else name)
    return tuple(out)


def no_column(name: str, names: Sequence[str], path: Path, options: Mapping[str, str]) -> InputError:
    """Return the error of a column that is not there.

    Args:
        name: The column that was looked for.
        names: The columns that are there.
        path: The file.
        options: By column, the option that says what it is called.
    """
    from fleetlora.registry import suggest

    mend = suggest(name, list(names))
    if name in options:
        mend += f"; say which one it is, --set traces.{options[name]}=NAME"
    return InputError(f"there is no column {name!r}", where=str(path), mend=mend)
