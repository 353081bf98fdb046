"""Starting the programs of ``benchmarks/rivals``, each a process, perhaps in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetlora.errors import FleetLoraError, InputError
from fleetlora.lora.adapter import Adapter

__all__ = ["RIVALS", "Played", "check", "play"]

#: Name in results, program, and whether it needs the rivals' own environment.
RIVALS: dict[str, tuple[str, bool]] = {
    "PEFT loop": ("peft_loop.py", False),
    "pfl": ("pfl_simulation.py", True),
    "Flower": ("flower_simulation.py", True),
}


@dataclass(frozen=True, eq=False)
class Played:
    """What a program made of the work.

    Attributes:
        aggregate: The last global adapter.
        cpu_s: Processor seconds of each round, of all processes.
        wall_s: Seconds of each round.
        notes: Whatever else it says of itself: cores, versions.
    """

    aggregate: Adapter
    cpu_s: list[float]
    wall_s: list[float]
    notes: dict[str, Any]


def check(program: Path, python: Path | None) -> None:
    """Refuse a program or an interpreter that is not there.

    Args:
        program: A rival's Python file.
        python: The interpreter of the rivals' environment; ours if not given.

    Raises:
        InputError: There is no such file.
    """
    if not program.is_file():
        raise InputError(
            "no such program",
            where=str(program),
            mend="work in a clone of the repository, or say where its benchmarks/rivals is: --set rivals=DIR",
        )
    if python is not None and not python.is_file():
        raise InputError(
            "no such interpreter",
            where=f"rivals_python={python}",
            mend="make the environment as benchmarks/rivals/README.md says, and give its bin/python",
        )


def play(program: Path, python: Path | None, work: Path, out: Path, start: Adapter) -> Played:
    """Let a rival play the work of a folder.

    Args:
        program: Its Python file.
        python: The interpreter of the rivals' environment; ours if not given.
        work: What :meth:`~fleetlora.bench.cohort_work.CohortWork.write` wrote.
        out: Where it leaves its results.
        start: The adapter it starts from, for rank and alpha.

    Raises:
        FleetLoraError: It failed.
    """
    surroundings = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if json.loads((work / "work.json").read_text("utf-8"))["device"] == "cpu":
        surroundings["CUDA_VISIBLE_DEVICES"] = ""  # pfl would take a GPU that it sees
    if python is not None:
        surroundings.pop("PYTHONPATH", None)  # ours would hide what the environment pins
    command = [str(python or sys.executable), str(program), str(work), str(out)]
    ended = subprocess.run(command, env=surroundings, capture_output=True, text=True)
    if ended.returncode or not (out / "seconds.json").is_file():
        raise FleetLoraError(f"{program.name} failed: {ended.stderr.strip()[-500:]}", where="bench train")
    return _read(out, start)


def _read(out: Path, start: Adapter) -> Played:
    from safetensors.torch import load_file

    said = json.loads((out / "seconds.json").read_text("utf-8"))
    aggregate = Adapter.from_tensors(start.rank, start.alpha, load_file(out / "aggregate.safetensors"))
    return Played(aggregate, said.pop("cpu_s"), said.pop("wall_s"), said)
