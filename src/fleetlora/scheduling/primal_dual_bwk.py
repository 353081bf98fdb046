"""PrimalDualBwK: the most reward per priced resource, priced by multiplicative weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from fleetlora.scheduling.arms import best_arm, first_pulls, ranks_of
from fleetlora.scheduling.learning import Learning
from fleetlora.scheduling.pace import Pace
from fleetlora.scheduling.policy import (
    POLICIES,
    Account,
    Feedback,
    Floats,
    Ints,
    Offers,
    PolicyContext,
)
from fleetlora.settings import quantity

__all__ = ["PrimalDualBwk", "best_ratio_price", "confidence_radius"]

_LEAST_COST = 1e-9  # keeps a ratio finite while every cost may still be 0


def confidence_radius(mean: Floats, count: Floats, constant: float) -> Floats:
    """Return rad(mu, N) = sqrt(C mu / N) + C / N, elementwise; infinite where N = 0."""
    pulls = np.where(count > 0, count, 1.0)
    return np.where(count > 0, np.sqrt(constant * mean / pulls) + constant / pulls, np.inf)


def best_ratio_price(upper: Floats, lower: Floats, share: Floats, weight: float, pace: float) -> float:
    """Return lambda = Z y for the map of the best ratio Z, by Dinkelbach's iteration.

    Z rises with every step and takes each of the finitely many ratios at most once.

    Args:
        upper: (D, A) optimistic rewards U.
        lower: (D, A) optimistic costs L.
        share: (D,) shares w, summing to 1.
        weight: y, weight of the joules.
        pace: B/T.
    """
    out = np.zeros((len(upper), 1))
    reward, cost = np.concatenate([out, upper], axis=1), np.concatenate([out, lower], axis=1)
    rows, ratio = np.arange(len(upper)), 0.0
    while True:
        arm = (reward - ratio * weight * cost).argmax(axis=1)
        buck = weight * float(share @ cost[rows, arm]) + (1.0 - weight) * pace
        better = float(share @ reward[rows, arm]) / max(buck, _LEAST_COST)
        if better <= ratio * (1.0 + 1e-12):
            return ratio * weight
        ratio = better


@POLICIES.register("primal-dual-bwk")
class PrimalDualBwk(Learning):
    """PrimalDualBwK of Badanidiyuru, Kleinberg and Slivkins 2018, "Bandits with knapsacks", J. ACM 65(3).

    Two resources, the task's joules and its decisions (the paper's time). With costs in units of e_ref, a
    budget of B for the joules, and T decisions in the whole run, a decision uses B/T of the time, so that
    both budgets are B. The paper's arm is here a map pi from device class d to a rank or to sitting out
    (which earns and costs nothing), for a fleet of unlike devices is best served by different ranks. U, L
    and the shares w of the classes add up over the classes, so that no map has to be listed::

        U(d, a) = min(1, mean_u(d, a) + rad(mean_u(d, a), n(d, a)))      optimistic reward
        L(d, a) = max(0, mean_c(d, a) − rad(mean_c(d, a), n(d, a)))      optimistic cost
        rad(mu, N) = sqrt(C mu / N) + C / N
        pi = argmax sum_d w(d) U(d, pi(d)) / (y · sum_d w(d) L(d, pi(d)) + (1 − y) · B/T)
        y  = v_joules / (v_joules + v_time)

    With Z the ratio that pi attains, pi(d) maximises U(d, a) − Z y L(d, a) (Dinkelbach 1967, "On nonlinear
    fractional programming"); so a vehicle needs only the price lambda = Z y, and chooses the best of what is
    feasible for it, or sits out where nothing is worth its price. Each arm of a class is tried once first.
    The coordinator, once a round, from v = 1, for what was pulled in it::

        v_joules <- v_joules · (1 + eps)^(sum of L),   v_time <- v_time · (1 + eps)^(decisions · B/T)
        eps = sqrt(ln 2 / B)

    T is not known: it is inferred as in :class:`Pace`. Without a budget, and in the first round, the price
    is 0. The paper's proof needs C of the order ln(2 T A); at the horizons of a run that much caution
    learns too slowly, and C is an option. Which vehicles learn together: see :class:`Learning`.
    """

    class Options(Learning.Options):
        """Constants of the confidence radius."""

        confidence: float = quantity(0.03, "1", "C, constant of the confidence radius", ge=0)

    options: Options

    def __init__(self, context: PolicyContext, options: Options) -> None:
        super().__init__(context, options)
        self.pace = Pace(context.scale_j)
        self._seen = np.zeros(len(self.table.count))
        self._log_weight = 0.0  # ln(v_joules / v_time): only the ratio counts, and its log cannot overflow
        self._pulled_cost = 0.0
        self._price = 0.0

    def select(self, offers: Offers, rng: np.random.Generator) -> Ints:
        """Return the rank of the most optimistic reward less its price; 0 where none is worth it."""
        row = self.rows_of(offers.vehicle)
        able = offers.feasible.any(axis=1)
        self._seen += np.bincount(row[able], minlength=len(self._seen))
        self.pace.count(int(able.sum()))
        upper, lower = self.bounds()
        score = (upper - self._price * lower)[row]
        count = self.table.count[row]
        first = first_pulls(row, offers.feasible, count)
        arm = best_arm(score, offers.feasible & (count > 0) & (score > 0))
        return ranks_of(self.context.ranks, np.where(first >= 0, first, arm))

    def bounds(self) -> tuple[Floats, Floats]:
        """Return (R, A) optimistic rewards U and (R, A) optimistic costs L."""
        reward, cost, count = self.table.mean_reward, self.table.mean_cost, self.table.count
        constant = self.options.confidence
        upper = np.minimum(1.0, reward + confidence_radius(reward, count, constant))
        lower = np.maximum(0.0, cost - confidence_radius(cost, count, constant))
        return upper, lower

    def update(self, feedback: Feedback) -> None:
        """Note the optimistic cost of what was pulled, then learn from it."""
        lower = self.bounds()[1]
        self._pulled_cost += float(lower[self.rows_of(feedback.vehicle), self.arm_of(feedback)].sum())
        super().update(feedback)

    def settle(self, account: Account) -> None:
        """Step the weights of the two resources, and find the price that goes with them."""
        super().settle(account)
        decided = self.pace.recent
        self.pace.settle(account)
        budget, pace = self.pace.budget, self.pace.overall
        self._price = 0.0
        if np.isfinite(pace) and budget > 0:
            rate = np.log1p(np.sqrt(np.log(2.0) / budget))
            self._log_weight += float(rate) * (self._pulled_cost - decided * pace)
            share = self._seen / self._seen.sum()
            self._price = best_ratio_price(*self.bounds(), share, self.joule_weight, pace)
        self._pulled_cost = 0.0

    @property
    def joule_weight(self) -> float:
        """Weight y of the joules among the resources, in (0, 1)."""
        return float(1.0 / (1.0 + np.exp(-np.clip(self._log_weight, -500.0, 500.0))))

    @property
    def price(self) -> float:
        """Lambda = Z y, reward per cost; 0 without a budget."""
        return self._price

    def state_dict(self) -> dict[str, Any]:
        """Return the table, the pace, the classes seen, the weights and the price."""
        return {
            **super().state_dict(),
            "pace": self.pace.state_dict(),
            "seen": self._seen.copy(),
            "log_weight": self._log_weight,
            "pulled_cost": self._pulled_cost,
            "price": self._price,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        super().load_state_dict(state)
        self.pace.load_state_dict(state["pace"])
        self._seen = np.array(state["seen"], dtype=np.float64)
        self._log_weight, self._pulled_cost = float(state["log_weight"]), float(state["pulled_cost"])
        self._price = float(state["price"])
