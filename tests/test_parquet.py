"""Parquet from outside is looked through before Polars sees it, which ends the process on what is no text."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fleetlora.errors import InputError
from fleetlora.parquet import checked_rows, read_parquet


def written(path: Path, table: pa.Table) -> Path:
    pq.write_table(table, path)
    return path


def test_the_chosen_columns_come_back_with_their_notes(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]}).replace_schema_metadata({"by": "us"})
    path = written(tmp_path / "t.parquet", table)
    assert read_parquet(path, "").equals(table)
    read = read_parquet(path, "", lambda schema: [name for name in schema.names if name == "b"] * 2)
    assert read.equals(table.select(["b"]))
    assert read.schema.metadata == {b"by": b"us"}


@pytest.mark.parametrize("of_a_column", [False, True])
def test_notes_that_are_no_text_are_refused(tmp_path: Path, of_a_column: bool) -> None:
    field = pa.field("a", pa.int64(), metadata={b"note": b"\xff"} if of_a_column else None)
    schema = pa.schema([field], metadata=None if of_a_column else {b"\xff": b"note"})
    path = written(tmp_path / "t.parquet", pa.table({"a": [1]}, schema=schema))
    with pytest.raises(InputError, match=r"t\.parquet: damaged Parquet: .*utf-8.*\n.*make it anew"):
        read_parquet(path, "make it anew")


def test_values_that_are_no_text_are_refused(tmp_path: Path) -> None:
    broken = pa.array([b"\xff\xfe"]).view(pa.string())
    with pytest.raises(pa.ArrowInvalid, match="UTF8"):
        checked_rows(pa.table({"a": broken}))
    path = written(tmp_path / "t.parquet", pa.table({"a": broken}))
    with pytest.raises(InputError, match=r"t\.parquet: damaged Parquet: .*UTF8"):
        read_parquet(path, "")


@pytest.mark.parametrize("cut", [0, 3, 40, -1])
def test_a_cut_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "t.parquet", pa.table({"a": [1, 2]}))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"t\.parquet: damaged Parquet: "):
        read_parquet(path, "")
