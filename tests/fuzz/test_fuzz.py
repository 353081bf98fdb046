"""Every reader meets its seeds, what once broke it, and a short pass of hostile changes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetlora.errors import FleetLoraError
from tests.fuzz.cases import CUT, FOUND, PATCH, REPLACE, SEEDS, WRAP, Bench
from tests.fuzz.engine import Executor, changed
from tests.fuzz.readers import READERS

#: Executions of each reader in the short pass; dear readers get fewer.
RUNS = 60
DEAR = {"config": 12, "run": 12, "table": 20, "warsaw": 20, "task-text": 30}


_KEYS = ("schema", "seeds", "traces", "methods", "state", "rounds", "features", "files", "train", "x")

#: Any JSON, its keys such that some are those that readers look for.
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5),
    max_leaves=12,
)


@pytest.fixture(autouse=True)
def _few_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look installed entry points up once; a reader of configurations asks for them in every file."""
    from functools import cache

    from fleetlora import registry

    monkeypatch.setattr(registry, "entry_points", cache(registry.entry_points))


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "cases").mkdir()
    return Bench(READERS[request.param], tmp_path / "cases")


def test_every_reader_has_seeds_and_every_seed_a_reader() -> None:
    assert {path.name for path in SEEDS.iterdir()} == set(READERS)
    assert {path.name for path in FOUND.iterdir()} <= set(READERS)
    assert sum(path.stat().st_size for path in SEEDS.rglob("*") if path.is_file()) < 200_000


@pytest.mark.parametrize("bench", READERS, indirect=True)
def test_seeds_are_taken(bench: Bench) -> None:
    for case in bench.cases:
        bench.reader.read(case)


@pytest.mark.parametrize("bench", READERS, indirect=True)
def test_what_once_broke_a_reader_is_refused(bench: Bench) -> None:
    folder = FOUND / bench.reader.name
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        _meets(bench, path.read_bytes())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_a_short_pass_finds_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    executor, draws = Executor(READERS[name], tmp_path / "cases", tmp_path / "found"), random.Random(name)
    begins = list(executor.bench.beginnings())
    for _ in range(DEAR.get(name, RUNS)):
        executor.meet(changed(draws.choice(begins), draws))
    assert executor.tally.findings == {}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "bench", ["tuned", "checkpoint", "points", "store", "task-clinc", "map"], indirect=True
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents, st.integers(0, 255), st.sampled_from([REPLACE, WRAP]))
def test_any_json_is_taken_or_refused(bench: Bench, value: object, file: int, mode: int) -> None:
    _meets(bench, bytes([file, file, mode]) + json.dumps(value).encode())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bench", ["porto", "sumo-fcd", "task-orange", "adapter"], indirect=True)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=60),
    st.integers(0, 255),
    st.integers(0, 255),
    st.sampled_from([REPLACE, PATCH, CUT, WRAP]),
)
def test_any_bytes_are_taken_or_refused(bench: Bench, data: bytes, case: int, file: int, mode: int) -> None:
    _meets(bench, bytes([case, file, mode]) + data)


def _meets(bench: Bench, data: bytes) -> None:
    with suppress(FleetLoraError):
        bench.meet(data)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed")
def test_the_guided_fuzzer_runs_and_sums_up(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "tuned,tokens", "--runs", "2000"]
    command += ["--out", str(tmp_path / "fuzz.json"), "--found", str(tmp_path / "found")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert ran.returncode == 0, ran.stdout[-2000:]
    told = json.loads((tmp_path / "fuzz.json").read_text())
    assert told["guided_by_coverage"]
    assert told["executions"] == 2000
    assert told["findings"] == 0
    assert 0 < told["peak_bytes"] < 2 << 30


def test_the_fuzzer_sees_a_reader_that_breaks(tmp_path: Path) -> None:
    from tests.fuzz.cases import Reader

    def breaks(folder: Path) -> None:
        if b"seeds" not in (folder / "tuned.json").read_bytes():
            raise KeyError("seeds")

    (tmp_path / "cases").mkdir()
    executor = Executor(Reader("tuned", breaks), tmp_path / "cases", tmp_path / "found")
    executor.meet(b"\0\0\0{}")
    executor.meet(b"\0\0\0[]")
    assert [one["times"] for one in executor.tally.findings.values()] == [2]
    assert [path.read_bytes() for path in (tmp_path / "found").iterdir()] == [b"\0\0\0{}"]
