"""What recorded runs say about learning: their updates and tests as columns, task by task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fleetlora.curves.recipe import base_of, first_difference, recipe_of
from fleetlora.curves.shape import Costs, Work
from fleetlora.errors import InputError
from fleetlora.lora import LocalTraining
from fleetlora.records import ARRIVED, Run

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Recorded", "read_runs", "task_costs"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: The version since which step sizes fall with the joules too.
_SCHEDULED_BY_JOULES = (0, 2)
#: What spoils updates, which no curve knows of, and its value where it is off.
_DISTORTS = (("attack.kind", "none"), ("privacy.noise_multiplier", None))


@dataclass(frozen=True)
class Recorded:
    """One task of one real run.

    Attributes:
        method: The run's method.
        seed: The run's seed.
        recipe: Key of its aggregation rule and step size.
        work: The updates that reached the model, n of them.
        sync: (n,) which of the syncs that merged anything took each of them, from 0.
        tail: Part of the syncs whose models are averaged into the one that is tested.
        test_sync: (k,) syncs that had merged something when a test was made, ascending.
        accuracy: (k,) accuracy of each test; the last one is the run's last test.
        loss: (k,) loss of each, NaN where it was not recorded.
        test_samples: (k,) samples of each.
        loss_before: (n,) held-out loss of the model a vehicle received, NaN where it holds none out.
        loss_after: (n,) the same after its training.
        accuracy_local: (n,) held-out accuracy after its training.
        classes: Number of classes.
        costs: Bytes and FLOPs by rank.
    """

    method: str
    seed: int
    recipe: str
    work: Work
    sync: Ints
    tail: float
    test_sync: Ints
    accuracy: Floats
    loss: Floats
    test_samples: Ints
    loss_before: Floats
    loss_after: Floats
    accuracy_local: Floats
    classes: int
    costs: Costs


def read_runs(runs: Sequence[Run]) -> dict[str, list[Recorded]]:
    """Return every task of every run.

    Raises:
        InputError: A run is not complete, was itself made with a curve, was attacked or protected by noise,
            is of a version with another schedule, or trains something else than the first one does; or an
            update's bytes depend on more than its rank.
    """
    if not runs:
        raise InputError("there is no run to learn from", mend="give the directories of finished runs")
    for run in runs:
        _require_usable(run, runs[0])
    return {task: [_recorded(run, task) for run in runs] for task in runs[0].tasks}


def _require_usable(run: Run, first: Run) -> None:
    if not run.complete:
        raise InputError("the run is not complete", where=str(run.path), mend="resume it, or leave it out")
    if "learner" in run.result:
        raise InputError(
            "the run was made with a curve, not with training", where=str(run.path), mend="leave it out"
        )
    for key, harmless in _DISTORTS:
        section, _, option = key.partition(".")
        found = run.config.get(section, {}).get(option, harmless)
        if found != harmless:
            raise InputError(
                f"{key} is {found!r}: what its updates taught is not what vehicles teach",
                where=str(run.path),
                mend="leave it out",
            )
    version = run.result["host"]["versions"]["fleetlora"]
    if tuple(int(part) for part in version.split(".")[:2]) < _SCHEDULED_BY_JOULES:
        raise InputError(
            f"the run is of fleetlora {version}, whose step sizes fell with time alone",
            where=str(run.path),
            mend="play it again, or leave it out",
        )
    changed = first_difference(base_of(run.config), base_of(first.config))
    if changed:
        key, mine, theirs = changed
        raise InputError(
            f"{key} is {mine!r}, in {first.path} it is {theirs!r}",
            where=str(run.path),
            mend="fit one curve to runs of the same model, tasks and training",
        )


def _recorded(run: Run, task: str) -> Recorded:
    import polars as pl

    rounds = run.rounds.filter(pl.col("task").cast(pl.String) == task).sort("round")
    updates = run.updates.filter(pl.col("task").cast(pl.String) == task)
    arrived = updates.filter(pl.col("outcome").cast(pl.String).is_in(ARRIVED)).sort("round")
    number = arrived["round"].to_numpy()
    merged, tests = _syncs(rounds, number)
    sync = np.searchsorted(np.unique(merged), merged)
    vehicle = arrived["vehicle"].to_numpy()
    tested = rounds.filter(pl.col("accuracy").is_not_null())
    last = run.result["tasks"][task]
    samples = run.config.get("evaluation", {}).get("samples", last["test_samples"])
    return Recorded(
        method=run.identity.method,
        seed=run.identity.seed,
        recipe=recipe_of(run.config),
        work=Work(
            rank=arrived["rank"].to_numpy(),
            steps=arrived["steps"].to_numpy(),
            samples=arrived["samples"].to_numpy(),
            rate=_rates(run, rounds, number, arrived["t_start_s"].to_numpy()),
            before=_earlier(vehicle),
        ),
        sync=sync,
        tail=float(run.config.get("evaluation", {}).get("tail", 0.0)),
        test_sync=np.append(np.searchsorted(np.unique(merged), tests, side="right"), len(np.unique(merged))),
        accuracy=np.append(tested["accuracy"].to_numpy(), last["accuracy"]),
        loss=np.append(tested["loss"].to_numpy(), np.nan if last["loss"] is None else last["loss"]),
        test_samples=np.append(
            np.full(len(tested), min(samples, last["test_samples"])), last["test_samples"]
        ),
        loss_before=_floats(arrived["loss_before"]),
        loss_after=_floats(arrived["loss_after"]),
        accuracy_local=_floats(arrived["accuracy_local"]),
        classes=int(last["classes"]),
        costs=task_costs(run, task, updates, rounds),
    )


def _syncs(rounds: pl.DataFrame, number: Ints) -> tuple[Ints, Ints]:
    """Return the round of the sync that took each update, and that of each test.

    What was not synced when the rounds ended is merged before the last test.
    """
    import polars as pl

    when = rounds.filter(pl.col("synced"))["round"].to_numpy()
    at = np.searchsorted(when, number)
    after = np.append(when, np.iinfo(np.int32).max).astype(np.int64)
    return after[at], rounds.filter(pl.col("accuracy").is_not_null())["round"].to_numpy().astype(np.int64)


def _earlier(vehicle: Ints) -> Ints:
    """Return how many rows before each row are of the same vehicle."""
    order = np.argsort(vehicle, kind="stable")
    ordered = vehicle[order]
    first = np.searchsorted(ordered, ordered)
    earlier = np.empty(len(vehicle), dtype=np.int64)
    earlier[order] = np.arange(len(vehicle)) - first
    return earlier


def _rates(run: Run, rounds: pl.DataFrame, number: Ints, start_s: Floats) -> Floats:
    """Return the step size of each update relative to the run's start, as the run scheduled it.

    By the rounds, the time or the joules of the task, whichever are further along.
    """
    training = LocalTraining.model_validate(run.config["training"])
    count = int(run.config["round"]["count"])
    duration_s = run.config["traces"].get("duration_s")
    if duration_s is None:  # the tracks' own length, which a run that outlived its rounds does not tell
        finished = int(run.result["rounds"]) >= count
        duration_s = math.inf if finished else float(run.rounds["t_end_s"].max())  # type: ignore[arg-type]
    spent = np.append(0.0, (rounds["spent_j"] / rounds["budget_j"]).to_numpy())  # before each round
    spent = spent[np.searchsorted(rounds["round"].to_numpy(), number)]
    progress = np.minimum(1.0, np.maximum.reduce([number / count, start_s / float(duration_s), spent]))
    return training.decay_at(progress)


def _floats(column: pl.Series) -> Floats:
    values: Floats = column.cast(float).fill_null(math.nan).to_numpy()
    return values


def task_costs(run: Run, task: str, updates: pl.DataFrame, rounds: pl.DataFrame) -> Costs:
    """Return what updates of each rank moved and computed in a run.

    Raises:
        InputError: Two updates of one rank moved different bytes.
    """
    import polars as pl

    flops_per_s = {device["name"]: float(device["flops_per_s"]) for device in run.config["devices"]}
    full = updates.filter(pl.col("outcome").cast(pl.String) == "delivered").with_columns(
        flops=pl.col("compute_s")
        * pl.col("device").cast(pl.String).replace_strict(flops_per_s, return_dtype=pl.Float64)
        / pl.col("steps")
    )
    by_rank = (
        full.group_by("rank")
        .agg(
            down=pl.col("bytes_down").min(),
            down_most=pl.col("bytes_down").max(),
            up=pl.col("bytes_up").min(),
            up_most=pl.col("bytes_up").max(),
            flops=pl.col("flops").median(),
        )
        .sort("rank")
    )
    for row in by_rank.iter_rows(named=True):
        if (row["down"], row["up"]) != (row["down_most"], row["up_most"]):
            raise InputError(
                f"updates of rank {row['rank']} of {task} move {row['down']} to {row['down_most']} bytes "
                "down: not only their rank decides",
                where=str(run.path),
                mend=f"leave the method out: --leave-out {run.identity.method}",
            )
    return Costs(
        ranks=tuple(by_rank["rank"].to_list()),
        bytes_down=tuple(by_rank["down"].to_list()),
        bytes_up=tuple(by_rank["up"].to_list()),
        flops_per_step=tuple(by_rank["flops"].to_list()),
        model_bytes=_model_bytes(run, updates, rounds),
    )


def _model_bytes(run: Run, updates: pl.DataFrame, rounds: pl.DataFrame) -> int:
    """Return the bytes of an RSU's model, from how long the cloud's merges took, by their median."""
    import polars as pl

    backhaul = run.config.get("backhaul", {})
    ends = updates.group_by("round").agg(last_s=pl.col("t_end_s").max())
    synced = rounds.filter(pl.col("synced")).join(ends, on="round", how="inner")
    took_s = (synced["t_end_s"] - synced["last_s"]).median()
    one_way_s = 0.5 * float(took_s or 0.0) - float(backhaul["latency_s"])  # type: ignore[arg-type]
    return max(0, round(one_way_s * float(backhaul["rate_bps"]) / 8))
