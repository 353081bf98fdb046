from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlora.errors import InputError
from fleetlora.tasks.columns import split_of
from fleetlora.tasks.tables import TABLE_SUFFIXES, read_table


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def error_of(path: Path, columns: tuple[str, ...] = ("text", "label")) -> InputError:
    with pytest.raises(InputError) as caught:
        read_table(path, columns)
    return caught.value


def test_every_format_gives_the_same_columns(tmp_path: Path) -> None:
    texts, labels = ["go, now", 'say "stop"', "two\nlines", "grün"], ["a", "b", "a", "b"]
    rows = [{"text": t, "label": c, "other": 1} for t, c in zip(texts, labels, strict=True)]
    quoted = "".join('"' + t.replace('"', '""') + f'",{c},1\r\n' for t, c in zip(texts, labels, strict=True))
    arrow = pa.Table.from_pylist(rows)
    write(tmp_path, "a.csv", "text,label,other\r\n" + quoted)
    write(
        tmp_path,
        "a.tsv",
        "text\tlabel\n" + "".join(f"{t!r}\t{c}\n" for t, c in zip("wxyz", labels, strict=True)),
    )
    write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")
    write(tmp_path, "a.json", json.dumps(rows))
    pq.write_table(arrow, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, arrow.schema) as writer:
        writer.write_table(arrow)
    with pa.OSFile(str(tmp_path / "b.arrow"), "wb") as file, pa.ipc.new_file(file, arrow.schema) as writer:
        writer.write_table(arrow)
    for name in ("a.csv", "a.jsonl", "a.json", "a.parquet", "a.arrow", "b.arrow"):
        table = read_table(tmp_path / name, ["text", "label"])
        assert table.columns == {"text": texts, "label": labels}, name
    assert read_table(tmp_path / "a.tsv", ["label"]).columns == {"label": labels}


def test_csv_rows_are_placed_by_line_even_after_quoted_line_breaks_and_blank_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'text,label\n"two\nlines",a\n\nnext,b\n')
    table = read_table(path, ["text", "label"])
    assert [table.where(0), table.where(1)] == [f"{path}:2", f"{path}:5"]


def test_csv_keeps_leading_zeros_words_like_na_and_a_byte_order_mark(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a.csv", "\ufefftext,label\nNA,01\nnull,02\n"), ["text", "label"])
    assert table.columns == {"text": ["NA", "null"], "label": ["01", "02"]}


def test_an_empty_csv_cell_is_missing(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, "a.csv", "text,label\nx,\n"), ["label"]).columns == {"label": [None]}


def test_a_missing_column_suggests_the_nearest(tmp_path: Path) -> None:
    error = error_of(write(tmp_path, "a.csv", "text,lable\nx,y\n"))
    assert error.where is not None
    assert error.where.endswith("a.csv:1")
    assert "'label'" in error.problem
    assert "did you mean 'lable'" in str(error.mend)


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    assert "twice" in error_of(write(tmp_path, "a.csv", "text,text,label\nx,y,z\n")).problem


def test_a_csv_row_with_too_many_cells_is_named_by_line(tmp_path: Path) -> None:
    error = error_of(write(tmp_path, "a.csv", 'text,label\n"a\nb",c\nx,y,z\n'))
    assert error.where == f"{tmp_path / 'a.csv'}:4"
    assert "quotes" in str(error.mend)


def test_an_unclosed_quote_is_named_by_line(tmp_path: Path) -> None:
    error = error_of(write(tmp_path, "a.csv", 'text,label\na,b\n"open,c\nx,y\n'))
    assert error.where == f"{tmp_path / 'a.csv'}:3"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_binary_rubbish_is_refused_with_the_line_of_its_first_byte(tmp_path: Path, name: str) -> None:
    error = error_of(write(tmp_path, name, b"text,label\n\x00\x01\xff\xfe\x80\n"))
    assert "UTF-8" in error.problem
    assert error.where == f"{tmp_path / name}:2"


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize("content", [b"", b"rubbish" * 40, b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_rubbish_under_an_arrow_name_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    assert name in str(error_of(write(tmp_path, name, content)).where)


def test_a_text_that_an_arrow_file_holds_once_for_all_rows_is_measured_first(tmp_path: Path) -> None:
    codes = pa.array([0] * 50_000, pa.int8())
    table = pa.table({"text": pa.DictionaryArray.from_arrays(codes, pa.array(["x" * 100_000]))})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    assert "too large" in error_of(tmp_path / "a.arrow", ("text",)).problem


def test_a_cut_parquet_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["x"] * 100, "label": ["y"] * 100}), tmp_path / "a.parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    assert "Parquet" in error_of(write(tmp_path, "b.parquet", data[: len(data) // 2])).problem


@pytest.mark.parametrize("content", ["", "  \n\n"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str, content: str) -> None:
    assert "empty" in error_of(write(tmp_path, name, content)).problem


@pytest.mark.parametrize(("name", "content"), [("a.csv", "text,label\n"), ("a.json", "[]")])
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str, content: str) -> None:
    assert "no rows" in error_of(write(tmp_path, name, content)).problem


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        ('{"text": "x", "label": "y"}\n{"text": "x", "label\n', 2, "broken JSON"),
        ('{"text": "x", "label": "y"}\n\n[1, 2]\n', 3, "not a JSON object"),
        ('{"text": "x", "label": "y"}\n{"text": "x"}\n', 2, "no key 'label'"),
        ("[" * 100_000, 1, "broken JSON"),
    ],
)
def test_a_bad_json_line_is_named(tmp_path: Path, content: str, line: int, problem: str) -> None:
    error = error_of(write(tmp_path, "a.jsonl", content))
    assert error.where == f"{tmp_path / 'a.jsonl'}:{line}"
    assert problem in error.problem


@pytest.mark.parametrize(
    ("content", "where"),
    [('[{"text": 1},\n{]', ":2"), ('{"a": 1}', ".json"), ("[" * 100_000, ".json"), ("[1]", "1")],
)
def test_a_json_file_that_is_no_list_of_objects_is_refused(tmp_path: Path, content: str, where: str) -> None:
    assert str(error_of(write(tmp_path, "a.json", content)).where).endswith(where)


def test_an_absent_file_a_folder_and_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("absent.csv", "folder.csv"):
        assert "no such file" in error_of(tmp_path / name).problem
    assert ".parquet" in str(error_of(write(tmp_path, "a.xlsx", "x")).mend)


def test_declared_class_names_are_read_from_the_file(tmp_path: Path) -> None:
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "text": {"_type": "Value"}}
    note = json.dumps({"info": {"features": features}}).encode()
    table = pa.table({"text": ["x"], "label": [1]}).replace_schema_metadata({"huggingface": note})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet", ["label"]).class_names == {"label": ("cat", "dog")}
    odd = table.replace_schema_metadata({"huggingface": b"[1]"})
    pq.write_table(odd, tmp_path / "b.parquet")
    assert read_table(tmp_path / "b.parquet", ["label"]).class_names == {}


@settings(derandomize=True)
@given(st.sampled_from(TABLE_SUFFIXES), st.binary(max_size=300), st.integers(0, 400), st.integers(0, 99))
def test_whatever_the_bytes_the_answer_is_a_table_or_an_error_for_a_person(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, rubbish: bytes, at: int, seed: int
) -> None:
    good = pa.table({"text": ["a", 'b"', None], "label": ["x", "y", "z"]})
    folder = tmp_path_factory.mktemp("fuzz")
    stream = io.BytesIO()
    if suffix == ".parquet":
        pq.write_table(good, stream)
    elif suffix == ".arrow":
        with pa.ipc.new_stream(stream, good.schema) as writer:
            writer.write_table(good)
    elif suffix in (".json", ".jsonl", ".ndjson"):
        lines = map(json.dumps, good.to_pylist())
        stream.write(("[" + ",\n".join(lines) + "]" if suffix == ".json" else "\n".join(lines)).encode())
    else:
        stream.write(b'text,label\n"a\nb",x\n'.replace(b",", b"\t" if suffix == ".tsv" else b","))
    data = stream.getvalue()
    at = at % (len(data) + 1)
    path = write(folder, f"a{suffix}", data[:at] + rubbish + data[at + seed % 3 * len(rubbish) :])
    with contextlib.suppress(InputError):
        table = read_table(path, ["text", "label"])
        assert all(isinstance(table.where(row), str) for row in range(len(table)))
        with contextlib.suppress(InputError):
            split_of(table, label="label", text="text")


def test_a_csv_header_longer_than_any_header_is_refused(tmp_path: Path) -> None:
    assert "column names" in str(error_of(write(tmp_path, "a.csv", "x" * 300_000)).mend)


def test_a_text_longer_than_the_csv_modules_limit_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", f"text,label\n{'long ' * 60_000},a\n,b\n")
    table = read_table(path, ["text", "label"])
    assert len(table.columns["text"][0]) == 300_000
    assert table.where(1) in (f"{path}:3", f"{path}: record 2")
