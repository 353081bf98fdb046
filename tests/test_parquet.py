"""Parquet from outside is looked through before Polars sees it, which ends the process on what is no text."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fleetlora.errors import InputError
from fleetlora.parquet import checked_rows, open_parquet, read_parquet


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


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())]
)
def test_a_text_held_once_and_meant_by_every_row_is_refused(tmp_path: Path, kind: pa.DataType) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), pa.array(["x" * 1000]))
    path = written(tmp_path / "t.parquet", pa.table({"a": texts.cast(kind)}))
    assert path.stat().st_size < 20_000
    with pytest.raises(InputError, match=r"t\.parquet: too large: .* bytes unpack to more than 200 times"):
        read_parquet(path, "")
    with pytest.raises(InputError, match="too large"), open_parquet(path, "") as parquet:
        list(parquet.batches(50_000, ["a"]))


def test_texts_inside_lists_and_records_are_bounded_too(tmp_path: Path) -> None:
    nested = pa.array([{"names": ["x" * 1000]}] * 50_000)
    path = written(tmp_path / "t.parquet", pa.table({"a": nested}))
    with pytest.raises(InputError, match="too large"):
        read_parquet(path, "")


def test_wide_values_of_one_length_are_bounded_by_what_the_rows_declare(tmp_path: Path) -> None:
    wide = pa.array([b"x" * 1000] * 50_000, pa.binary(1000))
    with pytest.raises(InputError, match="too large"):
        read_parquet(written(tmp_path / "t.parquet", pa.table({"a": wide})), "")


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "b", "a"]),
        pa.array(["a", None, "b", "a"], pa.large_string()),
        pa.array([b"a", None, b"b", b"a"]),
        pa.array(["a", None, "b", "a"]).dictionary_encode(),
        pa.array(["a", None, "b", "a"]).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
        pa.array([["a", "b"], None, [], ["a"]]),
        pa.array([{"k": "a"}, None, {"k": None}, {"k": "a"}]),
        pa.array([[("k", "a")], None, [], [("k", "b")]], pa.map_(pa.string(), pa.string())),
        pa.array([1, None, 3, 4], pa.decimal128(9, 2)),
        pa.array([1, None, 1, 1]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type)[:30],
)
def test_every_kind_of_column_comes_back_as_arrow_reads_it(tmp_path: Path, column: pa.Array) -> None:
    path = written(tmp_path / "t.parquet", pa.table({"a": column, "b": [1, 2, 3, 4]}))
    assert read_parquet(path, "").equals(pq.read_table(path))
    with open_parquet(path, "") as parquet:
        batches = list(parquet.batches(3, ["a"]))
    assert pa.Table.from_batches(batches)["a"].to_pylist() == column.to_pylist()


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(InputError, match="has two columns 'a'"):
        read_parquet(written(tmp_path / "t.parquet", twice), "")


@pytest.mark.parametrize("cut", [0, 3, 40, -1])
def test_a_cut_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "t.parquet", pa.table({"a": [1, 2]}))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"t\.parquet: damaged Parquet: "):
        read_parquet(path, "")
