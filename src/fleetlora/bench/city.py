"""A whole experiment of any size, made on disk: drawn taxis, RSUs, three tasks, and a curve that learns them.

The city grows with its fleet: a square with as many taxis and RSUs on a square kilometre at every size, so
that what one vehicle meets stays as it is and only their number changes. The tasks have labels and no texts
worth reading. Their learning curve is *synthetic*: it was fitted to nothing. Its numbers are round ones near
those that runs of MiniLM gave, so that policies have something to learn, and bytes and FLOPs are of the right
size.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fleetlora.bench.taxis import drawn_taxis
from fleetlora.config import Experiment, load_experiment, to_toml
from fleetlora.curves import Contribution, Costs, GainLine, Growth, Recipe, TaskCurve, base_of, recipe_of
from fleetlora.curves.document import SCHEMA
from fleetlora.files import write_text
from fleetlora.rng import stream
from fleetlora.roadside import Sites
from fleetlora.settings import Settings, quantity
from fleetlora.traces import Tracks

__all__ = ["TASKS", "City"]

#: Tasks by name, with their numbers of classes: those of 20 Newsgroups, Reuters-52 and CLINC150.
TASKS = {"twenty": 20, "fifty-two": 52, "hundred-fifty": 150}

_AREA_M2 = 160_000.0  # for each taxi: 10,000 on 40 × 40 km, as T-Drive
_SITES_APART_M = 200.0
_ROUND_S = 30.0  # from the start of one round to that of the next
_SPARE_S = 1800.0  # of tracks, beyond the last round
_LEG_S = 178.0
_ROWS = 10_000  # training rows of a task
_HELD = 30  # of them with a vehicle, about
_HOLDERS = 0.6  # share of the fleet that holds rows of a task


class City(Settings):
    """How large the city is, and what its vehicles may spend."""

    vehicles: int = quantity(10_000, "1", "drawn taxis", ge=10)
    vehicles_per_rsu: int = quantity(100, "1", "taxis for each RSU", ge=1)
    rounds: int = quantity(1000, "1", "rounds, one every 30 s", ge=1)
    joules_per_vehicle: float = quantity(
        75.0, "J", "what all tasks may spend together for each vehicle in 1,000 rounds", gt=0
    )
    seed: int = quantity(0, "1", "seed of the city and the experiment", ge=0)

    def make(self, folder: Path) -> None:
        """Write the experiment, ``experiment.toml``, and all that it needs into ``folder``."""
        tracks = drawn_taxis(
            self.vehicles,
            self.vehicles * int(self._duration_s / _LEG_S),
            self._duration_s,
            self.seed,
            float(np.sqrt(_AREA_M2 * self.vehicles)),
        )
        tracks.save(folder / "tracks.parquet")
        self._sites(tracks).save(folder / "sites.csv")
        for name, classes in TASKS.items():
            for side, rows in (("train", _ROWS), ("test", 10 * classes)):
                lines = [f"row {row},{row % classes}" for row in range(rows)]
                write_text(folder / f"{name}-{side}.csv", "\n".join(["text,label", *lines]) + "\n")
        experiment = load_experiment(self._values(folder))
        write_text(folder / "curve.json", json.dumps(_curve(experiment), indent=1) + "\n")
        write_text(folder / "experiment.toml", to_toml(experiment))

    def _sites(self, tracks: Tracks) -> Sites:
        """Return RSUs at both ends of legs drawn at random: a leg is about as long as their reach is wide."""
        rsus = max(1, self.vehicles // self.vehicles_per_rsu)
        begins = stream(self.seed, "bench", "city").choice(tracks.n_fixes - 1, rsus, replace=False)
        at = np.column_stack([begins, begins + 1]).ravel()
        sites = Sites.of(tracks.x_m[at], tracks.y_m[at]).merged(_SITES_APART_M)
        return sites.take(np.arange(min(rsus, len(sites))))

    @property
    def _duration_s(self) -> float:
        return _ROUND_S * self.rounds + _SPARE_S

    def _values(self, folder: Path) -> dict[str, Any]:
        partition = {"holders": _HOLDERS, "max_samples": 60, "copies": self._copies}
        tasks = [
            {
                "name": name,
                "source": "text-file",
                "train": str(folder / f"{name}-train.csv"),
                "test": str(folder / f"{name}-test.csv"),
                "partition": partition,
            }
            for name in TASKS
        ]
        return {
            "name": f"city of {self.vehicles}",
            "method": "ucb-dual",
            "seed": self.seed,
            "learner": {"kind": "curve", "curve": str(folder / "curve.json")},
            "traces": {"source": "tracks", "path": str(folder / "tracks.parquet")},
            "sites": {"placement": "points", "path": str(folder / "sites.csv")},
            "lora": {"ranks": [4, 8, 16, 32]},
            "training": {"steps": 2, "rate_end": 0.1},
            "round": {"count": self.rounds, "period_s": _ROUND_S, "deadline_s": _ROUND_S, "patience": 3.0},
            "admission": {"vehicles_per_task": 1},
            "budget": {"total_j": self.joules_per_vehicle * self.vehicles * self.rounds / 1000},
            "evaluation": {"every": 1, "tail": 0.3},
            "tasks": tasks,
        }

    @property
    def _copies(self) -> int:
        """How many vehicles hold the same row, so that each holds some thirty however large the fleet."""
        return max(1, round(_HOLDERS * self.vehicles * _HELD / _ROWS))


def _curve(experiment: Experiment) -> Mapping[str, Any]:
    """Return a synthetic curve of the experiment's tasks, in the form that ``fit-curve`` writes."""
    config = experiment.model_dump(mode="json")
    sizes = tuple(27_000 * (3 + rank) for rank in experiment.lora.ranks)
    speed = tuple(5.8e9 + 1e7 * rank for rank in experiment.lora.ranks)
    costs = Costs(experiment.lora.ranks, sizes, sizes, speed, 1_900_000)
    tasks = {}
    for name, classes in TASKS.items():
        tasks[name] = TaskCurve(
            classes=classes,
            test_samples=10 * classes,
            contribution=Contribution(0.01, 0.7, 0.2, 0.45, 0.25, 0.75),
            accuracy=Growth(1.0 / classes, 0.8, 1000.0, 1.0),
            unsettled=0.005,
            loss=Growth(float(np.log(classes)), 0.7, 1000.0, 1.0),
            gain=GainLine(0.06, 0.015, -0.04, -0.2, 0.5, 0.3),
            local_loss=(-0.2, 0.5),
            local_accuracy=0.0,
            recipes={recipe_of(config): Recipe(1.0, 0.0, 0.0, costs)},
        )
    return {
        "schema": SCHEMA,
        "synthetic": "fitted to no run: for measuring speed only",
        "base": base_of(config),
        "tasks": {name: asdict(curve) for name, curve in tasks.items()},
        "error_points": dict.fromkeys(TASKS, 100.0),
    }
