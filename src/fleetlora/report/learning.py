"""Figures of what was learned: accuracy over time and over joules, and the ranks that were trained."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fleetlora.report.figure import Axis, Figure, Series
from fleetlora.report.palette import GREY, TASKS, Colour, rank_colours
from fleetlora.report.words import energy_unit, time_unit

if TYPE_CHECKING:
    from fleetlora.records import Run

__all__ = ["accuracy_over_energy", "accuracy_over_time", "task_colour", "trained_ranks"]

#: With more different ranks than this they are shown in classes, each twice as wide as the one before.
_MOST_RANKS = 8

_HEAD_ONLY = (
    " Dashed: what the task's output layer alone reaches with the backbone left as it was, so the"
    " distance between the lines is what the adapters brought."
)
_NO_ACCURACY = "No round ended with an evaluation, so there is no accuracy to show."


def task_colour(index: int) -> Colour:
    """Return the colour of a task by its place in the run."""
    return TASKS[index % len(TASKS)]


def accuracy_over_time(run: Run) -> Figure:
    """Return test accuracy of every task's aggregated model against virtual time."""
    unit = time_unit(run.result["latency_s"]["total"] or 0.0)
    return Figure(
        name="accuracy-time",
        title="Accuracy over time",
        group="What was learned",
        caption="How many of the test samples each task's shared model gets right, measured whenever the"
        " cloud has merged the roadside units' models. Up and to the left is better." + _head_note(run),
        x=Axis("virtual time", unit.name, from_zero=True),
        y=Axis("test accuracy", "%"),
        series=_accuracy(run, "t_end_s", unit.size),
        empty=_NO_ACCURACY,
    )


def accuracy_over_energy(run: Run) -> Figure:
    """Return test accuracy of every task's aggregated model against the joules spent on it."""
    spent = run.rounds["spent_j"]
    unit = energy_unit(float(spent.max() or 0.0))  # type: ignore[arg-type]
    return Figure(
        name="accuracy-energy",
        title="Accuracy over energy",
        group="What was learned",
        caption="The same accuracies against the joules the vehicles have spent on the task so far: what a"
        " joule buys. A curve that flattens says that further joules bring little." + _head_note(run),
        x=Axis("vehicles' energy", unit.name, from_zero=True),
        y=Axis("test accuracy", "%"),
        series=_accuracy(run, "spent_j", unit.size),
        empty=_NO_ACCURACY,
    )


def trained_ranks(run: Run) -> Figure:
    """Return the share of each rank, as it was trained, among the started updates of every round."""
    updates = run.updates.group_by("round", "rank").len().sort("round", "rank")
    number, rank, times = (updates[name].to_numpy() for name in ("round", "rank", "len"))
    rounds, row = np.unique(number, return_inverse=True)
    started = np.bincount(row, times, len(rounds))
    classes = _rank_classes(rank)
    series = []
    for (low, high), colour in zip(classes, rank_colours(len(classes)), strict=True):
        mine = (rank >= low) & (rank <= high)
        share = 100 * np.bincount(row[mine], times[mine], len(rounds)) / started
        name = f"rank {low}" if low == high else f"rank {low}–{high}"
        series.append(Series(name, rounds.astype(float), share, colour, "bar"))
    return Figure(
        name="ranks",
        title="Ranks the vehicles trained",
        group="Who took part, and how",
        caption="The rank of an update is how many numbers it trains and sends: as its vehicle chose, or"
        " fewer where HetLoRA had pruned that vehicle. A high rank learns more and costs more time and"
        " energy. From light to dark: from low to high.",
        x=Axis("round", whole=True),
        y=Axis("share of started updates", "%", from_zero=True),
        series=series,
        empty="No update was started, so no rank was trained.",
    )


def _accuracy(run: Run, x_column: str, x_size: float) -> list[Series]:
    series, references = [], []
    for index, task in enumerate(run.tasks):
        x, y = _measured(run, task, x_column)
        series.append(Series(task, x / x_size, 100 * y, task_colour(index), marker=index))
        head_only = run.result["tasks"][task].get("accuracy_head_only")
        if head_only is not None:
            references.append((task, np.full(2, 100 * head_only), task_colour(index)))
    ends = [s.x for s in series if len(s.x)]
    if ends and references:
        across = np.array([0.0, max(float(x.max()) for x in ends)])
        series.append(Series("head only", across, np.full(2, np.nan), GREY, dashed=True))
        series += [Series(name, across, y, c, dashed=True, in_legend=False) for name, y, c in references]
    return series


def _measured(run: Run, task: str, x_column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return where and how accurate the task's model was, the result's own accuracy at the end."""
    rounds = run.rounds.filter(run.rounds["task"] == task).sort("round")
    measured = rounds.filter(rounds["accuracy"].is_not_null())
    x, y = measured[x_column].to_numpy(), measured["accuracy"].to_numpy()
    final = run.result["tasks"][task].get("accuracy")
    if final is None or rounds.height == 0:
        return x, y
    end = float(rounds[x_column][-1])
    return np.append(x[x < end], end), np.append(y[x < end], final)


def _head_note(run: Run) -> str:
    told = any(task.get("accuracy_head_only") is not None for task in run.result["tasks"].values())
    return _HEAD_ONLY if told else ""


def _rank_classes(rank: np.ndarray) -> list[tuple[int, int]]:
    """Return (lowest, highest) rank of every class, ascending."""
    different = np.unique(rank).tolist()
    if len(different) <= _MOST_RANKS:
        return [(r, r) for r in different]
    first, last = int(math.log2(max(different[0], 1))), int(math.log2(different[-1]))
    classes = [(2**power, 2 ** (power + 1) - 1) for power in range(first, last + 1)]
    if len(classes) > _MOST_RANKS:
        return [*classes[: _MOST_RANKS - 1], (classes[_MOST_RANKS - 1][0], classes[-1][1])]
    return classes
