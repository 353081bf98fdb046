"""Every vehicle trains the same rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleetlora.scheduling.arms import require_arm
from fleetlora.scheduling.policy import POLICIES, Ints, Offers, Policy, PolicyContext
from fleetlora.settings import Settings, quantity

__all__ = ["Fixed"]


@POLICIES.register("fixed")
class Fixed(Policy):
    """a_t = r for every vehicle and round; a vehicle for which r is not feasible sits the round out."""

    class Options(Settings):
        """The rank; without one, the largest arm."""

        rank: int | None = quantity(None, "1", "rank of every vehicle; the largest arm if not given", ge=1)

    @classmethod
    def check(cls, options: Options, ranks: Sequence[int], devices: Sequence[str]) -> None:
        """Refuse a rank that is no arm; see :class:`Policy`."""
        if options.rank is not None:
            require_arm(options.rank, ranks, "policy.rank")

    def __init__(self, context: PolicyContext, options: Options) -> None:
        super().__init__(context, options)
        self.rank = int(context.ranks[-1]) if options.rank is None else options.rank
        self._arm = int(np.searchsorted(context.ranks, self.rank))

    def select(self, offers: Offers, rng: np.random.Generator) -> Ints:
        """Return ``rank`` where it is feasible, else 0."""
        return np.where(offers.feasible[:, self._arm], self.rank, 0)
