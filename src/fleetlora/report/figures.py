"""All figures of a run, in the order in which they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetlora.report.figure import Figure

if TYPE_CHECKING:
    from fleetlora.records import Run

__all__ = ["all_figures"]


def all_figures(run: Run) -> tuple[Figure, ...]:
    """Return every figure of ``run``; a figure without data says so itself."""
    from fleetlora.report import costs, learning, taking_part

    return (
        learning.accuracy_over_time(run),
        learning.accuracy_over_energy(run),
        costs.energy_spent(run),
        costs.energy_price(run),
        costs.round_latency(run),
        costs.energy_by_outcome(run),
        learning.trained_ranks(run),
        taking_part.participation(run),
        taking_part.update_outcomes(run),
        taking_part.updates_per_vehicle(run),
        taking_part.residence_error(run),
    )
