"""What no reader takes: too much, too deep, lies about size, and text that is none."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fleetlora import limits, parquet
from fleetlora.config import load_experiment, load_traces
from fleetlora.documents import parse_json, parse_toml, read_json
from fleetlora.errors import ConfigError, InputError
from fleetlora.lora.peft_files import load_peft
from fleetlora.roadside.points import read_points
from fleetlora.tasks import TASK_SOURCES
from fleetlora.traces import TRACE_SOURCES

HEAD = "vehicle,t,lat,lon\n"


def _table(path: Path, **options: Any) -> Any:
    kind: Any = TRACE_SOURCES.get("table")
    return kind(path=str(path), **options).read()


@pytest.mark.parametrize("deep", ["[" * 100 + "]" * 100, '{"a":' * 100 + "1" + "}" * 100, "[" * 10**6])
def test_deeply_nested_json_is_refused(deep: str) -> None:
    with pytest.raises(InputError, match="broken JSON"):
        parse_json(deep, "file", "mend it")


@pytest.mark.parametrize(
    "deep", ["a=" + "[" * 10_000, "a=" + "[" * 100 + "]" * 100, ".".join("a" * 200) + "=1"]
)
def test_deeply_nested_toml_is_refused(deep: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not TOML"):
        parse_toml(deep, "file")
    (tmp_path / "a.toml").write_text(deep)
    with pytest.raises(ConfigError, match=r"a\.toml: not TOML"):
        load_experiment(tmp_path / "a.toml")


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "1e999", '"\\ud800"', '{"\\udfff": 1}', "1" * 5000])
def test_json_that_would_surprise_later_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="broken JSON"):
        parse_json(text, "file", "mend it")


def test_a_mark_at_the_beginning_and_line_ends_of_windows_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a":\r\n 1}\r\n')
    assert read_json(tmp_path / "a.json", "mend") == {"a": 1}
    (tmp_path / "a.toml").write_bytes(b'\xef\xbb\xbf[traces]\r\nsource = "warsaw"\r\n')
    assert load_traces(tmp_path / "a.toml").component == "warsaw"
    rows = "".join(f"a,{10 * i},52.{i},21\r\n" for i in range(3))
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode() + rows.encode())
    assert _table(tmp_path / "a.csv").vehicle.tolist() == ["a", "a", "a"]


@pytest.mark.parametrize("content", [b"\0" * 100, b"name\0 = 1", b"\xff\xfe\x00", b"a = '\xed\xa0\x80'"])
def test_text_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    for name in ("a.toml", "a.json"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            load_experiment(tmp_path / name) if name == "a.toml" else read_json(tmp_path / name, "mend")


def test_a_line_of_ten_megabytes_is_refused_or_read_soon(tmp_path: Path) -> None:
    long = "x" * 10_000_000
    (tmp_path / "head.csv").write_text(long + "\n")
    with pytest.raises(InputError, match="first line is longer"):
        _table(tmp_path / "head.csv")
    (tmp_path / "name.csv").write_text(f"{HEAD}{long},0,52,21\nb,1,52,21\n")
    with pytest.raises(InputError, match="10000000 characters, at most 1000"):
        _table(tmp_path / "name.csv")
    (tmp_path / "number.csv").write_text(f"{HEAD}a,0,{'5' * 10_000_000},21\n")
    with pytest.raises(InputError, match="not a finite number"):
        _table(tmp_path / "number.csv")
    (tmp_path / "points.csv").write_text(f"lon,lat\n{long},1\n")
    with pytest.raises(InputError, match=r"points\.csv"):
        read_points(tmp_path / "points.csv", "local")


def test_names_with_a_nul_are_refused_as_they_would_lose_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(HEAD.encode() + b"a,0,52,21\n" * 9000 + b"a\0,0,52,21\n")
    with pytest.raises(InputError, match="NUL"):
        _table(tmp_path / "a.csv")


@pytest.mark.parametrize("source", ["table", "sumo-fcd"])
def test_a_small_gzip_file_that_unpacks_to_a_lot_is_refused(tmp_path: Path, source: str) -> None:
    path = tmp_path / "bomb.csv.gz"
    begins = HEAD if source == "table" else "<fcd-export>"
    path.write_bytes(gzip.compress(begins.encode() + b" " * 40_000_000, 9))
    assert path.stat().st_size < 50_000
    kind: Any = TRACE_SOURCES.get(source)
    with pytest.raises(InputError, match=r"too large: .* bytes unpack to more than 200 times"):
        kind(path=str(path)).read()


@pytest.mark.parametrize(
    "read",
    [
        lambda file: file.readline(),
        lambda file: list(iter(file.read1, b"")),
        lambda file: list(io.TextIOWrapper(file)),
    ],
    ids=["readline", "read1", "text"],
)
def test_a_small_gzip_file_of_one_long_line_is_refused_however_it_is_read(
    tmp_path: Path, read: Callable[[limits.Unzipped], object]
) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b" " * 40_000_000, 9))
    with limits.Unzipped(path) as file, pytest.raises(InputError, match="unpack to more than 200 times"):
        read(file)


def test_lines_of_a_gzip_file_come_whole_or_as_far_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    with limits.Unzipped(path) as file:
        assert [file.readline(2), file.readline(), file.readline(None), file.readline()] == [
            b"on", b"e\n", b"two\n", b"",
        ]  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
def test_a_long_header_of_positions_is_refused_and_not_shown(tmp_path: Path, packed: bool) -> None:
    kind: Any = TRACE_SOURCES.get("sumo-fcd")
    for header, problem in ((b"x;" * 100_000, "first line is longer"), (b"x;" * 30_000, "no column for")):
        path = tmp_path / "a.csv"
        path.write_bytes(gzip.compress(header) if packed else header)
        with pytest.raises(InputError, match=problem) as caught:
            kind(path=str(path)).read()
        assert len(str(caught.value)) < 1000


def test_xml_whose_entities_explode_is_refused(tmp_path: Path) -> None:
    levels = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    text = f'<!DOCTYPE x [<!ENTITY e0 "boom">{levels}]><fcd-export><vehicle id="&e9;"/></fcd-export>'
    (tmp_path / "a.xml").write_text(text)
    kind: Any = TRACE_SOURCES.get("sumo-fcd")
    with pytest.raises(InputError, match=r"a\.xml"):
        kind(path=str(tmp_path / "a.xml")).read()


def test_files_above_a_limit_are_refused_unread(tmp_path: Path) -> None:
    for name, most in (
        ("a.toml", limits.CONFIG_BYTES),
        ("a.json", limits.DOCUMENT_BYTES),
        ("a.csv", limits.TEXT_BYTES),
    ):
        with (tmp_path / name).open("wb") as file:
            os.truncate(file.fileno(), most + 1)  # a hole: it takes no room
    with pytest.raises(InputError, match="too large"):
        load_experiment(tmp_path / "a.toml")
    with pytest.raises(InputError, match="too large"):
        read_json(tmp_path / "a.json", "mend")
    with pytest.raises(InputError, match="too large"):
        _table(tmp_path / "a.csv")


@pytest.mark.parametrize("source", ["table", "tracks", "sumo-fcd"])
def test_parquet_that_declares_immense_tables_is_refused_before_they_are_made(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("vehicle", "t", "lat", "lon") if source == "table" else ("time", "id", "x", "y")
    pq.write_table(pa.table({name: np.zeros(300) for name in names}), tmp_path / "a.parquet")
    monkeypatch.setattr(parquet, "TABLE_VALUES", 1000)
    kind: Any = TRACE_SOURCES.get(source)
    with pytest.raises(InputError, match="too large: it declares 300 rows"):
        kind(path=str(tmp_path / "a.parquet")).read()


@pytest.mark.parametrize("shape", [[2**40, 2**20], [2**62, 2**62], [-1, 4], [1e30]])
def test_safetensors_that_declare_immense_shapes_are_refused(shape: list[float], tmp_path: Path) -> None:
    header = json.dumps({"weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}).encode()
    (tmp_path / "head.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(InputError, match="not a readable safetensors file"):
        load_peft(tmp_path)


def test_an_array_that_declares_more_than_it_holds_is_refused_before_it_is_made(tmp_path: Path) -> None:
    sink = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        sink, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 4, 4, 3)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x_train.npy", sink.getvalue())
    kind: Any = TASK_SOURCES.get("npz")
    with pytest.raises(InputError, match="more than it holds"):
        kind(path=str(tmp_path / "a.npz")).load()


def test_an_image_of_too_many_pixels_is_refused_undecoded(tmp_path: Path) -> None:
    from fleetlora.tasks.pixels import PixelRules, decode

    (tmp_path / "a.ppm").write_bytes(b"P6 10000 10000 255\n" + bytes(12))
    with pytest.raises(InputError, match="10000x10000 pixels"):
        decode([tmp_path / "a.ppm"], PixelRules(), lambda _row: "a.ppm")
