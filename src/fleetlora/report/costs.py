"""Figures of what it cost: time per round, joules against budgets, and what the joules went into."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fleetlora.records import ARRIVED, OUTCOMES, PHASES
from fleetlora.report.figure import Axis, Figure, Series
from fleetlora.report.learning import task_colour
from fleetlora.report.palette import GREY, INK, PHASE
from fleetlora.report.words import OUTCOME_WORDS, PHASE_WORDS, energy_unit, joules, time_unit

if TYPE_CHECKING:
    from fleetlora.records import Run

__all__ = ["energy_by_outcome", "energy_price", "energy_spent", "round_latency"]


def round_latency(run: Run) -> Figure:
    """Return the mean parts of an update's time, and the longest latency, of every round."""
    weight = pl.sum_horizontal(ARRIVED)
    parts = {"download": "download_s", "compute": "compute_s", "upload": "upload_s"}
    means = [
        ((pl.col(column) * weight).sum() / weight.filter(pl.col(column).is_not_null()).sum()).alias(phase)
        for phase, column in parts.items()
    ]
    rows = run.rounds.group_by("round").agg(pl.col("latency_s").max(), *means).sort("round")
    number = rows["round"].to_numpy().astype(float)
    bars = [
        Series(PHASE_WORDS[phase], number, rows[phase].to_numpy(), PHASE[phase], "bar")
        for phase in parts
        if np.isfinite(rows[phase].to_numpy()).any()
    ]
    slowest = Series("whole round", number, rows["latency_s"].to_numpy(), INK)
    return Figure(
        name="latency",
        title="Where the time of a round goes",
        group="What it cost",
        caption="Bars: the mean time of an update that reached the model, from receiving it, through"
        " training, to sending it back. Line: how long the round took, which is as long as its slowest"
        " vehicle, or until the deadline.",
        x=Axis("round", whole=True),
        y=Axis("time", "s", from_zero=True),
        series=[*bars, slowest],
    )


def energy_spent(run: Run) -> Figure:
    """Return every task's cumulative joules with its budget, against virtual time."""
    rounds = run.rounds.sort("round")
    finite = rounds.filter(rounds["budget_j"].is_finite())
    most = max((float(t.max() or 0.0) for t in (rounds["spent_j"], finite["budget_j"])), default=0.0)  # type: ignore[arg-type]
    energy, time = energy_unit(most), time_unit(run.result["latency_s"]["total"] or 0.0)
    spent, budgets = [], []
    for index, task in enumerate(run.tasks):
        mine = rounds.filter(rounds["task"] == task)
        end_s, budget = mine["t_end_s"].to_numpy() / time.size, mine["budget_j"].to_numpy() / energy.size
        spent.append(
            Series(task, end_s, mine["spent_j"].to_numpy() / energy.size, task_colour(index), marker=index)
        )
        if np.isfinite(budget).any():
            budgets.append(
                Series(task, end_s, budget, task_colour(index), "steps", dashed=True, in_legend=False)
            )
    return Figure(
        name="energy",
        title="Energy against the budget",
        group="What it cost",
        caption="Joules the vehicles have spent on each task. Dashed: what it may spend. The budget is a hard"
        " cap: an update that could break it is not started, so a line never crosses its own.",
        x=Axis("virtual time", time.name, from_zero=True),
        y=Axis("vehicles' energy", energy.name, from_zero=True),
        series=[*spent, *_shared(budgets)],
    )


def energy_by_outcome(run: Run) -> Figure:
    """Return the vehicles' joules by outcome of the update and by phase."""
    booked = run.ledger.filter(pl.col("vehicle") >= 0)
    sums = booked.group_by("outcome", "phase").agg(pl.col("joules").sum())
    of = {(str(o), str(p)): j for o, p, j in sums.iter_rows()}
    outcomes = [o for o in (*OUTCOMES, "none") if any((o, p) in of for p in PHASES)]
    tallest = max((sum(of.get((o, p), 0.0) for p in PHASES) for o in outcomes), default=0.0)
    unit = energy_unit(tallest)
    positions = np.arange(len(outcomes), dtype=float)
    series = [
        Series(
            PHASE_WORDS[phase],
            positions,
            np.array([of.get((outcome, phase), 0.0) for outcome in outcomes]) / unit.size,
            PHASE[phase],
            "bar",
        )
        for phase in PHASES
        if any((outcome, phase) in of for outcome in outcomes)
    ]
    return Figure(
        name="energy-outcome",
        title="What the energy went into",
        group="What it cost",
        caption="The vehicles' joules by what became of the update they were spent on. Work that never"
        " reached the model costs its joules too. The roadside units' own"
        f" {joules(run.result['energy_j']['rsu'])} are not part of any task's budget and are not shown.",
        x=Axis("outcome of the update", categories=tuple(OUTCOME_WORDS[o] for o in outcomes)),
        y=Axis("vehicles' energy", unit.name, from_zero=True),
        series=series,
        empty="No vehicle spent any energy.",
    )


def energy_price(run: Run) -> Figure:
    """Return the price of energy of every task over the rounds."""
    series = []
    for index, task in enumerate(run.tasks):
        mine = run.rounds.filter(run.rounds["task"] == task).sort("round")
        number, price = mine["round"].to_numpy().astype(float), mine["price"].to_numpy()
        series.append(Series(task, number, price, task_colour(index)))
    return Figure(
        name="price",
        title="The price of energy",
        group="What it cost",
        caption="The number λ each task broadcasts to its vehicles. It rises while the task spends faster"
        " than its budget allows, which makes vehicles choose lower ranks or stay out, and falls when there"
        " is energy to spare.",
        x=Axis("round", whole=True),
        y=Axis("price λ", from_zero=True),
        series=series if (run.rounds["price"] != 0).any() else [],
        empty="No price was set in this run: every λ is zero.",
    )


def _shared(budgets: list[Series]) -> list[Series]:
    """Return the budgets with an entry for the legend, and one line in place of several on each other."""
    if not budgets:
        return []
    longest = max(budgets, key=lambda b: float(b.x.max()))
    if all(np.array_equal(b.y, longest.y) for b in budgets):
        name = "budget" if len(budgets) == 1 else "budget of each task"
        return [Series(name, longest.x, longest.y, GREY, "steps", dashed=True)]
    entry = Series("budget", longest.x, np.full(len(longest.x), np.nan), GREY, "steps", dashed=True)
    return [entry, *budgets]
