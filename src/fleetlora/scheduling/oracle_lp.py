"""An oracle: plays the best mix for means that nobody can know beforehand. A yardstick, not a method."""

from __future__ import annotations

import numpy as np

from fleetlora.errors import ConfigError
from fleetlora.scheduling.arms import at_or_below, ranks_of
from fleetlora.scheduling.lp import Mix, best_mix
from fleetlora.scheduling.policy import POLICIES, Floats, Ints, Offers, Policy, PolicyContext
from fleetlora.settings import Settings, quantity

__all__ = ["OracleLp"]

Table = tuple[tuple[float, ...], ...]


@POLICIES.register("oracle-lp")
class OracleLp(Policy):
    """The best stationary policy for true means: what regret is measured against.

    p solves the linear programme of :mod:`fleetlora.scheduling.lp` once, for the true mean rewards and
    costs of every device class and arm, the shares of the classes in the fleet, and the budget per
    decision; a vehicle of class d draws its arm from p(d, ·), and a rank that is not feasible for it
    becomes the next lower one that is, else it sits out.

    The truth is given as options, all three together: in the regret lab it is known, and for a real run it
    can only be measured afterwards. Without them the oracle presumes what a run knows beforehand: every
    class spends ``reference_j``, every rank earns the same, and joules are free, for which the lowest rank
    is best.
    """

    class Options(Settings):
        """The truth."""

        reward: Table | None = quantity(
            None, "1", "true mean reward in [0, 1] of each device class (rows) and arm (columns)"
        )
        cost: Table | None = quantity(
            None, "1", "true mean joules over e_ref of each device class (rows) and arm (columns)"
        )
        budget_per_decision: float | None = quantity(
            None, "1", "budget over e_ref and the number of decisions", ge=0
        )

    options: Options

    def __init__(self, context: PolicyContext, options: Options) -> None:
        super().__init__(context, options)
        shape = (len(context.device_names), len(context.ranks))
        share = np.bincount(context.device, minlength=shape[0]) / max(1, context.n_vehicles)
        truth = (options.reward, options.cost, options.budget_per_decision)
        if all(value is None for value in truth):
            reference = np.minimum(context.reference_j / context.scale_j, 1.0)
            self.mix: Mix = best_mix(np.ones(shape), np.tile(reference, (shape[0], 1)), share, np.inf)
        elif options.reward is None or options.cost is None or options.budget_per_decision is None:
            raise ConfigError(
                "reward, cost and budget_per_decision are known together or not at all",
                where="policy",
                mend="give all three, or none of them",
            )
        else:
            reward = _table("reward", options.reward, shape)
            cost = _table("cost", options.cost, shape)
            self.mix = best_mix(reward, cost, share, options.budget_per_decision)

    def select(self, offers: Offers, rng: np.random.Generator) -> Ints:
        """Return a draw from the best mix, made feasible."""
        arm = at_or_below(offers.feasible, self.mix.draw(offers.device, rng))
        return ranks_of(self.context.ranks, arm)

    @property
    def price(self) -> float:
        """Dual variable of the budget, reward per cost."""
        return self.mix.price


def _table(name: str, values: Table, shape: tuple[int, int]) -> Floats:
    """Return the option as an array of device classes by arms."""
    widths = {len(row) for row in values}
    if len(values) != shape[0] or widths != {shape[1]}:
        raise ConfigError(
            f"it has {len(values)} rows of {sorted(widths)} values",
            where=f"policy.{name}",
            mend=f"give {shape[0]} rows, one a device class, of {shape[1]} values, one a rank",
        )
    table = np.asarray(values, dtype=np.float64)
    if (table < 0).any() or (table > 1).any():
        raise ConfigError("a value is outside [0, 1]", where=f"policy.{name}", mend="give means in [0, 1]")
    return table
