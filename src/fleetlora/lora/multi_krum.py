"""Multi-Krum: merge only the updates that stand closest to their neighbours.

    score(i) = sum of |d_i − d_j|² over the n − f − 2 updates j closest to i;   the n − f best are merged

Blanchard et al. 2017, "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", NeurIPS,
where n ≥ 2f + 3 is asked for. f is ``share`` of n, or as much less as keeps n ≥ 2f + 3, so that of fewer than
five updates none is left out. The n − f that are left go to the aggregation rule, whatever it is, with their
samples as weights.

Distances come from factors alone (:mod:`fleetlora.lora.changes`). Those of layers and heads have no common
scale: each is divided by its median over all pairs before they are added, which is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from fleetlora.lora.adapter import Adapter
from fleetlora.lora.changes import change_of, square_distances
from fleetlora.lora.robust import RobustRule
from fleetlora.lora.robust_rules import ROBUST_RULES
from fleetlora.settings import quantity

__all__ = ["MultiKrum", "krum_choice"]


@ROBUST_RULES.register("multi-krum")
class MultiKrum(RobustRule):
    """The aggregation rule over the updates that have close neighbours.

    Args:
        share: Part of the updates that may be poison.
    """

    share: float = quantity(0.25, "1", "multi-krum: part of the updates that may be poison", ge=0, lt=0.5)

    def chosen(self, received: Sequence[Adapter], updates: Sequence[Adapter]) -> list[int]:
        """Return the updates that stand closest to their neighbours."""
        if len(updates) == 1:
            return [0]
        apart = square_distances([change_of(r, u) for r, u in zip(received, updates, strict=True)])
        return krum_choice(_common_scale(apart), self.share)


def krum_choice(apart: torch.Tensor, share: float) -> list[int]:
    """Return which of n updates multi-Krum keeps, in their order; of equal scores the first.

    Args:
        apart: (n, n) squared distances.
        share: Part of them that may be poison.
    """
    n = len(apart)
    f = max(0, min(math.floor(share * n), (n - 3) // 2))
    if not f:
        return list(range(n))
    closest = apart.sort(dim=1).values[:, 1 : n - f - 1]  # the first is the update itself
    order = closest.sum(dim=1).argsort(stable=True)
    return sorted(order[: n - f].tolist())


def _common_scale(apart: torch.Tensor) -> torch.Tensor:
    """Return the (n, n) sum over the parts of their squared distances, each over its median."""
    n = apart.shape[1]
    pairs = apart[:, *torch.triu_indices(n, n, offset=1)]
    middle = pairs.median(dim=1).values
    return (apart / torch.where(middle > 0, middle, 1.0)[:, None, None]).sum(dim=0)
