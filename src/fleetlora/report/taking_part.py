"""Figures of who took part: vehicles admitted and started, and how their updates ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fleetlora.records import ARRIVED, OUTCOMES
from fleetlora.report.figure import Axis, Figure, Series
from fleetlora.report.palette import INK, OUTCOME, TASKS
from fleetlora.report.words import OUTCOME_WORDS

if TYPE_CHECKING:
    from fleetlora.records import Run

__all__ = ["participation", "residence_error", "update_outcomes", "updates_per_vehicle"]

#: With more different numbers of updates than this, they are shown in classes.
_MOST_BARS = 40


def update_outcomes(run: Run) -> Figure:
    """Return how the updates of every round ended."""
    rows = run.rounds.group_by("round").agg(pl.col(outcome).sum() for outcome in OUTCOMES).sort("round")
    number = rows["round"].to_numpy().astype(float)
    series = [
        Series(
            OUTCOME_WORDS[outcome], number, rows[outcome].to_numpy().astype(float), OUTCOME[outcome], "bar"
        )
        for outcome in OUTCOMES
        if rows[outcome].sum()
    ]
    return Figure(
        name="outcomes",
        title="How the updates ended",
        group="Who took part, and how",
        caption="A vehicle may drive out of reach before it is done. Delivered early: it took"
        " fewer steps, to be through before or to save time and energy. Handed off: it sent its update"
        " through the next roadside unit. Abandoned: it left before it was through and gave up. Lost: contact"
        " or time ran out.",
        x=Axis("round", whole=True),
        y=Axis("updates", from_zero=True, whole=True),
        series=series,
        empty="No update was started.",
    )


def participation(run: Run) -> Figure:
    """Return the admitted, the started and the arrived of every round."""
    arrived = pl.sum_horizontal(ARRIVED).sum().alias("arrived")
    rows = run.rounds.group_by("round").agg(pl.col("admitted").sum(), pl.col("started").sum(), arrived)
    rows = rows.sort("round")
    number = rows["round"].to_numpy().astype(float)
    lines = (("admitted", INK, 2), ("started", TASKS[0], 0), ("reached the model", TASKS[2], 1))
    columns = ("admitted", "started", "arrived")
    return Figure(
        name="participation",
        title="Vehicles taking part",
        group="Who took part, and how",
        caption="Admitted: in contact, free, and holding data of the task. Started: of these, the ones that"
        " chose to take part and whose update, at its dearest, still fitted the budget. The third line lies"
        " below where updates got lost.",
        x=Axis("round", whole=True),
        y=Axis("vehicles, all tasks together", from_zero=True, whole=True),
        series=[
            Series(name, number, rows[column].to_numpy().astype(float), colour, marker=marker)
            for (name, colour, marker), column in zip(lines, columns, strict=True)
        ],
    )


def residence_error(run: Run) -> Figure:
    """Return how far predicted residences were from the true ones."""
    columns = ("residence_predicted_s", "residence_true_s")
    predicted, true = (np.maximum(run.updates[name].to_numpy(), 1.0) for name in columns)
    edges = (0.25, 0.5, 1.0, 2.0, 4.0)
    counts = np.bincount(np.searchsorted(edges, predicted / true, side="right"), minlength=len(edges) + 1)
    words = ("below ¼", "¼ to ½", "½ to 1", "1 to 2", "2 to 4", "above 4")
    bars = Series("updates", np.arange(len(words), dtype=float), counts.astype(float), TASKS[0], "bar")
    return Figure(
        name="residence",
        title="How well vehicles foresaw how long they would stay",
        group="Who took part, and how",
        caption="Predicted over true time that a vehicle had left with its roadside unit when it began. At 1"
        " the prediction came true; on the right vehicles left earlier than they thought.",
        x=Axis("predicted / true residence", categories=words),
        y=Axis("updates", from_zero=True, whole=True),
        series=[bars] if len(true) else [],
        empty="No update was started.",
    )


def updates_per_vehicle(run: Run) -> Figure:
    """Return how many vehicles took part how often."""
    each = run.updates.group_by("vehicle").len()["len"].to_numpy()
    often = np.bincount(each, minlength=1) if len(each) else np.zeros(1, np.int64)
    often[0] = max(run.identity.vehicles - len(each), 0)
    width = -(-len(often) // _MOST_BARS)
    per_class = np.add.reduceat(often, np.arange(0, len(often), width))
    named = [
        str(first) if width == 1 else f"{first}–{first + width - 1}" for first in range(0, len(often), width)
    ]
    bars = Series("vehicles", np.arange(len(named), dtype=float), per_class.astype(float), TASKS[0], "bar")
    return Figure(
        name="sharing",
        title="How the work is shared",
        group="Who took part, and how",
        caption="How many vehicles started no update, one, two and so on during the whole run. A few tall"
        " bars in the middle: the work is spread evenly. A long tail on the right: a few vehicles do most.",
        x=Axis("updates a vehicle started", categories=tuple(named)),
        y=Axis("vehicles", from_zero=True, whole=True),
        series=[bars] if len(each) else [],
        empty="No update was started.",
    )
