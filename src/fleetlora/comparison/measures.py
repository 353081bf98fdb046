"""What a run is measured by: one number each, taken from its result and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from fleetlora.errors import InputError
from fleetlora.records import residence_factor

if TYPE_CHECKING:
    from fleetlora.records import Run

__all__ = ["MEASURES", "Curve", "Measure", "Played", "at_target", "measured", "task_measures"]

#: Outcomes whose joules bought nothing.
_WASTED = ("abandoned", "lost")


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        key: Its name in files.
        title: Its name for people.
        unit: Unit of its values; ``1`` for pure numbers, ``share`` for shares of one.
        better: Whether more or less of it is better; ``None`` where neither is.
    """

    key: str
    title: str
    unit: str
    better: Literal["more", "less"] | None = None


MEASURES = (
    Measure("accuracy", "mean accuracy over the tasks", "share", "more"),
    Measure("latency_s", "mean latency of a round", "s", "less"),
    Measure("total_s", "virtual time of the run", "s", "less"),
    Measure("time_to_target_s", "virtual time to the target accuracy", "s", "less"),
    Measure("energy_to_target_j", "vehicles' joules to the target accuracy", "J", "less"),
    Measure("energy_j", "vehicles' joules", "J", "less"),
    Measure("wasted_j", "joules of updates that were lost or abandoned", "J", "less"),
    Measure("delivered_share", "share of started updates that reached the model", "share", "more"),
    Measure("rounds", "rounds", "1"),
    Measure("started", "updates started", "1"),
    Measure("arrived", "updates that reached the model", "1"),
    Measure("early", "updates delivered early", "1"),
    Measure("handed_off", "updates handed off to the next RSU", "1"),
    Measure("abandoned", "updates abandoned", "1"),
    Measure("lost", "updates lost", "1"),
    Measure("mean_rank", "mean rank of the started updates", "1"),
    Measure("handoffs", "handoffs of vehicles between RSUs", "1"),
    Measure("residence_factor", "median factor by which predicted residences were off", "1", "less"),
    Measure("overdraw_j", "joules above the budgets", "J", "less"),
    Measure("rsu_j", "RSUs' joules", "J", "less"),
)


def task_measures(tasks: tuple[str, ...]) -> tuple[Measure, ...]:
    """Return the measures of every single task."""
    return tuple(
        measure
        for task in tasks
        for measure in (
            Measure(f"accuracy.{task}", f"accuracy of {task}", "share", "more"),
            Measure(f"energy_j.{task}", f"vehicles' joules for {task}", "J", "less"),
        )
    )


@dataclass(frozen=True)
class Curve:
    """How the mean accuracy over the tasks grew; a point wherever all tasks were tested, and one at the end.

    Attributes:
        t_s: (n,) virtual seconds, ascending.
        joules: (n,) vehicles' joules so far, all tasks together.
        accuracy: (n,) mean accuracy over the tasks.
    """

    t_s: np.ndarray
    joules: np.ndarray
    accuracy: np.ndarray


@dataclass(frozen=True)
class Played:
    """A finished run as a comparison sees it.

    Attributes:
        method: Its method.
        seed: Its seed.
        run: The run.
        values: Its measures by key; ``None`` where there is nothing to measure.
        curve: How its accuracy grew.
    """

    method: str
    seed: int
    run: Run
    values: Mapping[str, float | None]
    curve: Curve


def measured(run: Run) -> Played:
    """Return what ``run`` is measured by, all but what depends on a target.

    Raises:
        InputError: The run is not complete.
    """
    if not run.complete:
        raise InputError(
            "the run was interrupted", where=str(run.path), mend="play it again, or leave it out"
        )
    result, updates = run.result, run.result["updates"]
    values: dict[str, float | None] = {
        "accuracy": result["mean_accuracy"],
        "latency_s": result["latency_s"]["mean_round"],
        "total_s": result["latency_s"]["total"],
        "energy_j": result["energy_j"]["total"],
        "wasted_j": _wasted_j(run.updates),
        "delivered_share": updates["arrived"] / updates["started"] if updates["started"] else None,
        "rounds": result["rounds"],
        **{key: updates[key] for key in ("started", "arrived", "early", "handed_off", "abandoned", "lost")},
        "mean_rank": _mean_rank(run),
        "handoffs": result["handoffs"],
        "residence_factor": residence_factor(run.tables["updates"]),
        "overdraw_j": result["overdraw_j"],
        "rsu_j": result["energy_j"]["rsu"],
    }
    for name, task in result["tasks"].items():
        values[f"accuracy.{name}"], values[f"energy_j.{name}"] = task["accuracy"], task["energy_j"]
    return Played(str(run.identity.method), run.identity.seed, run, values, _curve(run))


def trains_adapter(config: Mapping[str, Any]) -> bool:
    """Tell whether the run of a configuration trains adapters, not heads alone."""
    training = config.get("training")
    return bool(training.get("train_adapter", True)) if isinstance(training, Mapping) else True


def at_target(curve: Curve, target: float) -> dict[str, float | None]:
    """Return the virtual seconds and joules at which ``curve`` first reaches ``target``, None if never."""
    reached = np.flatnonzero(curve.accuracy >= target)
    if not len(reached):
        return {"time_to_target_s": None, "energy_to_target_j": None}
    first = reached[0]
    return {
        "time_to_target_s": float(curve.t_s[first]),
        "energy_to_target_j": float(curve.joules[first]),
    }


def _mean_rank(run: Run) -> float | None:
    """Return the mean rank of the started updates; heads alone are trained with rank 0."""
    if not run.updates.height:
        return None
    trained = trains_adapter(run.config)
    return float(run.updates["rank"].to_numpy().mean()) if trained else 0.0


def _wasted_j(updates: pl.DataFrame) -> float:
    wasted = updates.filter(pl.col("outcome").cast(pl.String).is_in(_WASTED))
    return math.fsum(wasted["joules"].to_list())


def _curve(run: Run) -> Curve:
    """Return the run's curve; its last point is the test on all samples at the end."""
    tasks = len(run.tasks)
    rows = (
        run.rounds.group_by("round")
        .agg(
            pl.col("t_end_s").max(),
            pl.col("spent_j").sum(),
            pl.col("accuracy").mean(),
            pl.col("accuracy").count().alias("tested"),
        )
        .sort("round")
    )
    tested = rows.filter(pl.col("tested") == tasks)
    columns = [tested[name].to_numpy().astype(float) for name in ("t_end_s", "spent_j", "accuracy")]
    final: Any = run.result["mean_accuracy"]
    if final is not None and rows.height:
        end = (float(rows["t_end_s"].to_numpy().max()), float(rows["spent_j"].to_numpy()[-1]), float(final))
        before = columns[0] < end[0]
        columns = [np.append(column[before], last) for column, last in zip(columns, end, strict=True)]
    return Curve(*columns)
