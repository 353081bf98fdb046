"""``fleetlora bench poison``: what bad vehicles do to a model, and what each defence saves of it.

One experiment is played without an attack, with bad vehicles that send nothing, under attack with the plain
mean, with the default defence, and with every robust rule by itself, which then has no norm bound to lean on.
Every case has the same data and roads, and seed by seed the same bad vehicles.
"""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from fleetlora.bench.registry import BENCHES
from fleetlora.console import Progress
from fleetlora.errors import InputError
from fleetlora.lora.robust_rules import ROBUST_RULES
from fleetlora.settings import Settings, quantity

if TYPE_CHECKING:
    from fleetlora.workshop import Workshop

__all__ = ["Poison"]


@BENCHES.register("poison")
class Poison(Settings):
    """What is played, and who poisons it how."""

    source: str = Field("warsaw-small", description="preset or TOML file")
    overrides: tuple[str, ...] = Field((), description="key=value each, laid over the source")
    kind: str = Field("sign-flip", description="the attack, a value of attack.kind")
    share: float = quantity(0.2, "1", "part of the fleet that is bad", gt=0, le=1)
    factor: float = quantity(10.0, "1", "scale and sign-flip: how many times the change", gt=0)
    seeds: tuple[int, ...] = Field((0, 1, 2), description="seeds of the experiment", min_length=1)

    def measure(self, progress: Progress) -> dict[str, Any]:
        """Play the experiment in every case."""
        from fleetlora.workshop import Workshop

        bad = [f"attack.kind={self.kind}", f"attack.share={self.share}", f"attack.factor={self.factor}"]
        rules = [name for name in ROBUST_RULES if name != "mean"]
        cases: dict[str, list[str]] = {
            "no attack": [],
            "no attack, default defence": ["defence.preset=default"],
            "bad vehicles silent": [*bad, "attack.kind=silent"],
            "undefended mean": [*bad, "defence.preset=none"],
            "default defence": [*bad, "defence.preset=default"],
            **{f"{rule} alone": [*bad, f"defence.rule={rule}"] for rule in rules},
        }
        workshop = Workshop()
        played: list[dict[str, Any]] = []
        progress.begin("runs", len(cases) * len(self.seeds))
        for name, values in cases.items():
            runs: list[dict[str, Any]] = []
            for seed in self.seeds:
                runs.append({"seed": seed, **self._play(values, seed, workshop)})
                progress.advance(f"{name}, seed {seed}")
            played.append({"case": name, "runs": runs})
        return {
            "settings": self.model_dump(mode="json"),
            "cases": [{**case, **_beside(case["runs"], played[0]["runs"])} for case in played],
        }

    def lines(self, measured: Mapping[str, Any]) -> Iterator[str]:
        """Yield one line for each case."""
        for case in measured["cases"]:
            runs = case["runs"]
            ended = [run["ended"] for run in runs if "ended" in run]
            if case["mean_accuracy"] is None:
                yield f"{case['case']:<28} ended: {ended[0]}"
                continue
            refused = sum(sum(run["quarantined"].values()) for run in runs)
            changes = ", ".join(f"{100 * change:+.1f}" for change in case["accuracy_changes"])
            yield (
                f"{case['case']:<28} accuracy {100 * case['mean_accuracy']:5.1f} % (seed by seed {changes}), "
                f"{refused} of {sum(run['arrived'] for run in runs)} updates refused, "
                f"{sum(run['not_finite'] for run in runs)} numbers of the models not finite"
            )

    def _play(self, values: list[str], seed: int, workshop: Workshop) -> dict[str, Any]:
        """Return what a run came to, or what ended it: poison may drive honest training to infinity."""
        from fleetlora.api import run

        overrides = ["evaluation.head_only=false", *self.overrides, *values]
        with tempfile.TemporaryDirectory(prefix="fleetlora-poison-") as folder:
            out = Path(folder) / "run"
            try:
                done = run(self.source, out, seed=seed, overrides=overrides, report=False, workshop=workshop)
            except InputError as error:
                if "diverged" not in error.problem:
                    raise
                return {"mean_accuracy": None, "ended": error.problem}
            result = done.result
            return {
                "mean_accuracy": result["mean_accuracy"],
                "accuracy": {name: task["accuracy"] for name, task in result["tasks"].items()},
                "rounds": result["rounds"],
                "arrived": result["updates"]["arrived"],
                "quarantined": result.get("quarantine", {}),
                "not_finite": sum(_not_finite(done.adapter_dir(name)) for name in result["tasks"]),
                "loss_finite": all(math.isfinite(v) for v in done.rounds["loss"].drop_nulls()),
                "digest": result["digest"],
            }


def _beside(runs: Sequence[Mapping[str, Any]], plain: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean accuracy, and how far each seed's is from that without an attack.

    Both are absent where a run was driven to infinity.
    """
    found = [run["mean_accuracy"] for run in runs]
    if None in found:
        return {"mean_accuracy": None, "accuracy_changes": None}
    changes = [mine - run["mean_accuracy"] for mine, run in zip(found, plain, strict=True)]
    return {"mean_accuracy": statistics.mean(found), "accuracy_changes": changes}


def _not_finite(folder: Path) -> int:
    """Return how many numbers of a saved model are not finite."""
    from safetensors.numpy import load_file

    return sum(
        int((~np.isfinite(tensor)).sum())
        for file in sorted(folder.glob("*.safetensors"))
        for tensor in load_file(file).values()
    )
