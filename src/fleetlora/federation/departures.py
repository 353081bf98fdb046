"""What a vehicle does when it expects to leave its RSU before its update is through.

A rule decides once, before the update begins, from what the vehicle can foresee: whether to start, how many
local steps to take, and whether, should it leave early all the same, to carry on and upload through the
next RSU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fleetlora.registry import Registry
from fleetlora.settings import Settings, quantity

__all__ = ["DEPARTURE_RULES", "DepartureRule", "Drop", "LeastCost", "Oracle", "Plan", "Prospect"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Prospect:
    """What n vehicles expect of the update they are about to start; row i is one vehicle.

    Attributes:
        residence_s: (n,) predicted time until the vehicle leaves its RSU.
        spread: Standard deviation of that prediction's error in the logarithm; 0 for an oracle.
        download_s: (n,) expected seconds of the download.
        compute_s: (n,) expected seconds of all local steps.
        upload_s: (n,) expected seconds of the upload.
        steps: (n,) local steps of a full update.
        fixed_j: (n,) expected joules of download and upload.
        compute_j: (n,) expected joules of all local steps.
        next_rsu: (n,) RSU it expects to be handed off to, −1 where it expects none.
        backhaul_s: (n,) seconds that its update takes from one RSU to another.
        limit_s: (n,) seconds after which it gives up.
        scale_j: Joules that count as 1.
    """

    residence_s: Floats
    spread: float
    download_s: Floats
    compute_s: Floats
    upload_s: Floats
    steps: Ints
    fixed_j: Floats
    compute_j: Floats
    next_rsu: Ints
    backhaul_s: Floats
    limit_s: Floats
    scale_j: float

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class Plan:
    """What the vehicles will do.

    Attributes:
        start: (n,) whether the vehicle starts at all.
        steps: (n,) local steps it will take, fewer for an early upload.
        hand_off: (n,) whether it carries on after a handoff and uploads through the next RSU.
        gives_up: (n,) whether it gives the update up when it leaves otherwise; if not, the update is lost
            there.
    """

    start: Bools
    steps: Ints
    hand_off: Bools
    gives_up: Bools


class DepartureRule(Protocol):
    """Decides, from what the vehicle expects, how it goes about its update.

    A rule with ``oracle`` set is told true residences and next RSUs instead of predicted ones: a yardstick,
    not a method.
    """

    oracle: ClassVar[bool]

    def plan(self, prospect: Prospect) -> Plan:
        """Return what each vehicle will do."""
        ...


#: Departure rules by the name that a configuration uses.
DEPARTURE_RULES: Registry[type[DepartureRule]] = Registry("departure rule")


@DEPARTURE_RULES.register("drop")
class Drop(Settings):
    """Everyone takes every step; an update is lost when its vehicle leaves before the upload ends."""

    oracle: ClassVar[bool] = False

    def plan(self, prospect: Prospect) -> Plan:
        """Return the full update for every vehicle."""
        everyone = np.ones(len(prospect), dtype=np.bool_)
        return Plan(start=everyone, steps=prospect.steps, hand_off=~everyone, gives_up=~everyone)


class _Weights(Settings):
    """Weights of what an action costs, relative to losing a full update's gain."""

    delay_weight: float = quantity(0.2, "1", "cost of as much delay as the vehicle has patience for", ge=0)
    energy_weight: float = quantity(0.2, "1", "cost of scale_j joules", ge=0)
    gain_exponent: float = quantity(
        0.5, "1", "h of H steps bring (h/H)^this of the gain: early steps bring most", gt=0, le=1
    )


@DEPARTURE_RULES.register("least-cost")
class LeastCost(_Weights):
    """Full, early with h steps, each with or without a hand-off, or none: the least expected cost.

    With T(h) the time to the end of the upload and R the predicted residence, its error log-normal, an update
    of h steps gets through with probability p = P(R ≥ T(h)) = Phi((ln R − ln T(h)) / spread). If it does
    not and the vehicle carries on, it gets through the next RSU with probability q: 1 where a handoff is
    ahead and T(h) plus the backhaul fits the limit, else 0. Then

        cost(h) = w_d · T(h)/limit + w_e · E(h)/e_ref + 1 − (h/H)^a · (p + (1 − p)·q),     cost(none) = 1
    """

    oracle: ClassVar[bool] = False
    hand_offs: bool = quantity(True, "1", "whether an update may go through the next RSU")

    def plan(self, prospect: Prospect) -> Plan:
        """Return the cheapest action of every vehicle."""
        n, most = len(prospect), int(prospect.steps.max(initial=1))
        steps = np.arange(1, most + 1)
        share = np.minimum(steps / prospect.steps[:, None], 1.0)
        total_s = (prospect.download_s + prospect.upload_s)[:, None] + share * prospect.compute_s[:, None]
        joules = prospect.fixed_j[:, None] + share * prospect.compute_j[:, None]
        stays = _probability(prospect.residence_s[:, None], total_s, prospect.spread)
        late_s = total_s + prospect.backhaul_s[:, None]
        reaches = (prospect.next_rsu >= 0)[:, None] & (late_s <= prospect.limit_s[:, None]) & self.hand_offs
        arrives = np.where(reaches, 1.0, stays)
        cost = (
            self.delay_weight * total_s / prospect.limit_s[:, None]
            + self.energy_weight * joules / prospect.scale_j
            + 1.0
            - share**self.gain_exponent * arrives
        )
        cost = np.where(steps <= prospect.steps[:, None], cost, np.inf)
        best = most - 1 - cost[:, ::-1].argmin(axis=1)  # of equals the one with more steps
        rows = np.arange(n)
        return Plan(
            start=cost[rows, best] < 1.0,
            steps=steps[best],
            hand_off=reaches[rows, best],
            gives_up=np.ones(n, dtype=np.bool_),
        )


@DEPARTURE_RULES.register("oracle")
class Oracle(LeastCost):
    """``least-cost`` told how long each vehicle stays and where it goes: what perfect foresight would bring.

    No vehicle could know that: a yardstick, not a method. How long transfers take stays foreseen, and there
    is no error left to keep a margin for, so it need not be best in every run.
    """

    oracle: ClassVar[bool] = True


def _probability(residence_s: Floats, needed_s: Floats, spread: float) -> Floats:
    """Return the probability that a residence, predicted with a log-normal error, is long enough."""
    margin = np.log(np.maximum(residence_s, 1e-9)) - np.log(np.maximum(needed_s, 1e-9))
    if spread == 0.0:
        return np.where(margin >= 0, 1.0, 0.0)
    return np.asarray(ndtr(margin / spread))
