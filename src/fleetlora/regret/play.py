"""One policy on one instance: the rounds themselves, and what they came to.

The lab plays the real policy classes through the same contract as the round loop. Rewards are Bernoulli and
costs are Beta variables about the instance's means, drawn in blocks for every arm whether it is chosen or
not, so that policies under one seed meet the same luck.

Regret is *pseudo*-regret, the means of the chosen arms against those of the best policy of the whole horizon,
which earns OPT(t) a decision in round t; spending is taken both ways, by the means of the chosen arms and as
it was really drawn:

    R(T) = sum_t sum_i (OPT(t) − u(d_i, a_i))
    X(T) = sum_t sum_i (c(d_i, a_i) − rho)         the excess;       its violation is V(T) = max(0, X(T))
    Y(T) = sum_t sum_i (cost drawn − rho)          the overspending; its violation is     max(0, Y(T))

X and Y have one expectation, but Y is what a ledger would show and what steers the price, while X differs
from it by the noise of T·N draws, which no policy can see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetlora.regret.instances import SCALE_J, Instance
from fleetlora.rng import stream
from fleetlora.scheduling import Account, Feedback, Offers, Policy, checked_ranks

__all__ = ["Curve", "grid", "play"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Rounds whose randomness is drawn at once.
_BLOCK = 1000

#: Costs are Beta(k·m, k·(1 − m)): mean m, variance m(1 − m)/(k + 1); joules vary by about a quarter.
_CONCENTRATION = 20.0

#: First round of the grid, and its points in a decade of rounds.
_FIRST, _PER_DECADE = 10, 8


@dataclass(frozen=True)
class Curve:
    """What one play came to, at the rounds of a grid.

    Attributes:
        regret: (G,) R after each of the grid's rounds.
        excess: (G,) X, negative where less than the budget was spent.
        overspent: (G,) Y, likewise.
        price: (G,) the policy's price.
    """

    regret: Floats
    excess: Floats
    overspent: Floats
    price: Floats


def grid(horizon: int) -> Ints:
    """Return the rounds at which curves are recorded: from 10, eight a decade, and the horizon itself."""
    points = max(2, int(np.ceil(_PER_DECADE * np.log10(horizon / _FIRST))) + 1)
    return np.unique(np.rint(np.geomspace(_FIRST, horizon, points)).astype(np.int64))


def play(
    policy: Policy,
    instance: Instance,
    horizon: int,
    seed: int,
    stopped: Callable[[], bool] = lambda: False,
    until_spent: bool = False,
) -> Curve:
    """Play ``horizon`` rounds of ``instance``.

    Args:
        policy: A fresh policy made for ``instance.context(horizon)``.
        instance: The problem.
        horizon: T, rounds.
        seed: Seed of the draws and of the policy's own choices.
        stopped: Is asked now and then whether to give up.
        until_spent: Whether all sit out for good after the round in which the ledger comes to rho·N·T.

    Raises:
        KeyboardInterrupt: It was told to give up.
        InputError: The policy broke its contract.
    """
    table = _Table(policy, instance, horizon, seed, until_spent)
    luck = stream(seed, "regret", instance.name, "draws")
    sums = np.zeros(3)  # regret, excess, overspent
    marks = grid(horizon)
    points = []
    for first, last, piece in _blocks(instance, horizon):
        if stopped():
            raise KeyboardInterrupt
        arm, spent, price = table.play(first, piece, *_draw(instance, piece, last - first, luck))
        regret, excess = _expected(instance, piece, arm)
        steps = np.stack([regret, excess, spent - instance.rho * instance.places])
        totals = sums[:, None] + steps.cumsum(axis=1)
        sums = totals[:, -1]
        at = marks[(marks > first) & (marks <= last)] - first - 1
        points.append(np.vstack([totals[:, at], price[at]]))
    return Curve(*np.hstack(points))


def _blocks(instance: Instance, horizon: int) -> Iterator[tuple[int, int, int]]:
    """Yield first round, last round + 1 and piece of blocks that lie within one piece."""
    begins = [round(piece.begins * horizon) for piece in instance.pieces]
    for piece, (begin, end) in enumerate(zip(begins, [*begins[1:], horizon], strict=True)):
        for first in range(begin, end, _BLOCK):
            yield first, min(first + _BLOCK, end), piece


def _draw(instance: Instance, piece: int, rounds: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return (B, N, A) rewards and costs of every arm, chosen or not."""
    means = instance.pieces[piece]
    reward, cost = means.reward[instance.device], means.cost[instance.device]
    shape = (rounds, *reward.shape)
    costs = rng.beta(_CONCENTRATION * cost, _CONCENTRATION * (1.0 - cost), size=shape)
    return (rng.random(shape) < reward).astype(np.float64), costs


def _expected(instance: Instance, piece: int, arm: Ints) -> tuple[Floats, Floats]:
    """Return (B,) regret and excess by the means; sitting out, column A, is worth 0 and costs 0."""
    means = instance.pieces[piece]
    reward, cost = (np.pad(table, ((0, 0), (0, 1))) for table in (means.reward, means.cost))
    earned = reward[instance.device, arm].sum(axis=1)
    spent = cost[instance.device, arm].sum(axis=1)
    best = instance.optima[piece].value
    return instance.places * best - earned, spent - instance.places * instance.rho


class _Table:
    """Where a policy meets an instance: makes its offers, pays what it chose, and keeps the account."""

    def __init__(
        self, policy: Policy, instance: Instance, horizon: int, seed: int, until_spent: bool
    ) -> None:
        self.policy, self.instance, self.horizon = policy, instance, horizon
        self.rng = stream(seed, "regret", instance.name, "choices")
        self.allotted_j = instance.rho * instance.places * SCALE_J
        self.total_j, self.budget_j = 0.0, self.allotted_j * horizon
        self.most_j = self.budget_j if until_spent else np.inf
        places = instance.places
        self._whole = np.arange(places)
        self._zeros, self._ones = np.zeros(places), np.ones(places)
        self._latency_s = np.zeros((places, len(instance.ranks)))
        self._feasible = np.ones((places, len(instance.ranks)), dtype=np.bool_)

    def play(self, first: int, piece: int, reward: Floats, cost: Floats) -> tuple[Ints, Floats, Floats]:
        """Play the rounds of one block, which begins with round ``first``.

        Args:
            first: Number of the block's first round.
            piece: The stretch of constant means it lies in.
            reward: (B, N, A) rewards of all arms.
            cost: (B, N, A) costs of all arms.

        Returns:
            (B, N) chosen arms, A for sitting out; (B,) costs that were drawn; (B,) prices after each round.
        """
        rounds, places, arms = reward.shape
        chosen = np.full((rounds, places), arms, dtype=np.int64)
        spent, price = np.zeros(rounds), np.zeros(rounds)
        predicted_j = self.instance.pieces[piece].cost[self.instance.device] * SCALE_J
        for k in range(rounds):
            if self.total_j >= self.most_j:
                price[k:] = self.policy.price
                break
            offers = self._offers(first + k, predicted_j)
            ranks = checked_ranks(self.policy, self.policy.select(offers, self.rng), offers)
            rows = self._whole if ranks.all() else np.flatnonzero(ranks)
            arm = np.searchsorted(self.instance.ranks, ranks[rows])
            chosen[k, rows] = arm
            costs = cost[k, rows, arm]
            spent[k] = costs.sum()
            self._pay(offers, rows, ranks[rows], reward[k, rows, arm], costs * SCALE_J)
            price[k] = self.policy.price
        return chosen, spent, price

    def _offers(self, t: int, predicted_j: Floats) -> Offers:
        """Return the offers of round ``t``: every arm is feasible, on one link, with foreseen mean joules."""
        return Offers(
            round=t,
            time_s=float(t),
            vehicle=self.instance.vehicles(t),
            rsu=self._whole,
            device=self.instance.device,
            feasible=self._feasible,
            predicted_j=predicted_j,
            predicted_s=self._latency_s,
            residence_s=self._ones,
            rate_bps=self._ones,
        )

    def _pay(self, offers: Offers, rows: Ints, ranks: Ints, reward: Floats, joules: Floats) -> None:
        """Tell the vehicles what they earned, and the coordinator what they spent."""
        self.policy.update(
            Feedback(
                round=offers.round,
                vehicle=offers.vehicle[rows],
                rank=ranks,
                reward=reward,
                joules=joules,
                latency_s=self._zeros[rows],
                delivered=self._feasible[rows, 0],
            )
        )
        spent_j = float(joules.sum())
        self.total_j += spent_j
        progress = (offers.round + 1) / self.horizon
        self.policy.settle(Account(spent_j, self.allotted_j, self.total_j, self.budget_j, progress))
