"""UCB-BV1: the largest optimistic ratio of reward to joules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fleetlora.scheduling.arms import best_arm, first_pulls, ranks_of, take_turns
from fleetlora.scheduling.learning import Learning
from fleetlora.scheduling.policy import POLICIES, Floats, Ints, Offers
from fleetlora.settings import quantity

__all__ = ["UcbBv"]


@POLICIES.register("ucb-bv")
class UcbBv(Learning):
    """UCB-BV1 of Ding, Qin, Zhang and Liu 2013, AAAI.

    "Multi-armed bandit with budget constraint and variable costs". Rewards u and costs c = joules / e_ref
    in [0, 1]; n pulls of arm a, t − 1 pulls of all arms so far::

        index(a) = mean_u(a) / mean_c(a) + (1 + 1/lambda) · eps(a) / (lambda − eps(a))
        eps(a)   = kappa · sqrt(ln(t − 1) / n(a))
        a_t      = argmax over feasible a of index(a); each arm once first

    lambda is a lower bound of the expected costs. The bound behind the index holds for eps(a) < lambda
    only; an arm with fewer pulls than that needs has no finite bound and goes first (read as a number, the
    formula would turn negative and such an arm would never be pulled again). Without a known lambda, the
    least mean cost that a learner has seen takes its place, as in the same paper's UCB-BV2.

    It has no horizon: it plays until the budget ends, which is the ledger's hard cap, and looks neither at
    what is left nor at the time; where the budget is ample it still seeks reward per joule. kappa = 1 is
    the paper's index; at the horizons of a run that much caution tries every arm until the end. Which
    vehicles learn together: see :class:`Learning`.
    """

    class Options(Learning.Options):
        """Constants of the index."""

        exploration: float = quantity(0.03, "1", "kappa, width of the confidence radius", ge=0)
        least_cost: float | None = quantity(
            None,
            "1",
            "lambda, lower bound of an arm's expected joules over e_ref; learned if not given",
            gt=0,
            le=1,
        )

    options: Options

    def select(self, offers: Offers, rng: np.random.Generator) -> Ints:
        """Return the rank of the largest index, 0 where none is feasible."""
        row = self.rows_of(offers.vehicle)
        index, bounded = self.index()
        count = self.table.count[row]
        first = first_pulls(row, offers.feasible, count)
        open_arm = take_turns(row, offers.feasible & (count > 0) & ~bounded[row])
        arm = best_arm(index[row], offers.feasible)
        arm = np.where(open_arm >= 0, open_arm, arm)
        return ranks_of(self.context.ranks, np.where(first >= 0, first, arm))

    def index(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Return (R, A) the indices of all rows, and where they have a finite bound."""
        count, reward, cost = self.table.count, self.table.mean_reward, self.table.mean_cost
        pulls = np.where(count > 0, count, 1.0)
        total = np.maximum(count.sum(axis=1, keepdims=True), 1.0)
        radius = self.options.exploration * np.sqrt(np.log(total) / pulls)
        least = self._least_cost(cost)
        bounded = (count > 0) & (radius < least)
        slack = np.where(bounded, least - radius, 1.0)
        ratio = reward / np.where(cost > 0, cost, least)
        return np.where(bounded, ratio + (1.0 + 1.0 / least) * radius / slack, 0.0), bounded

    def _least_cost(self, cost: Floats) -> Floats:
        """Return (R, 1) lambda."""
        if self.options.least_cost is not None:
            return np.full((len(cost), 1), self.options.least_cost)
        seen = np.where((self.table.count > 0) & (cost > 0), cost, 1.0)
        return np.asarray(seen.min(axis=1, keepdims=True))
