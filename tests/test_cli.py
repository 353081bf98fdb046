"""The command line as a person meets it: output, exit status, and words instead of tracebacks."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from fleetlora.config import load_experiment
from fleetlora.doctor import EXTRAS

CSV = "vehicle,t,lat,lon\n" + "".join(
    f"{v},{1_600_000_000 + 10 * i},{52.2 + 1e-4 * i:.6f},{21.0 + 1e-3 * (v == 'b'):.6f}\n"
    for v in "ab"
    for i in range(30)
)


@pytest.fixture
def tiny_file(tiny: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(tomli_w.dumps(tiny))
    return path


def test_run_prints_json_for_machines_and_nothing_else(call: Any, tiny_file: Path, tmp_path: Path) -> None:
    said = call("run", tiny_file, "--out", tmp_path / "run", "--seed", 3, "--set", "round.count=2", "--json")
    assert said.status == 0
    result = json.loads(said.out)
    assert (result["seed"], result["rounds"]) == (3, 2)
    assert said.err == ""


def test_run_tells_a_person_what_came_out_and_where(call: Any, tiny_file: Path, tmp_path: Path) -> None:
    said = call("run", tiny_file, "--out", tmp_path / "run", "--method", "fixed", "--set", "round.count=2")
    assert said.status == 0
    for word in ("signs", "turns", "%", "digest", "report.html"):
        assert word in said.out
    for word in ("kept", "rounds 1/2", "head-only", "drawing the report"):
        assert word in said.err, "progress goes to standard error"
    again = call("run", tiny_file, "--out", tmp_path / "run")
    assert again.status == 2
    assert "already holds a run" in again.err
    assert "--overwrite" in again.err
    assert call("report", tmp_path / "run").status == 0
    exported = call("export", tmp_path / "run", tmp_path / "out", "--task", "signs")
    assert exported.status == 0
    assert (tmp_path / "out" / "signs" / "adapter_model.safetensors").exists()
    assert call("export", tmp_path / "run", tmp_path / "out").status == 2
    unknown = call("export", tmp_path / "run", tmp_path / "out", "--task", "sings")
    assert (unknown.status, "did you mean 'signs'" in unknown.err) == (2, True)


def test_a_run_in_which_no_update_was_started_ends_well(call: Any, tiny_file: Path, tmp_path: Path) -> None:
    off = [[rsu, 0, 300] for rsu in range(4)]
    keys = ("--set", "round.count=2", "--set", f"faults.rsu_outage.windows={off}")
    said = call("run", tiny_file, "--out", tmp_path / "run", *keys)
    assert said.status == 0, said.err
    assert "2 rounds of – on average, 0 of 0 updates delivered" in said.out
    again = call("run", "--resume", tmp_path / "run")
    assert (again.status, again.out) == (0, said.out)
    result = json.loads(call("run", "--resume", tmp_path / "run", "--json").out)
    assert result["latency_s"]["mean_round"] is None
    assert 0.0 <= result["mean_accuracy"] <= 1.0, "the models as they were at the beginning are tested"


def test_the_printed_configuration_is_complete_and_loads(call: Any, tiny_file: Path, tmp_path: Path) -> None:
    said = call("config", tiny_file)
    values = tomllib.loads(said.out)
    assert values["round"]["deadline_s"] > 0
    assert "# longest a round may last (Delta) (s)" in said.out, "and tells what each key means"
    again = tmp_path / "again.toml"
    again.write_text(said.out)
    assert call("config", again).out == said.out


def test_presets_are_listed_with_what_they_are(call: Any) -> None:
    told = dict(line.split(maxsplit=1) for line in call("presets").out.splitlines())
    assert told["warsaw-small"].startswith("The demo in miniature")
    assert json.loads(call("presets", "--json").out) == list(told)
    assert all(summary.endswith(".") for summary in told.values()), "one line is a sentence"


def test_every_command_tells_what_its_arguments_and_options_are() -> None:
    import typer

    from fleetlora.cli import app

    def silent(command: Any, path: str) -> Iterator[str]:
        for name, inner in getattr(command, "commands", {}).items():
            yield from silent(inner, f"{path} {name}")
        yield from (f"{path} {parameter.name}" for parameter in command.params if not parameter.help)

    assert list(silent(typer.main.get_command(app), "fleetlora")) == []


def test_benches_are_listed_with_their_settings(call: Any) -> None:
    said = call("bench", "--list")
    assert said.status == 0
    assert "fixes = 15000000  # their fixes in all" in said.out
    one = call("bench", "policy", "--list")
    assert one.out in said.out
    assert json.loads(call("bench", "policy", "--list", "--json").out)["policy"] == tomllib.loads(one.out)
    assert "see `fleetlora bench --list`" in call("bench").err
    assert "--set: foo: unknown key" in call("bench", "policy", "--set", "foo=1").err


def test_doctor_names_versions_and_assets(call: Any) -> None:
    said = call("doctor")
    assert said.status == 0
    for word in ("Python", "torch", "GPU", "cores", "cache", "asset minilm", "free disk"):
        assert word in said.out
    findings = {finding["what"]: finding for finding in json.loads(call("doctor", "--json").out)}
    assert findings["numpy"]["good"]


def test_doctor_knows_every_extra() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = {
        extra: tuple(text.partition(">")[0] for text in extras[extra]) for extra in extras if extra != "dev"
    }
    assert named == EXTRAS


def test_doctor_tells_how_a_gpu_is_used(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: "H200")
    assert "H200; used with --set backbone.device=cuda" in call("doctor").out
    assert load_experiment("warsaw", overrides=["backbone.device=cuda"]).backbone.device == "cuda"


def test_doctor_tells_how_to_get_what_is_missing(
    call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLEETLORA_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr("fleetlora.doctor._version", lambda name: "" if name == "libsumo" else "1.0")
    said = call("doctor")
    assert "✗ libsumo" in said.out
    assert "pip install 'fleetlora[sumo]'" in said.out
    assert "fleetlora assets fetch minilm" in said.out


def test_assets_are_listed_with_licence_and_state(
    call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLEETLORA_CACHE", str(tmp_path / "empty"))
    entries = {entry["name"]: entry for entry in json.loads(call("assets", "list", "--json").out)}
    assert entries["warsaw-buses"]["state"] == "absent"
    assert entries["warsaw-buses"]["licence"] == "MIT"
    assert "minilm" in call("assets", "list").out
    unknown = call("assets", "fetch", "minlim")
    assert (unknown.status, "did you mean 'minilm'" in unknown.err) == (2, True)


def test_traces_info_convert_and_plot(call: Any, tmp_path: Path) -> None:
    data = tmp_path / "cabs.csv"
    data.write_text(CSV)
    said = call("traces", "info", data)
    assert said.status == 0
    assert "kept 60 of 60 fixes" in said.out
    facts = json.loads(call("traces", "info", data, "--json").out)
    assert facts["tracks"]["vehicles"] == 2
    assert call("traces", "convert", data, tmp_path / "tracks.parquet").status == 0
    assert call("traces", "convert", data, tmp_path / "tracks.parquet").status == 2
    back = call("traces", "info", tmp_path / "tracks.parquet", "--json")
    assert json.loads(back.out)["tracks"]["vehicles"] == 2
    assert call("traces", "plot", data, tmp_path / "map.png").status == 0
    assert (tmp_path / "map.png").stat().st_size > 1000


def test_traces_show_and_convert_the_window_of_a_configuration(call: Any, tmp_path: Path) -> None:
    data, file, out = tmp_path / "cabs.csv", tmp_path / "cabs.toml", tmp_path / "tracks.parquet"
    data.write_text(CSV)  # a fix every 10 s, from 0 s to 290 s
    traces = {"source": "table", "path": str(data), "start_s": 100.0, "duration_s": 60.0, "vehicles": 1}
    file.write_text(tomli_w.dumps({"traces": traces}))
    said = call("traces", "info", file, "--json")
    facts = json.loads(said.out)
    assert (facts["tracks"]["duration_s"], facts["tracks"]["fixes"]) == (60.0, 14)
    assert facts["account"]["kept"] == 60, "cleaning is of the whole recording, as in a run"
    assert "traces.vehicles = 1 is for runs: here are all vehicles" in said.err
    assert call("traces", "convert", file, out, "--set", "start_s=200").status == 0
    assert json.loads(call("traces", "info", out, "--json").out)["tracks"]["duration_s"] == 60.0
    short = call("traces", "info", data, "--json", "--set", "traces.duration_s=50")
    assert json.loads(short.out)["tracks"]["duration_s"] == 50.0
    late = call("traces", "plot", data, tmp_path / "map.png", "--set", "start_s=900")
    assert (late.status, "traces.start_s: begins after the tracks end at 290 s" in late.err) == (2, True)
    cut = call("traces", "info", data, "--set", "vehicles=1")
    assert (cut.status, "traces.vehicles: a fleet is cut by contacts" in cut.err) == (2, True)


HEAD = "vehicle,t,lat,lon\n"
BAD_TRACES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "empty file": (b"", ("empty",)),
    "header alone": (HEAD.encode(), ("cabs.csv",)),
    "missing column": (b"vehicle,t,lat\na,1,52.0\n", ("lon",)),
    "text in a number": (f"{HEAD}a,1,52.0,21.0\na,2,north,21.0\n".encode(), ("cabs.csv:3", "lat", "north")),
    "NaN": (f"{HEAD}a,1,52.0,21.0\na,2,nan,21.0\n".encode(), ("cabs.csv:3", "lat")),
    "blank vehicle": (f"{HEAD}a,1,52.0,21.0\n,2,52.0,21.0\n".encode(), ("cabs.csv:3", "vehicle")),
    "one fix": (f"{HEAD}a,1,52.0,21.0\n".encode(), ("fix",)),
    "binary rubbish": (bytes(range(256)) * 8, ("cabs.csv",)),
}


@pytest.mark.parametrize("case", BAD_TRACES)
def test_bad_traces_end_with_status_2_and_a_mend(call: Any, tmp_path: Path, case: str) -> None:
    content, words = BAD_TRACES[case]
    data = tmp_path / "cabs.csv"
    data.write_bytes(content)
    out = tmp_path / "tracks.parquet"
    said = call("traces", "convert", data, out)
    assert said.status == 2, said.err
    for word in words:
        assert word in said.err
    assert "→" in said.err
    assert "Traceback" not in said.err
    assert not out.exists()


def test_a_truncated_gz_ends_with_status_2(call: Any, tmp_path: Path) -> None:
    data = tmp_path / "cabs.csv.gz"
    data.write_bytes(gzip.compress(CSV.encode() * 40)[:-40])
    said = call("traces", "info", data)
    assert (said.status, "cabs.csv.gz" in said.err, "→" in said.err) == (2, True, True)


def test_sumo_missing_is_said_with_the_mend(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETLORA_CACHE", str(tmp_path / "cache"))
    for module in ("libsumo", "sumo", "sumolib"):
        monkeypatch.setitem(sys.modules, module, None)
    config = tmp_path / "city.sumocfg"
    config.write_text("<configuration/>")
    said = call("traces", "info", config)
    assert (said.status, "fleetlora[sumo]" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "warsav"), ("warsav", "did you mean 'warsaw'")),
        (("run", "warsaw", "--method", "fixd"), ("method", "did you mean 'fixed'")),
        (("run", "warsaw", "--set", "round.cuont=3"), ("round.cuont", "'count'")),
        (("run", "warsaw", "--set", "budget.total_j=-1"), ("budget.total_j", "greater than 0")),
        (("report", "no-such-run"), ("no-such-run",)),
        (("nonsense",), ("nonsense",)),
        (("run", "warsaw", "--sed", "1"), ("--sed",)),
    ],
)
def test_a_slip_of_the_pen_ends_with_status_2_and_words(
    call: Any,
    arguments: tuple[str, ...],
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call(*arguments)
    assert said.status == 2, said.err
    for word in words:
        assert word in said.err
    assert "Traceback" not in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_leaves_what_is_done_readable(tiny: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(tomli_w.dumps({**tiny, "round": {"count": 10_000, "period_s": 0.0, "sync_every": 1}}))
    out = tmp_path / "run"
    command = [sys.executable, "-m", "fleetlora", "run", str(file), "--out", str(out)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    log = out / "log.txt"
    deadline = time.monotonic() + 120
    while not (log.exists() and "round 1:" in log.read_text()):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    import fleetlora

    run = fleetlora.open_run(out)
    assert run.result["status"] == "interrupted"
    assert run.result["rounds"] >= 2
