"""What a learner's row says of its arms, alone or leaning on the levels above it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetlora.scheduling.contexts import Contexts
from fleetlora.scheduling.statistics import ArmTable

__all__ = ["Estimates", "pooled_estimates", "row_estimates"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Estimates:
    """Pulls and means of every arm for n vehicles; each (n, A), means 0 where there are no pulls."""

    count: Floats
    reward: Floats
    cost: Floats

    @classmethod
    def of(cls, count: Floats, reward_sum: Floats, cost_sum: Floats) -> Estimates:
        """Return the means of sums."""
        pulls = np.where(count > 0, count, 1.0)
        return cls(count, reward_sum / pulls, cost_sum / pulls)

    def leaning_on(self, above: Estimates, most: float) -> Estimates:
        """Return these estimates after each arm has borrowed at most ``most`` pulls from ``above``.

        An arm borrows k = most·n'/(most + n') pulls at the mean of the level above, which has n'.
        """
        borrowed = most * above.count / np.maximum(most + above.count, 1e-12)
        return Estimates.of(
            self.count + borrowed,
            self.count * self.reward + borrowed * above.reward,
            self.count * self.cost + borrowed * above.cost,
        )


def row_estimates(table: ArmTable, row: Ints) -> Estimates:
    """Return what each vehicle's own row says."""
    return Estimates.of(table.count[row], table.reward_sum[row], table.cost_sum[row])


def pooled_estimates(table: ArmTable, context: Ints, contexts: Contexts, lean: float) -> Estimates:
    """Return what each vehicle's context says, leaning on its device class, and that on the fleet.

    Args:
        table: One row a context.
        context: (n,) contexts.
        contexts: How contexts are numbered.
        lean: Most pulls an arm borrows from the level above; 0 leaves contexts to themselves.
    """
    own = row_estimates(table, context)
    if lean == 0:
        return own
    columns = [
        column.reshape(*contexts.shape, -1) for column in (table.count, table.reward_sum, table.cost_sum)
    ]
    by_device = Estimates.of(*(column.sum(axis=(1, 2)) for column in columns))
    fleet = Estimates.of(*(column.sum(axis=(0, 1, 2))[None] for column in columns))
    devices = by_device.leaning_on(fleet, lean)
    of = contexts.device(context)
    return own.leaning_on(Estimates(devices.count[of], devices.reward[of], devices.cost[of]), lean)
