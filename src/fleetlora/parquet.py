"""Parquet from outside, opened in one place: bounded before it is read, looked through before it is used.

Arrow believes offsets, and Polars believes that text is UTF-8: a damaged file that only claims to be whole
would be followed into foreign memory by the one and end the process with the other. A file that holds a text
once and points to it from every row is small until it is read, so texts are kept in that form until their
lengths are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fleetlora.errors import InputError, first_line
from fleetlora.limits import TABLE_VALUES, TEXT_BYTES, check_ratio, too_large

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)

__all__ = ["Parquet", "checked_rows", "open_parquet", "read_parquet"]


@dataclass(frozen=True)
class Parquet:
    """A Parquet file that is open.

    Attributes:
        path: The file.
        schema: Its columns.
        file: Itself, as Arrow has it; texts are read in dictionaries.
    """

    path: Path
    schema: pa.Schema
    file: pq.ParquetFile

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return the rows of columns.

        Raises:
            InputError: It declares or holds too much.
        """
        wanted = list(dict.fromkeys(columns))
        self._check(wanted)
        return self._plain(self.file.read(columns=wanted))

    def batches(self, rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of columns, at most ``rows`` at a time.

        Raises:
            InputError: It declares or holds too much.
        """
        wanted = list(dict.fromkeys(columns))
        self._check(wanted)
        for batch in self.file.iter_batches(rows, columns=wanted):
            yield self._plain(batch)

    def _check(self, columns: Sequence[str]) -> None:
        """Refuse more values or bytes than are read, before any is allocated."""
        import pyarrow as pa

        about = self.file.metadata
        if about.num_rows < 0 or about.num_rows * max(len(columns), 1) > TABLE_VALUES:
            raise too_large(
                f"it declares {about.num_rows} rows; at most {TABLE_VALUES} values are read", self.path
            )
        unpacked = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
        if unpacked > TEXT_BYTES:
            raise too_large(
                f"it declares {unpacked} bytes unpacked; at most {TEXT_BYTES} are read", self.path
            )
        for name in columns:
            if self.schema.get_field_index(name) < 0:
                raise InputError(f"has two columns {name!r}", where=str(self.path), mend="rename one")
            kind = self.schema.field(name).type
            if isinstance(kind, pa.BaseExtensionType):
                raise InputError(
                    f"column {name!r} holds {kind}", where=str(self.path), mend="write plain text"
                )
            if pa.types.is_fixed_size_binary(kind):
                check_ratio(self.path.stat().st_size, about.num_rows * kind.byte_width, self.path)

    def _plain(self, rows: Rows) -> Rows:
        """Return rows, looked through, with texts as the schema has them."""
        import pyarrow as pa

        rows = checked_rows(rows, self.path)
        columns = [self._cast(rows[name], self.schema.field(name).type) for name in rows.schema.names]
        schema = pa.schema(
            [
                self.schema.field(name).with_type(column.type)
                for name, column in zip(rows.schema.names, columns, strict=True)
            ],
            metadata=rows.schema.metadata,
        )
        return type(rows).from_arrays(columns, schema=schema)

    @staticmethod
    def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
        import pyarrow as pa

        if pa.types.is_string_view(kind):  # Arrow cannot make views of dictionaries
            kind = pa.string()
        elif pa.types.is_binary_view(kind):
            kind = pa.binary()
        return column if column.type == kind else column.cast(kind)


@contextmanager
def open_parquet(path: Path, mend: str) -> Iterator[Parquet]:
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
        with pq.ParquetFile(path) as file:
            schema, about = file.schema_arrow, file.metadata
            leaves = [file.schema.column(i) for i in range(len(file.schema))]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        with pq.ParquetFile(
            path, metadata=about, read_dictionary=texts, page_checksum_verification=True
        ) as file:
            yield Parquet(path, schema, file)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InputError(f"damaged Parquet: {first_line(error)}", where=str(path), mend=mend) from error


def checked_rows(rows: Rows, file: Path | None = None) -> Rows:
    """Return rows after a look at every value and note of theirs.

    Args:
        rows: The rows.
        file: The file they are from, if its size bounds them.

    Raises:
        pyarrow.ArrowInvalid: A value is damaged: an offset beyond its data, a code beyond its dictionary,
            text that is not UTF-8.
        UnicodeDecodeError: A note of the table or of a column is not UTF-8.
        InputError: Texts that the file holds once would fill far more than it in all rows.
    """
    rows.validate(full=True)
    for about in (rows.schema, *rows.schema):
        for note in (about.metadata or {}).items():
            b" ".join(note).decode("utf-8")
    if file is not None:
        chunks = [chunk for column in rows.columns for chunk in getattr(column, "chunks", [column])]
        check_ratio(file.stat().st_size, sum(map(_text_bytes, chunks)), file)
    return rows


def _texts() -> tuple[pa.DataType, ...]:
    import pyarrow as pa

    return pa.string(), pa.large_string(), pa.binary(), pa.large_binary()


def _text_bytes(column: pa.Array) -> int:
    """Return how many bytes the texts of dictionaries would fill, written out in every row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_struct(kind):
        return sum(map(_text_bytes, column.flatten()))
    if pa.types.is_map(kind):
        return _text_bytes(column.keys) + _text_bytes(column.items)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _text_bytes(column.flatten())
    if not pa.types.is_dictionary(kind) or kind.value_type not in _texts():
        return 0
    lengths = pc.binary_length(column.dictionary).fill_null(0).to_numpy(False).astype(np.int64)
    codes = column.indices.drop_null().to_numpy(False)
    return int(np.bincount(codes, minlength=len(lengths)) @ lengths)


def read_parquet(
    path: Path, mend: str, choose: Callable[[pa.Schema], Sequence[str]] = lambda schema: schema.names
) -> pa.Table:
    """Read columns of a Parquet file.

    Args:
        path: The file.
        mend: What to do when it is damaged.
        choose: Given the file's schema, names the columns to read, or refuses it with an error of its own.

    Raises:
        InputError: It is damaged, or declares or holds too much.
    """
    with open_parquet(path, mend) as parquet:
        return parquet.read(choose(parquet.schema))
