"""UCB-ALP: the best mix of arms for what is left of the budget, drawn anew every round."""

from __future__ import annotations

from typing import Any

import numpy as np

from fleetlora.scheduling.arms import at_or_below, first_pulls, ranks_of
from fleetlora.scheduling.learning import Learning
from fleetlora.scheduling.lp import Mix, best_mix
from fleetlora.scheduling.pace import Pace
from fleetlora.scheduling.policy import POLICIES, Account, Ints, Offers, PolicyContext
from fleetlora.settings import quantity

__all__ = ["UcbAlp"]


@POLICIES.register("ucb-alp")
class UcbAlp(Learning):
    """UCB-ALP of Wu, Srikant, Liu and Jiang 2015, NIPS.

    "Algorithms with logarithmic or sublinear regret for constrained contextual bandits". Contexts are the
    device classes d, arms the ranks and sitting out. With n pulls of arm a in context d, t decisions of all
    vehicles before this round, those to sit out included, and rho what is left of the budget per decision
    still to come, p solves the linear programme of :mod:`fleetlora.scheduling.lp` every round, for::

        U(d, a) = min(1, mean_u(d, a) + kappa · sqrt(ln t / (2 n(d, a))))
        C(d, a) = mean_c(d, a), joules / e_ref
        w(d)    = share of class d among the vehicles that had something to decide
        rho     = (budget − spent) / decisions still to come

    and a vehicle of class d draws its arm from p(d, ·); a rank that is not feasible for it becomes the next
    lower one that is, else it sits out. kappa = 1 is the paper's radius, a smaller one learns faster in a
    run of some dozen rounds. The paper knows the costs and w; here both are learned, and rho is inferred as
    in :class:`Pace`. An arm without observations is tried first. Without a budget, and in the first round,
    rho is infinite and the largest U is taken. With ``pooled = false`` (see :class:`Learning`) every
    vehicle is a context of its own.
    """

    class Options(Learning.Options):
        """Constant of the confidence radius."""

        exploration: float = quantity(0.3, "1", "kappa, width of the confidence radius", ge=0)

    options: Options

    def __init__(self, context: PolicyContext, options: Options) -> None:
        super().__init__(context, options)
        self.pace = Pace(context.scale_j)
        self._seen = np.zeros(len(self.table.count))
        self._price = 0.0

    def select(self, offers: Offers, rng: np.random.Generator) -> Ints:
        """Return a draw from the best mix, made feasible."""
        row = self.rows_of(offers.vehicle)
        able = offers.feasible.any(axis=1)
        self._seen += np.bincount(row[able], minlength=len(self._seen))
        self.pace.count(int(able.sum()))
        mix = self.mix()
        self._price = mix.price
        first = first_pulls(row, offers.feasible, self.table.count[row])
        arm = at_or_below(offers.feasible, mix.draw(row, rng))
        return ranks_of(self.context.ranks, np.where(first >= 0, first, arm))

    def mix(self) -> Mix:
        """Return the solution of the linear programme for what is known now; it leaves out untried arms."""
        count, t = self.table.count, max(1, self.pace.decisions)
        pulls = np.where(count > 0, count, 1.0)
        radius = self.options.exploration * np.sqrt(np.log(t) / (2.0 * pulls))
        upper = np.where(count > 0, np.minimum(1.0, self.table.mean_reward + radius), 0.0)
        share = self._seen / max(1.0, float(self._seen.sum()))
        return best_mix(upper, self.table.mean_cost, share, self.pace.left)

    def settle(self, account: Account) -> None:
        """Take stock of what is left and for how many."""
        super().settle(account)
        self.pace.settle(account)

    @property
    def price(self) -> float:
        """Dual variable of the budget in the last round's programme, reward per cost."""
        return self._price

    def state_dict(self) -> dict[str, Any]:
        """Return the table, the pace, the contexts seen and the price."""
        return {
            **super().state_dict(),
            "pace": self.pace.state_dict(),
            "seen": self._seen.copy(),
            "price": self._price,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        super().load_state_dict(state)
        self.pace.load_state_dict(state["pace"])
        self._seen = np.array(state["seen"], dtype=np.float64)
        self._price = float(state["price"])
