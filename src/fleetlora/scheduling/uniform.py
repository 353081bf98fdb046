"""Every vehicle draws its rank blindly."""

from __future__ import annotations

import numpy as np

from fleetlora.scheduling.policy import POLICIES, Ints, Offers, Policy

__all__ = ["UniformRandom"]


@POLICIES.register("random")
class UniformRandom(Policy):
    """a_t ~ Uniform{a : a feasible}, independently for every vehicle and round."""

    def select(self, offers: Offers, rng: np.random.Generator) -> Ints:
        """Return a uniform draw among the feasible ranks of each row, 0 where there is none."""
        keys = np.where(offers.feasible, rng.random(offers.feasible.shape), -1.0)
        arm = keys.argmax(axis=1)
        return np.where(offers.feasible.any(axis=1), self.context.ranks[arm], 0)
