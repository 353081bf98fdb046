"""Every reader of files, and how its callers use it."""

# ruff: noqa: E501 (the contents of small files)

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz import wraps
from tests.fuzz.cases import Reader

READERS: dict[str, Reader] = {}


def _reader(name: str, share: float = 1.0, **more: Any) -> Callable[[Callable[[Path], object]], Any]:
    def add(read: Callable[[Path], object]) -> Callable[[Path], object]:
        READERS[name] = Reader(name, read, share, **more)
        return read

    return add


# Configurations -------------------------------------------------------------------------------------------


@_reader("config", share=0.05)
def _config(folder: Path) -> None:
    from fleetlora.config import load_experiment, load_traces, to_toml

    file = folder / "run.toml"
    try:
        to_toml(load_experiment(file))
    finally:
        load_traces(file)


# Traces ---------------------------------------------------------------------------------------------------


def _traces(source: str, **options: Any) -> None:
    from fleetlora.traces import TRACE_SOURCES, load_tracks

    kind: Any = TRACE_SOURCES.get(source)
    load_tracks(kind(**options))


@_reader("warsaw", share=0.05)
def _warsaw(folder: Path) -> None:
    _traces("warsaw", path=str(folder))


@_reader("cabspotting", share=0.1)
def _cabspotting(folder: Path) -> None:
    _traces("cabspotting", path=str(folder))


@_reader("tdrive", share=0.08)
def _tdrive(folder: Path) -> None:
    _traces("tdrive", path=str(folder), bad_rows="drop")


@_reader("porto", share=0.1)
def _porto(folder: Path) -> None:
    _traces("porto", path=str(folder / "train.csv"))


@_reader("table", share=0.05, wraps={".csv": wraps.gzipped, ".parquet": wraps.parquet},
         begins={".parquet": (b"\1\1\0\3\x80",), ".csv": (b"vehicle,t,lat,lon\na,0,52,21\na,10,52.001,21\na,20,52.002,21\n",)})  # fmt: skip
def _table(folder: Path) -> None:
    for file in sorted(folder.iterdir()):
        _traces("table", path=str(file), bad_rows="drop" if "drop" in file.name else "refuse")


@_reader("tracks", share=0.1, wraps={".parquet": wraps.parquet},
         begins={".parquet": (b"\1\1\0\3\x80", b'\0fleetlora.tracks\0{"format":1,"epoch_s":0.0,"crs":"EPSG:32634","name":"a"}',)})  # fmt: skip
def _tracks(folder: Path) -> None:
    from fleetlora.traces.storage import holds_tracks

    holds_tracks(folder / "tracks.parquet")
    _traces("tracks", path=str(folder / "tracks.parquet"))


@_reader("sumo-fcd", share=0.3, wraps={".xml": wraps.gzipped}, begins={".xml": (b"<fcd-export/>",)})
def _sumo_fcd(folder: Path) -> None:
    for file in sorted(folder.iterdir()):
        _traces("sumo-fcd", path=str(file))


@_reader(
    "sumo-scenario", share=0.3, wraps={".add.xml": wraps.gzipped}, begins={".add.xml": (b"<additional/>",)}
)
def _sumo_scenario(folder: Path) -> None:
    from fleetlora.traces.sumo_inputs import read_scenario, silenced
    from fleetlora.traces.sumo_net import has_projection
    from fleetlora.traces.sumo_scenario import SumoScenario

    scenario = read_scenario(folder / "a.sumocfg")
    scenario.digest()
    SumoScenario(path=str(folder / "a.sumocfg")).plan(scenario)
    has_projection(scenario.net)
    silenced(scenario, folder)
    for copy in folder.glob("[0-9]_*"):
        copy.unlink()


@_reader("sumo-net", share=0.3)
def _sumo_net(folder: Path) -> None:
    from fleetlora.roadside.sumo_junctions import junction_sites

    junction_sites(folder / "a.net.xml", "local", lights_only=False)


@_reader("points", share=0.8)
def _points(folder: Path) -> None:
    from fleetlora.roadside.points import read_points

    for file in sorted(folder.iterdir()):
        read_points(file, "EPSG:32634" if "degrees" in file.name else "local")


# Records --------------------------------------------------------------------------------------------------


@_reader("run", share=0.05, wraps={".parquet": wraps.parquet},
         begins={".parquet": (b"\1\4\0\3\x80",), "rounds.parquet": (b'\0fleetlora.schema\0001\0fleetlora.identity\0{"method":"m","seed":0}',)})  # fmt: skip
def _run(folder: Path) -> None:
    from fleetlora.comparison.measures import measured
    from fleetlora.records import open_run

    run = open_run(folder)
    assert run.log is not None
    run.map()
    for table in ("rounds", "updates", "contacts", "ledger"):
        getattr(run, table)
    measured(run)


@_reader("map", share=1)
def _map(folder: Path) -> None:
    from fleetlora.records.map_data import encode_map, read_map

    encode_map(read_map(folder / "map.json"))


_STATE = wraps.as_json(
    {"schema": 1, "rounds": 2, "state": {"a": {"$array": "/state/a"}, "b": {"$float": "inf"}}}
)


@_reader(
    "checkpoint", share=0.6, wraps={".safetensors": wraps.checkpoint}, begins={".safetensors": (_STATE,)}
)
def _checkpoint(folder: Path) -> None:
    from fleetlora.records import Checkpoints

    Checkpoints(folder).newest(lambda _line: None)


@_reader("adapter", share=0.6, wraps={".safetensors": wraps.safetensors},
         begins={".safetensors": (b'{"weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}\0\0\0\0\0',)})  # fmt: skip
def _adapter(folder: Path) -> None:
    from fleetlora.lora.peft_files import load_head_info, load_peft

    load_peft(folder)
    load_head_info(folder)


@_reader("comparison", share=0.3)
def _comparison(folder: Path) -> None:
    from fleetlora.comparison.files import open_comparison
    from fleetlora.report.compared.page import _header, _methods_section, _provenance_section, _table_section
    from fleetlora.report.compared.tables import as_csv, as_latex

    comparison = open_comparison(folder)
    as_csv(comparison)
    as_latex(comparison.document)
    for section in (_header, _table_section, _methods_section, _provenance_section):
        section(comparison.document)


@_reader("curve", share=1.0)
def _curve(folder: Path) -> None:
    from fleetlora.curves import read_curves

    read_curves(folder / "curve.json")


@_reader("tuned", share=2.0)
def _tuned(folder: Path) -> None:
    from fleetlora.comparison.tune import read_tuned

    tuned = read_tuned(folder)
    tuned.require_apart(["random"], [9], {"traces": {}})


# Assets ---------------------------------------------------------------------------------------------------


@_reader("wheel", share=0.4, wraps={".whl": wraps.archive},
         begins={".whl": (b"tiny/data/a.txt\t100644\tfirst\ntiny/data/../b\t120000\tsecond",)})  # fmt: skip
def _wheel(folder: Path) -> None:
    from fleetlora.assets import Asset
    from fleetlora.assets.wheel import unpack

    asset = Asset(
        "tiny", "tiny", "1.0", "tiny.whl", "", 0, ("tiny/data/*",), "tiny/data/", "MIT", "test", "test"
    )
    into = folder.parent / "unpacked" / "deep" / "files"
    before = set(folder.parent.iterdir()) | {into.parents[1]}
    try:
        unpack(asset, folder / "tiny.whl", into)
    finally:
        assert set(folder.parent.iterdir()) <= before, "written outside"
        assert not into.parents[1].exists() or set(into.parents[1].iterdir()) <= {into.parent}
        assert not into.parent.exists() or set(into.parent.iterdir()) <= {into}
        shutil.rmtree(into.parents[1], ignore_errors=True)


@_reader("store", share=1.0)
def _store(folder: Path) -> None:
    from fleetlora.assets import Asset, Store

    asset = Asset("tiny", "tiny", "1.0", "tiny.whl", "00", 0, ("*",), "", "MIT", "test", "test")
    Store(folder, {"tiny": asset}).verify()


# Tasks ----------------------------------------------------------------------------------------------------


def _task(source: str, **options: Any) -> None:
    from fleetlora.tasks import TASK_SOURCES
    from fleetlora.tasks.classes import class_codes

    kind: Any = TASK_SOURCES.get(source)
    class_codes(kind(**options).load())


@_reader("task-text", share=0.2, wraps={".arrow": wraps.arrow, ".parquet": wraps.parquet_notes},
         begins={".arrow": (b"\x04text and more",), ".parquet": (b'huggingface\0{"info":{"features":{"label":{}}}}',)})  # fmt: skip
def _task_text(folder: Path) -> None:
    for file in sorted(folder.iterdir()):
        _task("text-file", train=str(file), test_share=0.5)


@_reader("task-clinc", share=1.0)
def _task_clinc(folder: Path) -> None:
    _task("clinc150", path=str(folder / "data.json"))


@_reader("task-orange", share=0.8)
def _task_orange(folder: Path) -> None:
    from fleetlora.tasks.classes import class_codes
    from fleetlora.tasks.sources.orange import OrangeText

    class_codes(OrangeText(train=str(folder / "train.tab"), test=str(folder / "test.tab")).load())


@_reader("task-npz", share=0.4, wraps={".npz": wraps.npz})
def _task_npz(folder: Path) -> None:
    _task("npz", path=str(folder / "data.npz"))


@_reader("task-image", share=0.4)
def _task_image(folder: Path) -> None:
    from fleetlora.tasks.pixels import PixelRules, decode

    rules = PixelRules.of(folder)
    images = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg", ".gif", ".ppm"))
    rules.normalised(decode(images, rules, lambda row: str(images[row])))


@_reader("tokens", share=1.0, wraps={".safetensors": wraps.safetensors},
         begins={".safetensors": (b'{"ids":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}\0\0\0\0\0',)})  # fmt: skip
def _tokens(folder: Path) -> None:
    from fleetlora.tasks.tokens import _check_limit, _read

    _check_limit(folder, 16)
    _read(folder / "cached.safetensors", 2)
