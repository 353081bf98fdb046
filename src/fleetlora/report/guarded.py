"""The parts of a report that tell what RSUs refused, and what differential privacy guarantees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from fleetlora.report.markup import element, table
from fleetlora.report.words import count

if TYPE_CHECKING:
    from fleetlora.records import Run

__all__ = ["privacy_section", "quarantine_section"]


def quarantine_section(run: Run) -> str:
    """Return what was refused as HTML, nothing where nothing was."""
    if not run.quarantine.height:
        return ""
    told = (
        run.quarantine.with_columns(pl.col("reason").cast(pl.String), pl.col("task").cast(pl.String))
        .group_by("task", "reason")
        .agg(pl.len(), pl.col("vehicle").n_unique().alias("vehicles"))
        .sort("task", "reason")
    )
    rows = [(task, reason, count(n), count(vehicles)) for task, reason, n, vehicles in told.iter_rows()]
    note = (
        "Roadside units refused these updates and reports; none of them reached a model. Each one, with its"
        " vehicle and round, is in quarantine.parquet."
    )
    shown = table(("task", "reason", "refused", "vehicles"), rows, "numbers")
    return (
        '<section class="panel wide" id="quarantine"><h2>What was refused</h2>'
        f"{shown}{element('p', note)}</section>"
    )


def privacy_section(run: Run) -> str:
    """Return the guarantee as HTML, nothing where privacy was off."""
    privacy = run.result.get("privacy")
    if not privacy:
        return ""
    rows = [
        (name, count(task["rounds"]), f"{task['epsilon']:.2f}", f"{task['epsilon_replaced']:.2f}")
        for name, task in privacy["tasks"].items()
    ]
    note = (
        f"Every update was clipped to the norm {privacy['clip_norm']:g} and got Gaussian noise of"
        f" {privacy['noise_multiplier']:g} times that. Epsilon holds for one vehicle over all rounds of the"
        f" task at delta {privacy['delta']:g}: against its updates being replaced by none, and by any others."
        " It covers the models alone, not rewards, joules or these records."
    )
    shown = table(("task", "rounds", "epsilon", "epsilon, replaced"), rows, "numbers")
    return (
        '<section class="panel wide" id="privacy"><h2>Differential privacy</h2>'
        f"{shown}{element('p', note)}</section>"
    )
