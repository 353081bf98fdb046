"""Every vehicle trains the rank of its device class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleetlora.errors import ConfigError
from fleetlora.registry import suggest
from fleetlora.scheduling.arms import at_or_below, ranks_of, require_arm
from fleetlora.scheduling.policy import POLICIES, Floats, Ints, Offers, Policy, PolicyContext
from fleetlora.settings import Settings, quantity

__all__ = ["ByDevice"]


@POLICIES.register("by-device")
class ByDevice(Policy):
    """Ranks by resources, as HetLoRA, FlexLoRA and FLoRA give them out.

    The L distinct speeds of the device classes, sorted, get the A arms evenly from the lowest to the
    highest; a fleet with one speed trains the highest::

        a(level) = floor(level · (A − 1) / (L − 1) + 1/2),   level = 0 … L−1

    A vehicle for which that rank is not feasible takes the next lower one that is, else sits the round out.

    Sources: Cho et al. 2024, "Heterogeneous LoRA for federated fine-tuning of on-device foundation models"
    (HetLoRA, arXiv 2401.06432); Bai et al. 2024, "Federated fine-tuning of large language models under
    heterogeneous tasks and client resources" (FlexLoRA, arXiv 2402.11505); Wang et al. 2024, "FLoRA:
    federated fine-tuning large language models with heterogeneous low-rank adaptations" (arXiv 2409.05976).
    """

    class Options(Settings):
        """Ranks of single device classes."""

        ranks: dict[str, int] = quantity(
            {}, "1", "rank of a device class by its name; classes not named get theirs by speed"
        )

    options: Options

    @classmethod
    def check(cls, options: Options, ranks: Sequence[int], devices: Sequence[str]) -> None:
        """Refuse a class that is not there and a rank that is no arm; see :class:`Policy`."""
        for name, rank in options.ranks.items():
            where = f"policy.ranks.{name}"
            if name not in devices:
                raise ConfigError("no such device class", where=where, mend=suggest(name, list(devices)))
            require_arm(rank, ranks, where)

    def __init__(self, context: PolicyContext, options: Options) -> None:
        super().__init__(context, options)
        self.arm = _spread(context.device_flops_per_s, len(context.ranks))
        for name, rank in options.ranks.items():
            self.arm[context.device_names.index(name)] = np.searchsorted(context.ranks, rank)

    def select(self, offers: Offers, rng: np.random.Generator) -> Ints:
        """Return the rank of each vehicle's class, or the next lower feasible one."""
        return ranks_of(self.context.ranks, at_or_below(offers.feasible, self.arm[offers.device]))


def _spread(flops_per_s: Floats, arms: int) -> Ints:
    """Return (D,) the arm of each device class; equal speeds get equal arms."""
    speeds, level = np.unique(flops_per_s, return_inverse=True)
    if len(speeds) < 2:
        return np.full(len(flops_per_s), arms - 1, dtype=np.int64)
    return np.floor(level * (arms - 1) / (len(speeds) - 1) + 0.5).astype(np.int64)
