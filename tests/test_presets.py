"""The shipped presets on their real inputs, end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import fleetlora
from fleetlora.build import build_world

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("real_inputs")]


def test_the_small_preset_repeats_its_digest_in_another_process(tmp_path: Path) -> None:
    shorter = ["round.count=2", "evaluation.head_only=false"]
    here = fleetlora.run("warsaw-small", tmp_path / "here", seed=7, overrides=shorter, report=False)
    command = [
        sys.executable,
        "-m",
        "fleetlora",
        "run",
        "warsaw-small",
        "--seed",
        "7",
        "--json",
        "--no-report",
    ]
    command += [f"--set={value}" for value in shorter]
    there = subprocess.run([*command, "--out", str(tmp_path / "there")], capture_output=True, check=True)
    assert json.loads(there.stdout)["digest"] == here.result["digest"]


def test_the_demo_has_hundreds_of_handoffs_among_1400_buses() -> None:
    world = build_world(fleetlora.load_experiment("warsaw"))
    assert world.tracks.n_vehicles > 1400
    assert world.contacts.n_handoffs > 300
    at_a_time = [(world.observe(t).rsu >= 0).sum() for t in range(0, 1300, 60)]
    assert min(at_a_time) > 200


def test_ingolstadt_runs_end_to_end_with_handoffs(tmp_path: Path) -> None:
    pytest.importorskip("libsumo")
    run = fleetlora.run(
        "ingolstadt",
        tmp_path / "run",
        overrides=["round.count=2", "evaluation.head_only=false", "admission.vehicles_per_task=1"]
        + [f"tasks.{task}.encoding.max_test=60" for task in ("newsgroups", "reuters")]
        + ["training.steps=2"],
    )
    assert run.result["handoffs"] > 0
    assert run.result["updates"]["delivered"] > 0
    assert (run.path / "report.html").stat().st_size > 1_000_000
