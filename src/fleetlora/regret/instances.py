"""Problems whose best answer is known: arms with known means, a fleet, and a budget per decision.

An instance is a fleet of N places. In every round each place holds one vehicle, which chooses one arm or
sits out. Reward and cost of arm a for a vehicle of class d are random in [0, 1], with means u(d, a) and
c(d, a) that may change between pieces k of the horizon. No policy that spends at most rho per decision over
the whole horizon can earn more on average than the linear programme

    OPT = max_p sum_k l(k) sum_d w(d) sum_a p(k, d, a) u(k, d, a)
          subject to  sum_k l(k) sum_d w(d) sum_a p(k, d, a) c(k, d, a) <= rho,
                      sum_a p(k, d, a) <= 1,   p >= 0,

where l(k) is the part of the horizon that piece k has, w(d) is the share of places with class d, and what p
leaves over is sitting out. Joules may move from one piece to another: the budget has one dual variable,
lambda*, which is what the price of UCB-DUAL has to find. No optimum here sits out, so that policies that
cannot sit out have the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError
from fleetlora.registry import suggest
from fleetlora.scheduling import Mix, PolicyContext, best_mix

__all__ = ["INSTANCES", "SCALE_J", "Instance", "Piece", "find_instance"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Joules that count as cost 1 in every instance. Any number would do; 1 would hide a forgotten division.
SCALE_J = 10.0


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of rounds with constant means.

    Attributes:
        begins: Part of the horizon that is over when it begins, in [0, 1).
        reward: (D, A) mean rewards.
        cost: (D, A) mean costs.
    """

    begins: float
    reward: Floats
    cost: Floats


@dataclass(frozen=True, eq=False)
class Instance:
    """One problem.

    Attributes:
        name: What ``--instances`` calls it.
        about: What it is, in one sentence.
        ranks: (A,) the arms, ascending.
        device: (N,) class of the vehicle in each place, from 0 to D - 1.
        rho: Cost that a decision may have on average.
        pieces: Stretches of constant means, the first from 0.
        stay: Rounds until a vehicle drives on and a new one takes its place; ``None`` for a fixed fleet.
        most_rounds: Longest horizon it is played for, ``None`` for any.
    """

    name: str
    about: str
    ranks: Ints
    device: Ints
    rho: float
    pieces: tuple[Piece, ...]
    stay: int | None = None
    most_rounds: int | None = None

    @property
    def places(self) -> int:
        """N, decisions in a round."""
        return len(self.device)

    @property
    def steady(self) -> bool:
        """Whether the means stay as they are."""
        return len(self.pieces) == 1

    @cached_property
    def _place(self) -> Ints:
        return np.arange(self.places, dtype=np.int64)

    @cached_property
    def share(self) -> Floats:
        """(D,) share of the places that each class has."""
        return np.bincount(self.device) / len(self.device)

    @cached_property
    def lengths(self) -> Floats:
        """(K,) part of the horizon that each piece has."""
        return np.diff([piece.begins for piece in self.pieces], append=1.0)

    @cached_property
    def optima(self) -> tuple[Mix, ...]:
        """What the best policy of the whole horizon plays in each piece; they are contexts of one LP."""
        reward = np.concatenate([piece.reward for piece in self.pieces])
        cost = np.concatenate([piece.cost for piece in self.pieces])
        whole = best_mix(reward, cost, np.outer(self.lengths, self.share).ravel(), self.rho)
        return tuple(
            Mix(
                part,
                value=float(self.share @ (part[:, 1:] * piece.reward).sum(axis=1)),
                cost=float(self.share @ (part[:, 1:] * piece.cost).sum(axis=1)),
                price=whole.price,
            )
            for part, piece in zip(np.split(whole.probabilities, len(self.pieces)), self.pieces, strict=True)
        )

    @property
    def slack(self) -> float:
        """Slater's constant: rho minus the least a fleet spends that may not sit out, over all pieces."""
        return float(self.rho - max(self.share @ piece.cost.min(axis=1) for piece in self.pieces))

    def rounds(self, horizon: int) -> int:
        """Return how many rounds it is played for when ``horizon`` is asked for."""
        return horizon if self.most_rounds is None else min(horizon, self.most_rounds)

    def vehicles(self, t: int) -> Ints:
        """Return the (N,) index of the vehicle in each place in round ``t``.

        Vehicles do not arrive together: the one in place i has been there for i mod ``stay`` rounds at first.
        """
        if self.stay is None:
            return self._place
        return (t + self._place % self.stay) // self.stay * self.places + self._place

    def context(self, horizon: int) -> PolicyContext:
        """Return what a policy is told before ``horizon`` rounds: classes and arms, but no reward."""
        generations = int(self.vehicles(horizon - 1).max()) // self.places + 1
        cost = self.pieces[0].cost
        return PolicyContext(
            task=self.name,
            ranks=self.ranks,
            n_vehicles=generations * self.places,
            device=np.tile(self.device, generations),
            device_names=tuple(f"class-{d}" for d in range(len(cost))),
            device_flops_per_s=np.linspace(1e9, 2e9, len(cost)),
            reference_j=np.median(cost, axis=0) * SCALE_J,
            scale_j=SCALE_J,
            deadline_s=1.0,
        )


_RANKS = np.array([2, 4, 8, 16, 32], dtype=np.int64)
_COST = np.array([0.1, 0.2, 0.4, 0.6, 0.9])


def _means(*rows: list[float]) -> Floats:
    return np.array(rows)


def _table() -> dict[str, Instance]:
    stationary = Instance(
        name="stationary",
        about="eight vehicles that stay; the best mix is half rank 4, half rank 16",
        ranks=_RANKS,
        device=np.zeros(8, dtype=np.int64),
        rho=0.4,
        pieces=(Piece(0.0, _means([0.05, 0.50, 0.35, 0.90, 0.70]), _COST[None]),),
    )
    drifting = Instance(
        name="drifting",
        about="the same fleet; what the ranks are worth changes after each third of the horizon",
        ranks=_RANKS,
        device=np.zeros(8, dtype=np.int64),
        rho=0.4,
        pieces=(
            Piece(0.0, _means([0.05, 0.50, 0.35, 0.90, 0.70]), _COST[None]),
            Piece(1 / 3, _means([0.05, 0.45, 0.35, 0.40, 0.95]), _COST[None]),
            Piece(2 / 3, _means([0.40, 0.25, 0.15, 0.80, 0.60]), _COST[None]),
        ),
        most_rounds=10_000,
    )
    newcomers = Instance(
        name="newcomers",
        about="eight places, two device classes; every vehicle leaves after six rounds",
        ranks=_RANKS[:4],
        device=np.array([0, 0, 0, 0, 1, 1, 1, 1], dtype=np.int64),
        rho=0.35,
        pieces=(
            Piece(
                0.0,
                _means([0.05, 0.50, 0.35, 0.90], [0.30, 0.20, 0.75, 0.55]),
                _means([0.10, 0.20, 0.40, 0.60], [0.15, 0.25, 0.40, 0.80]),
            ),
        ),
        stay=6,
        most_rounds=10_000,
    )
    return {instance.name: instance for instance in (stationary, drifting, newcomers)}


#: Instances by name.
INSTANCES: Mapping[str, Instance] = MappingProxyType(_table())


def find_instance(name: str) -> Instance:
    """Return the instance called ``name``.

    Raises:
        InputError: There is none; the message suggests the nearest name.
    """
    if name not in INSTANCES:
        raise InputError(
            f"unknown instance {name!r}", where="--instances", mend=suggest(name, list(INSTANCES))
        )
    return INSTANCES[name]
