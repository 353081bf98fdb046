"""A small fleet with known mean rewards and costs, on which the best stationary policy is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fleetlora.rng import stream
from fleetlora.scheduling import (
    Account,
    Feedback,
    Mix,
    Offers,
    Policy,
    PolicyContext,
    best_mix,
    checked_ranks,
)

#: Mean rewards and costs of three device classes (rows) and four ranks (columns). Ratios of reward to cost
#: fall with the rank in the first class, peak in the middle in the second, and rise in the third.
REWARD = np.array([[0.30, 0.45, 0.55, 0.60], [0.20, 0.50, 0.60, 0.62], [0.10, 0.25, 0.45, 0.80]])
COST = np.array([[0.15, 0.30, 0.50, 0.80], [0.20, 0.30, 0.50, 0.75], [0.20, 0.30, 0.40, 0.50]])
RANKS = np.array([2, 4, 8, 16], dtype=np.int64)
SCALE_J = 50.0


def context(n_vehicles: int = 30, ranks: np.ndarray = RANKS, devices: int = 3) -> PolicyContext:
    """Return a fleet whose vehicles belong to the classes in turn."""
    return PolicyContext(
        task="known",
        ranks=ranks,
        n_vehicles=n_vehicles,
        device=np.arange(n_vehicles, dtype=np.int64) % devices,
        device_names=("small", "medium", "large")[:devices],
        device_flops_per_s=np.array([1e10, 5e10, 2e11])[:devices],
        reference_j=SCALE_J * np.linspace(0.2, 0.8, len(ranks)),
        scale_j=SCALE_J,
        deadline_s=30.0,
    )


def offers(about: PolicyContext, vehicle: Any = None, feasible: Any = None, round: int = 0) -> Offers:
    """Return offers to the given vehicles, all arms feasible unless said otherwise."""
    rows = np.arange(about.n_vehicles) if vehicle is None else np.asarray(vehicle, dtype=np.int64)
    n, arms = len(rows), len(about.ranks)
    able = np.ones((n, arms), dtype=np.bool_) if feasible is None else np.asarray(feasible, dtype=np.bool_)
    return Offers(
        round=round,
        time_s=30.0 * round,
        vehicle=rows,
        rsu=np.zeros(n, dtype=np.int64),
        device=about.device[rows],
        feasible=able,
        predicted_j=np.tile(about.reference_j, (n, 1)),
        predicted_s=np.full((n, arms), 10.0),
        residence_s=np.full(n, 60.0),
        rate_bps=np.full(n, 1e7),
    )


def feedback(vehicle: Any, rank: Any, reward: Any, joules: Any) -> Feedback:
    """Return delivered updates."""
    n = len(vehicle)
    return Feedback(
        round=0,
        vehicle=np.asarray(vehicle, dtype=np.int64),
        rank=np.asarray(rank, dtype=np.int64),
        reward=np.asarray(reward, dtype=np.float64),
        joules=np.asarray(joules, dtype=np.float64),
        latency_s=np.full(n, 10.0),
        delivered=np.ones(n, dtype=np.bool_),
    )


@dataclass(frozen=True)
class Played:
    """Mean true reward and cost per decision, and (D, A) how often each class pulled each arm."""

    reward: float
    cost: float
    pulls: np.ndarray


def optimum(about: PolicyContext, pace: float, reward: Any = REWARD, cost: Any = COST) -> Mix:
    """Return the best stationary policy for a budget of ``pace`` per decision."""
    share = np.bincount(about.device) / about.n_vehicles
    return best_mix(reward, cost, share, pace)


def play(
    policy: Policy, pace: float, rounds: int, seed: int, reward: Any = REWARD, cost: Any = COST, last: int = 0
) -> Played:
    """Play rounds in which every vehicle decides, under a hard cap of ``pace`` a decision on average.

    Rewards are 0 or 1, joules vary by 30 %. ``last`` rounds count, all if 0.
    """
    about = policy.context
    budget_j = pace * about.scale_j * rounds * about.n_vehicles
    total_j, pulls = 0.0, np.zeros(reward.shape)
    for round in range(rounds):
        rng = stream(seed, "round", round)
        here = offers(about, round=round)
        ranks = checked_ranks(policy, policy.select(here, rng), here)
        joules = about.scale_j * rng.uniform(0.7, 1.3, len(here))
        chosen = np.searchsorted(about.ranks, ranks).clip(max=len(about.ranks) - 1)
        joules *= np.where(ranks > 0, cost[here.device, chosen], 0.0)
        starts = np.flatnonzero((ranks > 0) & (total_j + joules.cumsum() <= budget_j))
        device, arm = here.device[starts], chosen[starts]
        gained = (rng.random(len(starts)) < reward[device, arm]).astype(float)
        policy.update(feedback(starts, ranks[starts], gained, joules[starts]))
        spent_j = float(joules[starts].sum())
        allotted_j = (budget_j - total_j) / (rounds - round)
        total_j += spent_j
        policy.settle(Account(spent_j, allotted_j, total_j, budget_j, (round + 1) / rounds))
        if round >= rounds - last or not last:
            np.add.at(pulls, (device, arm), 1)
    decisions = (last or rounds) * about.n_vehicles
    return Played(float((pulls * reward).sum()) / decisions, float((pulls * cost).sum()) / decisions, pulls)
