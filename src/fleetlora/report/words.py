"""Numbers and names as people read them: units that fit, spans of time, names of outcomes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "NOTHING",
    "OUTCOME_WORDS",
    "PHASE_WORDS",
    "Unit",
    "count",
    "energy_unit",
    "joules",
    "percent",
    "span",
    "stand_in",
    "time_unit",
]

OUTCOME_WORDS = {
    "delivered": "delivered in full",
    "early": "delivered early",
    "handed_off": "handed off",
    "abandoned": "abandoned",
    "lost": "lost",
    "none": "no update",
}

PHASE_WORDS = {
    "download": "download",
    "compute": "training",
    "upload": "upload",
    "idle": "waiting",
    "rsu": "RSU's own",
}

#: What is shown where there is no value.
NOTHING = "–"


@dataclass(frozen=True)
class Unit:
    """A unit to show values in: ``shown = value / size``."""

    name: str
    size: float


def energy_unit(most_j: float) -> Unit:
    """Return the unit in which ``most_j`` joules is a handy number."""
    for name, size in (("GJ", 1e9), ("MJ", 1e6), ("kJ", 1e3), ("J", 1.0)):
        if most_j >= 2 * size:
            return Unit(name, size)
    return Unit("mJ", 1e-3) if 0 < most_j < 0.2 else Unit("J", 1.0)


def time_unit(most_s: float) -> Unit:
    """Return the unit in which ``most_s`` seconds is a handy number."""
    if most_s >= 3 * 3600:
        return Unit("h", 3600.0)
    return Unit("min", 60.0) if most_s >= 180 else Unit("s", 1.0)


def count(value: int | None) -> str:
    """Return a whole number with its thousands apart."""
    return NOTHING if value is None else f"{value:,}"


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share of one as per cent."""
    return NOTHING if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def joules(value_j: float | None) -> str:
    """Return joules with three figures and the unit that fits."""
    if value_j is None or not math.isfinite(value_j):
        return NOTHING
    unit = energy_unit(value_j)
    return f"{_figures(value_j / unit.size)} {unit.name}"


def span(seconds: float | None) -> str:
    """Return a span of time as a person would say it: ``4.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 60:
        return f"{_figures(seconds)} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
    hours = round(seconds / 3600)
    return f"{hours // 24} d" + (f" {hours % 24} h" if hours % 24 else "")


def stand_in(learner: Mapping[str, Any]) -> str:
    """Return what must be said of results that no training stands behind.

    Args:
        learner: The part ``learner`` of a result: kind and error by task.
    """
    worst = max(learner["error_points"].values())
    return f"not trained: a fitted learning curve, off by up to {worst:.1f} points on average where checked"


def _figures(value: float) -> str:
    """Return ``value`` with three figures, and no digits nobody reads."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
