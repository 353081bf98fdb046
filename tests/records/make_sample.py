"""The run that ``samples/schema-N`` holds: ``python -m tests.records.make_sample`` plays it anew.

It is played once for every layout of run directories and kept as it was; tests open it with later versions.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import fleetlora
from fleetlora.records.schemas import SCHEMA
from tests.tiny import experiment

SAMPLES = Path(__file__).parent / "samples"


def make() -> Path:
    """Play a run of two rounds and leave its directory, without figures and log, among the samples."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # so that the configuration names its files without the folder of this machine
        try:
            values = experiment(Path("tiny"), method="ucb-dual", round={"count": 2, "period_s": 20.0})
            values["lora"] = {"ranks": [1, 2]}
            values["tasks"] = values["tasks"][:1]
            run = fleetlora.run(values, "run", report=False)
            (run.path / "log.txt").unlink()
            shutil.rmtree(run.path / "figures", ignore_errors=True)
            there = SAMPLES / f"schema-{SCHEMA}"
            shutil.rmtree(there, ignore_errors=True)
            shutil.copytree(run.path, there)
        finally:
            os.chdir(here)
    return there


if __name__ == "__main__":
    print(make())
