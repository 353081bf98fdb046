"""The part of a report that tells what went wrong in the world, where faults were on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from fleetlora.report.markup import element, table
from fleetlora.report.words import NOTHING, count

if TYPE_CHECKING:
    from fleetlora.records import Run

__all__ = ["faults_section"]

#: Each kind in words, and the unit of its value.
_KINDS = {
    "rsu_outage": ("a roadside unit's radio was off", ""),
    "cloud_outage": ("the cloud could not be reached", ""),
    "packet_loss": ("an update met a burst of lost packets", "s in bursts"),
    "straggler": ("a vehicle became slow", "times as long"),
    "reboot": ("a vehicle's computer started anew", ""),
    "backhaul_spike": ("the backhaul became slow", "s longer"),
    "gps_dropout": ("a vehicle got no position any more", ""),
    "gps_drift": ("a vehicle's position began to wander off", "m/s"),
    "duplicate": ("a copy of an update was refused", "s after it was sent"),
    "late": ("an update came after its round and was refused", "s after it was sent"),
    "reordered": ("an update came after one that was sent later", "s after it was sent"),
    "clock_skew": ("a vehicle's time stamp was not believed", "s off"),
}


def faults_section(run: Run) -> str:
    """Return the section as HTML, nothing where faults were off."""
    if "faults" not in run.tables:
        return ""
    kinds = run.faults.with_columns(pl.col("kind").cast(pl.String)).group_by("kind")
    told = kinds.agg(pl.len(), pl.col("value").abs().mean()).sort("kind")
    rows = []
    for kind, events, value in told.iter_rows():
        words, unit = _KINDS.get(kind, (kind, ""))
        rows.append((kind, words, count(events), NOTHING if value is None else f"{value:.3g} {unit}".strip()))
    note = "No fault came." if not rows else "The mean is that of sizes. Single events are in faults.parquet."
    shown = table(("fault", "what happened", "how often", "mean"), rows, "numbers") if rows else ""
    return (
        '<section class="panel wide" id="faults"><h2>What went wrong</h2>'
        f"{shown}{element('p', note)}</section>"
    )
