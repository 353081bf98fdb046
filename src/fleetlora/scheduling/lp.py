"""The best mix of arms under a budget: the linear programme behind policies and their oracle, solved exactly.

Contexts d with shares w(d), arms a with mean rewards u(d, a) and mean costs c(d, a), a budget rho a
decision::

    max  sum_d w(d) sum_a p(d, a) u(d, a)
    s.t. sum_d w(d) sum_a p(d, a) c(d, a) <= rho,   sum_a p(d, a) <= 1,   p >= 0

What p(d, ·) leaves over is sitting out, an arm of no reward and no cost. This is the relaxation of a
multiple-choice knapsack, and needs no solver (Sinha and Zoltners 1979, "The multiple-choice knapsack
problem"; Kellerer, Pferschy and Pisinger 2004, "Knapsack problems", ch. 11): only arms on the upper concave
hull of a context's points (c, u) can be used, and going up the hulls' edges in the order of their slopes,
until the budget ends on one of them, is optimal. The slope of that edge is the price of the budget.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError

__all__ = ["Mix", "best_mix"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Mix:
    """An optimal solution.

    Attributes:
        probabilities: (D, 1 + A) rows that sum to 1; column 0 is sitting out, column 1 + a is arm a. At most
            one row mixes, and it mixes two columns.
        value: Mean reward of a decision.
        cost: Mean cost of a decision.
        price: Dual variable lambda of the budget, reward per cost: what one more unit of budget a decision
            would earn; 0 where the budget is ample.
    """

    probabilities: Floats
    value: float
    cost: float
    price: float

    def draw(self, context: Ints, rng: np.random.Generator) -> Ints:
        """Return (n,) an arm for each of n contexts, drawn by its probabilities; -1 for sitting out."""
        below = self.probabilities.cumsum(axis=1)[:, :-1][context]
        column = (rng.random(len(context))[:, None] >= below).sum(axis=1)
        return np.asarray(column - 1, dtype=np.int64)


def best_mix(reward: Floats, cost: Floats, share: Floats, budget_per_decision: float) -> Mix:
    """Return the mix that earns most within the budget.

    Args:
        reward: (D, A) mean rewards u.
        cost: (D, A) mean costs c, not negative.
        share: (D,) shares w of the contexts, not negative; they need not sum to 1.
        budget_per_decision: rho, in the unit of the costs; may be infinite.

    Raises:
        InputError: Shapes do not match, or a value is negative or not a number.
    """
    table_u, table_c, weight = _checked(reward, cost, share, budget_per_decision)
    contexts = np.arange(len(weight))
    arm, gain, spend = _hulls(table_u, table_c)
    probabilities = np.zeros(table_u.shape)
    probabilities[contexts, arm[:, 0]] = 1.0

    context, step = np.nonzero(spend > 0)  # the edges; a context without a share moves none of the sums
    slope = gain[context, step] / spend[context, step]
    order = np.lexsort((step, context, -slope))
    context, step, slope = context[order], step[order], slope[order]
    needs = weight[context] * spend[context, step]
    room = budget_per_decision - (needs.cumsum() - needs)
    climbed = np.where(room >= needs, 1.0, np.clip(room / np.where(needs > 0, needs, 1.0), 0.0, 1.0))
    np.subtract.at(probabilities, (context, arm[context, step]), climbed)
    np.add.at(probabilities, (context, arm[context, step + 1]), climbed)
    short = np.flatnonzero(climbed < 1.0)
    return Mix(
        probabilities=probabilities,
        value=float(weight @ (probabilities * table_u).sum(axis=1)),
        cost=float(weight @ (probabilities * table_c).sum(axis=1)),
        price=float(slope[short[0]]) if len(short) else 0.0,
    )


def _checked(
    reward: Floats, cost: Floats, share: Floats, budget_per_decision: float
) -> tuple[Floats, Floats, Floats]:
    """Return the tables with sitting out as column 0, and the shares."""
    u, c, w = (np.asarray(values, dtype=np.float64) for values in (reward, cost, share))
    if u.ndim != 2 or u.size == 0 or c.shape != u.shape or w.shape != u.shape[:1]:
        raise InputError(
            f"reward {u.shape}, cost {c.shape} and share {w.shape} do not match",
            mend="give reward and cost as contexts by arms, at least one of each, and one share a context",
        )
    if not np.isfinite(u).all():
        raise InputError("a reward is not finite", where="reward")
    for name, values in (("cost", c), ("share", w)):
        if not (np.isfinite(values) & (values >= 0)).all():
            raise InputError(f"a {name} is negative or not finite", where=name)
    if not budget_per_decision >= 0:
        raise InputError(
            f"the budget is {budget_per_decision}", where="budget_per_decision", mend="it cannot be negative"
        )
    out = np.zeros((len(u), 1))
    return np.concatenate([out, u], axis=1), np.concatenate([out, c], axis=1), w


def _hulls(reward: Floats, cost: Floats) -> tuple[Ints, Floats, Floats]:
    """Return the upper concave hulls of all contexts, walked from the left while they rise.

    Returns:
        (D, K) the column at each corner, (D, K − 1) reward gained and (D, K − 1) cost spent on each edge;
        both are 0 once a hull has come to its top.
    """
    rows = np.arange(len(reward))
    here = np.where(cost == 0, reward, -np.inf).argmax(axis=1)
    corners, gains, spends = [here], [], []
    for _ in range(reward.shape[1] - 1):
        gain = reward - reward[rows, here][:, None]
        spend = cost - cost[rows, here][:, None]
        up = (gain > 0) & (spend > 0)
        slope = np.where(up, gain / np.where(up, spend, 1.0), 0.0)
        steepest = up & (slope == slope.max(axis=1, keepdims=True))
        moves = up.any(axis=1)
        there = np.where(moves, np.where(steepest, spend, -np.inf).argmax(axis=1), here)
        gains.append(np.where(moves, gain[rows, there], 0.0))
        spends.append(np.where(moves, spend[rows, there], 0.0))
        corners.append(there)
        here = there
    return np.stack(corners, axis=1), np.stack(gains, axis=1), np.stack(spends, axis=1)
