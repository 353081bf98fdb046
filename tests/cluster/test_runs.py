"""Comparisons on a real Ray cluster: the digests of this machine's processes, whoever dies meanwhile."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import fleetlora
from fleetlora.cluster.parcel import deliver, local_inputs, pack_input, pack_run
from fleetlora.cluster.post import Post
from fleetlora.cluster.runs import RETRIES, RayRuns, _play_there
from fleetlora.comparison import compare
from fleetlora.comparison.executor import EXECUTORS, LocalProcesses
from fleetlora.config import load_experiment
from fleetlora.console import Quiet
from fleetlora.errors import ConfigError, FleetLoraError, InputError
from fleetlora.threads import one_thread
from tests.cluster.conftest import workers

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text("utf-8")


def documented() -> list[str]:
    return re.findall(r"^    (fleetlora [^\n]*--executor ray[^\n]*)$", PAGE, flags=re.MULTILINE)


def test_the_page_documents_both_ways() -> None:
    assert [line.split()[1] for line in documented()] == ["compare", "run"]


@pytest.fixture(scope="module")
def values(tiny: dict[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(tiny)
    made |= {"round": {"count": 6, "period_s": 30.0}, "budget": {"total_j": 2000.0}}
    return {**made, "checkpoint": {"share": 100.0}}  # one every round, however short the rounds are


class KillsOnce(Quiet):
    """Kills the worker of a run as soon as the run has a checkpoint, and remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.killed: list[int] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def begin(self, what: str, total: int) -> None:
        threading.Thread(target=self._kill, daemon=True).start()

    def _kill(self) -> None:
        pattern = "fleetlora-run-*/run/checkpoints/round-*2.safetensors"
        until = time.monotonic() + 120
        while not self.killed and time.monotonic() < until:
            if any(Path(os.environ["TMPDIR"]).glob(pattern)):
                for pid in workers("ray::_play_there"):
                    os.kill(pid, signal.SIGKILL)
                    self.killed.append(pid)
            time.sleep(0.005)


@pytest.mark.slow
def test_a_run_whose_worker_is_killed_goes_on_and_every_digest_is_the_local_one(
    cluster: Any, values: dict[str, Any], tmp_path: Path
) -> None:
    alone = LocalProcesses(1)
    here = compare(values, ["ucb-dual", "fixed"], [0], tmp_path / "here", report=False, executor=alone)
    progress = KillsOnce()
    there = compare(
        values,
        ["ucb-dual", "fixed"],
        [0],
        tmp_path / "there",
        report=False,
        executor=RayRuns(jobs=1, every_s=0.0),
        progress=progress,
    )
    assert progress.killed
    assert any("its worker died" in line for line in progress.lines)
    runs = tmp_path / "there" / "runs"
    assert "resumed after" in (runs / "ucb-dual" / "seed-0" / "log.txt").read_text()
    assert [r["digest"] for r in there.document["runs"]] == [r["digest"] for r in here.document["runs"]]
    folders = [tmp_path / side / "runs" / "fixed" / "seed-0" for side in ("here", "there")]
    for name in ("config.toml", "adapters/signs/adapter_config.json"):
        assert (folders[0] / name).read_text() == (folders[1] / name).read_text()
    assert not list(folders[1].glob("checkpoints"))


class Interrupts(Quiet):
    """Presses Ctrl-C when the first run is over."""

    def advance(self, note: str = "") -> None:
        raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on_where_it_was(
    cluster: Any, values: dict[str, Any], tmp_path: Path
) -> None:
    methods, executor = ["random", "greedy", "fixed"], RayRuns(jobs=1)
    with pytest.raises(KeyboardInterrupt):
        compare(values, methods, [0], tmp_path, report=False, executor=executor, progress=Interrupts())
    assert not (tmp_path / "comparison.json").exists()
    there = {file: json.loads(file.read_text())["status"] for file in tmp_path.glob("runs/*/*/result.json")}
    done = next(file for file, status in there.items() if status == "complete")
    assert {*there.values()} <= {"complete", "interrupted"}  # one that had not begun leaves nothing
    assert len(there) < len(methods)
    before = done.stat().st_mtime_ns
    again = compare(values, methods, [0], tmp_path, report=False, executor=executor)
    assert done.stat().st_mtime_ns == before
    assert [run["method"] for run in again.document["runs"]] == methods


@pytest.mark.slow
@pytest.mark.parametrize("line", documented())
def test_a_documented_command_works(line: str, cluster: Any, values: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "warsaw.toml"
    file.write_text(tomli_w.dumps({**values, "round": {"count": 1, "period_s": 30.0}}), "utf-8")
    address = cluster.get_runtime_context().gcs_address
    words = [sys.executable, "-m", *shlex.split(line.replace("10.0.0.1:6379", address))]
    words[words.index("warsaw")] = str(file)
    words += ["--no-report"] if words[3] == "run" else ["--seeds=0", "--jobs=1"]
    with one_thread():
        here = fleetlora.run(file, tmp_path / "here", report=False) if words[3] == "run" else None
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env={**os.environ, "RAY_ADDRESS": address},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "on a Ray cluster of 1 machine with 2 cores" in done.stderr
    assert here is not None or "report.html" in done.stdout
    assert here is None or f"digest {here.result['digest']}" in done.stdout


@pytest.mark.slow
def test_a_run_that_kills_its_worker_every_time_is_given_up(cluster: Any, values: dict[str, Any]) -> None:
    post = cluster.remote(num_cpus=0)(Post).remote()
    for _ in range(RETRIES + 1):
        cluster.get(post.begin.remote("x"))
    from fleetlora.cluster.connect import here, translated

    lost = cluster.remote(_play_there).remote("x", "", [], post, 1.0, here())
    with pytest.raises(FleetLoraError, match=r"begun 4 times.*\n.*memory"), translated(cluster, "x"):
        cluster.get(lost)


@pytest.mark.slow
def test_what_a_worker_finds_wrong_is_said_as_it_is_here(
    cluster: Any, values: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="may spend") as caught:
        compare(
            values,
            ["fixed"],
            [0],
            tmp_path,
            overrides=["budget.total_j=0.001"],
            executor=RayRuns(),
            report=False,
        )
    assert caught.value.where == "budget.total_j"


def test_files_of_this_machine_are_found_in_a_configuration(tiny: dict[str, Any]) -> None:
    found = local_inputs(load_experiment(tiny))
    assert found == [
        tiny["traces"]["path"],
        tiny["backbone"]["path"],
        tiny["tasks"][0]["train"],
        tiny["tasks"][0]["test"],
    ]
    assert list(pack_input(found[0])) == ["tracks.csv"]
    assert "model.safetensors" in pack_input(found[1])


def test_a_local_sumo_scenario_is_refused_with_its_path(tmp_path: Path, tiny: dict[str, Any]) -> None:
    (tmp_path / "my.sumocfg").write_text("<configuration/>")
    path = str(tmp_path / "my.sumocfg")
    with pytest.raises(InputError, match="traces convert") as caught:
        local_inputs(load_experiment({**tiny, "traces": {"source": "sumo", "path": path}}))
    assert caught.value.where == path


def test_an_input_that_is_too_large_is_refused_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetlora.cluster.parcel.LIMIT_BYTES", 10)
    (tmp_path / "large.csv").write_text("x" * 11)
    with pytest.raises(InputError, match="the most that is sent") as caught:
        pack_input(str(tmp_path / "large.csv"))
    assert caught.value.where == str(tmp_path / "large.csv")


def test_a_run_that_comes_home_replaces_its_earlier_state(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "round-00000001.safetensors").write_bytes(b"old")
    (tmp_path / "mine.txt").write_text("not the run's")
    deliver({"config.toml": b"a = 1\n", "result.json": b"{}"}, tmp_path)
    assert pack_run(tmp_path) == {"config.toml": b"a = 1\n", "result.json": b"{}"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "mine.txt", "result.json"]
    assert json.loads((tmp_path / "result.json").read_text()) == {}


def test_executors_are_known_by_name() -> None:
    assert EXECUTORS.names() == ["local", "ray"]
    with pytest.raises(ConfigError, match="did you mean 'ray'"):
        EXECUTORS.get("rays", where="--executor")
    with pytest.raises(ConfigError, match="--executor ray"):
        EXECUTORS.get("local")(None, "10.0.0.1:6379")
