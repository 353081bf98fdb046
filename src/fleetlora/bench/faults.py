"""``fleetlora bench faults``: what each fault of the world costs, and whether the books stay right under it.

One experiment is played without faults, then with each fault alone at each level, and with all of them at
once; the same data, roads and seeds, and so the same faults wherever a fault is on.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from fleetlora.bench.registry import BENCHES
from fleetlora.console import Progress
from fleetlora.faults import FAULTS, LEVELS
from fleetlora.records import ledger_error_j
from fleetlora.registry import suggest
from fleetlora.settings import Settings, quantity

if TYPE_CHECKING:
    from fleetlora.records import Run
    from fleetlora.workshop import Workshop

__all__ = ["Faults"]

#: Stands for every kind at once.
ALL = "all"


@BENCHES.register("faults")
class Faults(Settings):
    """What is played, and under which faults."""

    source: str = Field("warsaw-small", description="preset or TOML file")
    overrides: tuple[str, ...] = Field((), description="key=value each, laid over the source")
    kinds: tuple[str, ...] = Field(
        (*FAULTS, ALL), description=f"faults, each by itself; {ALL!r} is all at once"
    )
    seeds: tuple[int, ...] = quantity((0,), "1", "seeds of the experiment", min_length=1)

    @field_validator("kinds")
    @classmethod
    def _kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        for kind in kinds:
            if kind not in (*FAULTS, ALL):
                raise ValueError(f"no fault {kind!r}: {suggest(kind, [*FAULTS, ALL])}")
        return kinds

    def measure(self, progress: Progress) -> dict[str, Any]:
        """Play the experiment under no fault, then under each."""
        from fleetlora.workshop import Workshop

        cases = [("none", "off"), *((kind, level) for kind in self.kinds for level in LEVELS)]
        workshop, played = Workshop(), []
        progress.begin("runs", len(cases) * len(self.seeds))
        for kind, level in cases:
            runs = []
            for seed in self.seeds:
                runs.append(self._play(kind, level, seed, workshop))
                progress.advance(f"{kind} {level}")
            played.append({"fault": kind, "level": level, **_together(runs)})
        plain = played[0]["mean_accuracy"]
        for case in played:
            case["accuracy_change"] = case["mean_accuracy"] - plain
        return {"settings": self.model_dump(mode="json"), "cases": played}

    def lines(self, measured: Mapping[str, Any]) -> Iterator[str]:
        """Yield one line for each case, and one for the books."""
        for case in measured["cases"]:
            yield (
                f"{case['fault']:<15} {case['level']:<6} accuracy {100 * case['mean_accuracy']:5.1f} % "
                f"({100 * case['accuracy_change']:+.1f}), {100 * case['arrived_share']:5.1f} % arrived, "
                f"{case['energy_j']:.0f} J"
            )
        worst = max(case["overdraw_j"] for case in measured["cases"])
        error = max(case["ledger_error_j"] for case in measured["cases"])
        yield f"overdrawn: {worst:g} J at most; ledger and updates differ by {error:g} J at most"

    def _play(self, kind: str, level: str, seed: int, workshop: Workshop) -> dict[str, Any]:
        from fleetlora.api import run

        on = {"none": (), ALL: tuple(FAULTS)}.get(kind, (kind,))
        # the head-only run beside a run is not what is measured
        overrides = [
            "evaluation.head_only=false",
            *self.overrides,
            *(f"faults.{name}={level}" for name in on),
        ]
        with tempfile.TemporaryDirectory(prefix="fleetlora-faults-") as folder:
            out = Path(folder) / "run"
            return _measured(
                run(self.source, out, seed=seed, overrides=overrides, report=False, workshop=workshop)
            )


def _measured(run: Run) -> dict[str, Any]:
    """Return what a run came to."""
    result = run.result
    return {
        "mean_accuracy": result["mean_accuracy"],
        "started": result["updates"]["started"],
        "arrived": result["updates"]["arrived"],
        "energy_j": result["energy_j"]["total"],
        "latency_s": result["latency_s"]["mean_round"],
        "overdraw_j": result["overdraw_j"],
        "ledger_error_j": ledger_error_j(run.tables["ledger"], run.tables["updates"]),
        "events": result.get("faults", {}),
        "digest": result["digest"],
    }


def _together(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over the seeds; the worst of what must be nothing; all digests."""

    def mean(name: str) -> float:
        return math.fsum(run[name] or 0.0 for run in runs) / len(runs)

    started = sum(run["started"] for run in runs)
    kinds = sorted({kind for run in runs for kind in run["events"]})
    return {
        "mean_accuracy": mean("mean_accuracy"),
        "started": started,
        "arrived_share": sum(run["arrived"] for run in runs) / started if started else 0.0,
        "energy_j": mean("energy_j"),
        "latency_s": mean("latency_s"),
        "overdraw_j": max(run["overdraw_j"] for run in runs),
        "ledger_error_j": max(run["ledger_error_j"] for run in runs),
        "events": {kind: sum(run["events"].get(kind, 0) for run in runs) for kind in kinds},
        "digests": [run["digest"] for run in runs],
    }
