"""The sound files that fuzzing begins with: ``python -m tests.fuzz.make_seeds`` makes ``seeds/`` anew."""

# ruff: noqa: E501 (the contents of small files)

from __future__ import annotations

import gzip
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.cases import SEEDS
from tests.records.make_sample import SAMPLES

_RUN = """\
extends = "warsaw"
name = "seed"
method = "hetlora"
seed = 3

[round]
count = 4

[[tasks]]
name = "a"
source = "text-file"
train = "a.csv"
test_share = 0.2
"""
_TRACES = """\
[traces]
source = "table"
path = "tracks.csv"
since = 2021-02-03T08:00:00
names = ["vehicle", "t", "lat", "lon"]

[traces.cleaning]
gap_s = 60.0

[sites]
placement = "grid"
spacing_m = 500.0

[[tasks]]
name = "a"
source = "reuters52"

[backbone]
path = "asset:minilm"
"""
_NET = """\
<net version="1.20">
 <location netOffset="0,0" convBoundary="0,0,100,0" origBoundary="0,0,1,1" projParameter="!"/>
 <edge id="e" from="a" to="b" priority="1"><lane id="e_0" index="0" speed="13.9" length="100" shape="0,0 100,0"/></edge>
 <junction id="a" type="dead_end" x="0" y="0" incLanes="" intLanes="" shape="0,0 0,1"/>
 <junction id="b" type="priority" x="100" y="0" incLanes="e_0" intLanes="" shape="100,0 100,1"/>
</net>
"""
_CONFIG = """\
<configuration>
 <input><net-file value="a.net.xml"/><route-files value="a.rou.xml"/><additional-files value="a.add.xml"/></input>
 <time><begin value="0"/><end value="0:01:00"/><step-length value="1"/></time>
</configuration>
"""


def main() -> None:
    """Make all seeds."""
    shutil.rmtree(SEEDS, ignore_errors=True)
    for make in (
        _configs,
        _fleets,
        _tables,
        _sumo,
        _points,
        _records,
        _adapters,
        _comparisons,
        _curves,
        _assets,
        _tasks,
        _tokens,
    ):
        make(SEEDS)
    print(sum(path.stat().st_size for path in SEEDS.rglob("*") if path.is_file()), "bytes in", SEEDS)


def _write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _parquet(columns: dict[str, Any], notes: dict[str, str] | None = None) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(notes) if notes else table, sink)
    return sink.getvalue()


def _configs(at: Path) -> None:
    at = at / "config"
    _write(at, {"run/run.toml": _RUN, "traces/run.toml": _TRACES})
    _write(at / "plain", {"run.toml": (SAMPLES / "schema-1" / "config.toml").read_text("utf-8")})


def _fleets(at: Path) -> None:
    warsaw = "".join(
        f"{10 + v}\t21.0{v}{t}\t{1000 + v}\t2021-02-03 08:4{t}:06\t52.2{v}{t}\t{v}\n"
        for v in range(2)
        for t in range(4)
    )
    _write(at / "warsaw" / "a", {"data_0.txt": warsaw, "data_1.txt": warsaw})
    cab = "".join(f"37.7{t} -122.4{t} {t % 2} {1211035000 - 60 * t}\n" for t in range(5))
    _write(at / "cabspotting" / "a", {"new_abc.txt": cab, "new_def.txt": cab})
    taxi = "".join(f"1,2008-02-02 15:0{t}:08,116.5{t},39.9{t}\n" for t in range(5))
    _write(at / "tdrive" / "a", {"1.txt": taxi, "2.txt": "\n"})
    trip = _json([[-8.61, 41.14], [-8.611, 41.141], [-8.612, 41.142]])
    rows = f'"T1","2001","1372636858","False","{trip}"\n"T2","2002","1372636900","True","[]"\n'
    _write(
        at / "porto" / "a",
        {"train.csv": f'"TRIP_ID","TAXI_ID","TIMESTAMP","MISSING_DATA","POLYLINE"\n{rows}'},
    )


def _tables(at: Path) -> None:
    rows = [("a", 10 * i, 52.0 + 0.001 * i, 21.0) for i in range(5)]
    text = "vehicle,t,lat,lon\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    quoted = 'vehicle;t;lat;lon\n"a;b";2024-02-19T09:40:06+01:00;52;21\n"a;b";2024-02-19T09:40:16+01:00;52.001;21\n'
    quoted += '"a;b";2024-02-19T09:40:26+01:00;52.002;21\n'
    _write(at / "table", {"comma/a.csv": text, "quotes/drop.csv": quoted})
    columns = dict(zip(("vehicle", "t", "lat", "lon"), map(list, zip(*rows, strict=True)), strict=True))
    _write(
        at / "table",
        {"parquet/a.parquet": _parquet(columns), "zipped/a.csv.gz": gzip.compress(text.encode(), mtime=0)},
    )
    from fleetlora.traces import TRACE_SOURCES, convert

    table: Any = TRACE_SOURCES.get("table")
    (at / "tracks" / "a").mkdir(parents=True)
    convert(table(path=str(at / "table/comma/a.csv")), at / "tracks" / "a" / "tracks.parquet")


def _sumo(at: Path) -> None:
    vehicles = "".join(
        f'<timestep time="{t}.00"><vehicle id="v" x="{1000 + t}.5" y="1000" type="bus"/><person id="p"/></timestep>'
        for t in range(5)
    )
    rows = "timestep_time;vehicle_id;vehicle_x;vehicle_y\n" + "".join(
        f"{t}.00;v;{1000 + t}.5;1000\n" for t in range(5)
    )
    times = [float(t) for t in range(5)]
    columns = {
        "timestep_time": times,
        "vehicle_id": ["v"] * 5,
        "vehicle_x": [1000 + t for t in times],
        "vehicle_y": [1000.0] * 5,
    }
    xml = f"<fcd-export>{vehicles}</fcd-export>"
    _write(at / "sumo-fcd", {"xml/a.xml": xml, "csv/a.csv": rows, "parquet/a.parquet": _parquet(columns)})
    detectors = '<additional><e1Detector id="d" lane="e_0" pos="1" file="out.xml"/><include href="a.inc.xml"/></additional>'
    routes = '<routes><trip id="t" depart="0" from="e" to="e"/></routes>'
    files = {"a.sumocfg": _CONFIG, "a.net.xml": _NET, "a.rou.xml": routes, "a.add.xml": detectors}
    _write(at / "sumo-scenario" / "a", {**files, "a.inc.xml": "<additional/>"})
    _write(at / "sumo-net" / "a", {"a.net.xml": _NET})


def _points(at: Path) -> None:
    at = at / "points"
    stop = "key;key;key;key;key;key;key\nvalue;01;Pola\\u0142y;x;52.2;21.0;1\nvalue;02;B;x;null;null;1\n"
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [21.0, 52.2]},
        "properties": {"name": "a"},
    }
    geojson = _json({"type": "FeatureCollection", "features": [feature]})
    _write(at, {"csv/degrees.csv": "name,lon,lat\na,21.0,52.2\n", "metres/a.csv": "x_m,y_m\n1,2\n300,4\n"})
    _write(at, {"warsaw/degrees.txt": stop, "geojson/degrees.geojson": geojson})


def _records(at: Path) -> None:
    shutil.copytree(SAMPLES / "schema-1", at / "run" / "a")
    (at / "run" / "a" / "log.txt").write_text("round 0\n")
    from fleetlora.records import Checkpoints, MapData, write_map

    three = np.arange(3.0)
    world = MapData(
        three, np.ones((2, 3)), np.ones((2, 3)), np.zeros((2, 3), int), ("v", "w"), ("r",), np.zeros(1), np.zeros(1),
        500.0, three[:1], np.zeros(1, int), np.zeros(1, int), np.zeros(1, int), three[:1], three[:1], three, three,
    )  # fmt: skip
    write_map(world, at / "map" / "a" / "map.json")
    (at / "run" / "a" / "figures").mkdir()
    shutil.copy(at / "map" / "a" / "map.json", at / "run" / "a" / "figures" / "map.json")
    state = {"fingerprint": "x", "simulation": {"a": np.arange(3), "f": float("inf"), "list": [{"x": None}]}}
    for rounds in (1, 2):
        Checkpoints(at / "checkpoint" / "a").save(rounds, state)


def _adapters(at: Path) -> None:
    import torch

    from fleetlora.lora.adapter import Adapter
    from fleetlora.lora.notes import HeadInfo
    from fleetlora.lora.peft_files import save_peft

    head = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
    info: HeadInfo = {
        "kind": "text", "classes": ["a", "b"], "max_tokens": 8, "pooling": "mean", "normalised": False,
        "backbone": "base", "backbone_sha256": "00",
    }  # fmt: skip
    save_peft(
        Adapter(1, 2.0, {"l.q": torch.ones(1, 3)}, {"l.q": torch.ones(3, 1)}, head),
        at / "adapter" / "a",
        "base",
        info,
    )
    save_peft(Adapter(0, 2.0, {}, {}, head), at / "adapter" / "head", "base", info)


def _comparisons(at: Path) -> None:
    from tests.comparison.synthetic import document

    whole = document(("ucb-dual", "homolora-2"), (0, 1))
    _write(at / "comparison" / "a", {"comparison.json": _json(whole)})
    tuned = {"schema": 1, "name": "t", "seeds": [1], "traces": {"source": "warsaw"}, "host": {}}
    tuned["methods"] = {"random": {"overrides": ["training.learning_rate=0.1"], "scores": []}}
    _write(at / "tuned" / "a", {"tuned.json": _json(tuned)})


def _curves(at: Path) -> None:
    from dataclasses import asdict

    from fleetlora.curves import Contribution, Costs, GainLine, Growth, Recipe, TaskCurve

    recipe = Recipe(1.0, 0.0, 0.0, Costs((4, 8), (100, 200), (100, 200), (1e6, 2e6), 300))
    curve = TaskCurve(
        classes=3,
        test_samples=60,
        contribution=Contribution(0.2, 0.7, 0.2, 0.5, 0.3, 0.7),
        accuracy=Growth(0.1, 0.9, 20.0, 1.2),
        unsettled=0.02,
        loss=Growth(3.0, 0.6, 20.0, 1.2),
        gain=GainLine(0.1, 0.02, 0.0, 0.0, 0.1, 0.2),
        local_loss=(0.1, 0.3),
        local_accuracy=0.05,
        recipes={"product": recipe},
    )
    whole = {"schema": 1, "base": {"lora.alpha": 16.0}, "error_points": {"signs": 1.5}, "host": {}}
    _write(at / "curve" / "a", {"curve.json": _json({**whole, "tasks": {"signs": asdict(curve)}})})


def _assets(at: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("tiny/data/a.txt", "tiny/data/deep/b.txt", "tiny/code.py"):
            archive.writestr(zipfile.ZipInfo(name), b"content of it\n")
    _write(at / "wheel" / "a", {"tiny.whl": sink.getvalue()})
    manifest = {"asset": "tiny", "wheel_sha256": "00", "files": {"a.txt": {"size": 6, "sha256": "x"}}}
    home = "assets/tiny-1.0"
    _write(at / "store" / "a", {f"{home}/manifest.json": _json(manifest), f"{home}/files/a.txt": "first\n"})


def _tasks(at: Path) -> None:
    texts, labels = ["stop here", "go on", "stop now", "go left"], ["stop", "go", "stop", "go"]
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    csv = "text,label\n" + "".join(f'"{row["text"]}",{row["label"]}\n' for row in rows)
    files: dict[str, str | bytes] = {
        "csv/a.csv": csv,
        "tsv/a.tsv": csv.replace(",", "\t"),
        "json/a.json": _json(rows),
    }
    files |= {"jsonl/a.jsonl": "".join(f"{_json(row)}\n" for row in rows)}
    files |= {
        "parquet/a.parquet": _parquet({"text": texts, "label": [0, 1, 0, 1]}),
        "arrow/a.arrow": _arrow(rows),
    }
    _write(at / "task-text", files)
    pairs = [[row["text"], row["label"]] for row in rows]
    _write(at / "task-clinc" / "a", {"data.json": _json({"train": pairs, "test": pairs})})
    orange = "text\tkind\nstring\tdiscrete\nmeta\tclass\n\n" + "".join(f"{a}\t{b}\n" for a, b in pairs)
    _write(at / "task-orange" / "a", {"train.tab": orange, "test.tab": orange})
    sink = io.BytesIO()
    pixels, two = np.zeros((4, 2, 2, 3), np.uint8), np.array([0, 1, 0, 1])
    np.savez(sink, x_train=pixels, y_train=two, x_test=pixels, y_test=two)
    _write(at / "task-npz" / "a", {"data.npz": sink.getvalue()})
    _images(at / "task-image")


def _arrow(rows: list[dict[str, str]]) -> bytes:
    import pyarrow as pa

    sink = io.BytesIO()
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _images(at: Path) -> None:
    from PIL import Image

    rules = {
        "size": {"height": 4, "width": 4},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 2,
    }
    picture = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    for ending, kind in (("png", "PNG"), ("jpg", "JPEG"), ("gif", "GIF"), ("ppm", "PPM")):
        sink = io.BytesIO()
        picture.save(sink, kind)
        _write(at / ending, {f"a.{ending}": sink.getvalue(), "preprocessor_config.json": _json(rules)})
    edge = {"size": {"shortest_edge": 4}, "crop_size": 3, "do_center_crop": True}
    _write(
        at / "edge",
        {"a.ppm": b"P6 2 2 255\n" + bytes(12), "processor_config.json": _json({"image_processor": edge})},
    )
    _write(at / "config", {"a.ppm": b"P6 2 2 255\n" + bytes(12), "config.json": _json({"image_size": 4})})


def _tokens(at: Path) -> None:
    from safetensors.numpy import save

    arrays = {"ids": np.arange(4, dtype=np.int32), "offsets": np.array([0, 2, 4]), "pad_id": np.array([0])}
    notes = {
        "config.json": _json({"max_position_embeddings": 64}),
        "tokenizer_config.json": _json({"model_max_length": 32}),
    }
    _write(at / "tokens" / "a", {"cached.safetensors": save(arrays), **notes})


if __name__ == "__main__":
    main()
