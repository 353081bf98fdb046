"""Parquet from outside, opened in one place: bounded before it is read, looked through before it is used.

Arrow believes offsets, and Polars believes that text is UTF-8: a damaged file that only claims to be whole
would be followed into foreign memory by the one and end the process with the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fleetlora.errors import InputError, first_line
from fleetlora.limits import TABLE_VALUES, TEXT_BYTES, too_large

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)

__all__ = ["check_parquet", "checked_rows", "open_parquet", "read_parquet"]


@contextmanager
def open_parquet(path: Path, mend: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; damage that is met while it is open becomes an error of ours.

    Args:
        path: The file.
        mend: What to do when it is damaged.

    Raises:
        InputError: It is damaged, or no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InputError(f"damaged Parquet: {first_line(error)}", where=str(path), mend=mend) from error


def check_parquet(file: pq.ParquetFile, columns: int, where: Path) -> None:
    """Refuse a Parquet file that declares more values or bytes than are read, before any is allocated.

    Args:
        file: The file, opened.
        columns: How many columns are read.
        where: Its path.

    Raises:
        InputError: It declares too much.
    """
    about = file.metadata
    values = about.num_rows * max(columns, 1)
    if about.num_rows < 0 or values > TABLE_VALUES:
        raise too_large(f"it declares {about.num_rows} rows; at most {TABLE_VALUES} values are read", where)
    unpacked = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    if unpacked > TEXT_BYTES:
        raise too_large(f"it declares {unpacked} bytes unpacked; at most {TEXT_BYTES} are read", where)


def checked_rows(rows: Rows) -> Rows:
    """Return rows after a look at every value and note of theirs.

    Raises:
        pyarrow.ArrowInvalid: A value is damaged: an offset beyond its data, a code beyond its dictionary,
            text that is not UTF-8.
        UnicodeDecodeError: A note of the table or of a column is not UTF-8.
    """
    rows.validate(full=True)
    for about in (rows.schema, *rows.schema):
        for note in (about.metadata or {}).items():
            b" ".join(note).decode("utf-8")
    return rows


def read_parquet(
    path: Path, mend: str, choose: Callable[[pa.Schema], Sequence[str]] = lambda schema: schema.names
) -> pa.Table:
    """Read columns of a Parquet file.

    Args:
        path: The file.
        mend: What to do when it is damaged.
        choose: Given the file's schema, names the columns to read, or refuses it with an error of its own.

    Raises:
        InputError: It is damaged or declares too much.
    """
    with open_parquet(path, mend) as file:
        columns = list(dict.fromkeys(choose(file.schema_arrow)))
        check_parquet(file, len(columns), path)
        return checked_rows(file.read(columns=columns))
