"""Every vehicle trains the largest rank that it can."""

from __future__ import annotations

import numpy as np

from fleetlora.scheduling.arms import at_or_below, ranks_of
from fleetlora.scheduling.policy import POLICIES, Ints, Offers, Policy

__all__ = ["Greedy"]


@POLICIES.register("greedy")
class Greedy(Policy):
    """a_t = max{a : a feasible}: the largest rank that ends by the deadline and whose joules are still there.

    It learns nothing and saves nothing, so it spends a budget as fast as the fleet allows.
    """

    def select(self, offers: Offers, rng: np.random.Generator) -> Ints:
        """Return the largest feasible rank of each row, 0 where there is none."""
        top = np.full(len(offers), len(self.context.ranks) - 1)
        return ranks_of(self.context.ranks, at_or_below(offers.feasible, top))
