"""The vehicles' side of a round's beginning: foresee the update, choose a rank, plan for leaving.

All of it is computed from :class:`Outlook`, which holds nothing that a vehicle could not know at that moment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetlora.federation.costs import UpdateCosts
from fleetlora.federation.departures import DepartureRule, Plan, Prospect
from fleetlora.federation.residence import Residence
from fleetlora.federation.rsu import Admission
from fleetlora.federation.settings import RoundSettings
from fleetlora.federation.vehicle import Forecast, forecast
from fleetlora.federation.world import Here, World
from fleetlora.scheduling import Offers

__all__ = ["Outlook", "foresee", "make_offers", "plan_departure"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: How far ahead a vehicle reckons its link, seconds: about as long as an update's transfers take.
LOOK_AHEAD_S = 5.0


@dataclass(frozen=True)
class Outlook:
    """What the vehicles admitted for one task expect, row by row.

    Attributes:
        vehicle: (n,) vehicle index.
        rsu: (n,) serving RSU.
        expected: Seconds and joules of an update of each rank, (n, A).
        limit_s: (n, A) seconds after which a vehicle gives up an update of each rank.
        residence: Predicted time until each leaves, and where to.
        up_bps: (n,) upload rate expected over the next seconds.
    """

    vehicle: Ints
    rsu: Ints
    expected: Forecast
    limit_s: Floats
    residence: Residence
    up_bps: Floats


def foresee(
    world: World,
    here: Here,
    admission: Admission,
    task: int,
    costs: UpdateCosts,
    steps: int,
    round: RoundSettings,
    residence: Residence,
    test_steps: Floats,
) -> Outlook:
    """Return what the vehicles admitted for ``task`` expect of an update of each rank.

    Args:
        world: The world.
        here: The present.
        admission: Who was let in, for all tasks.
        task: Number of the task.
        costs: Bytes and FLOPs of each rank, perhaps by the vehicles admitted for the task.
        steps: Local steps of a full update.
        round: How long a round may last and how patient vehicles are.
        residence: Predicted residences of all of ``admission``.
        test_steps: (V,) local steps that measuring the gain takes each vehicle as long as.
    """
    rows = np.flatnonzero(admission.task == task)
    vehicle, rsu = admission.vehicle[rows], admission.rsu[rows]
    x_m, y_m = here.east_m[vehicle] + world.sites.x_m[rsu], here.north_m[vehicle] + world.sites.y_m[rsu]
    path_m = LOOK_AHEAD_S * np.hypot(here.east_mps[vehicle], here.north_mps[vehicle])
    down_bps, up_bps = world.link.expected_rates_bps(rsu, x_m, y_m, path_m)
    sharing = np.bincount(admission.rsu, minlength=len(world.sites))[rsu].astype(np.float64)
    expected = forecast(
        costs,
        steps,
        world.computers.take(vehicle),
        world.energy,
        down_bps,
        up_bps,
        sharing,
        round.limit_s,
        world.slowest,
        test_steps[vehicle],
    )
    return Outlook(
        vehicle=vehicle,
        rsu=rsu,
        expected=expected,
        limit_s=round.limit_s(expected.total_s),
        residence=residence.take(rows),
        up_bps=up_bps,
    )


def make_offers(
    outlook: Outlook, round: int, here: Here, device: Ints, deadline_s: float, remaining_j: float
) -> Offers:
    """Return the offers a policy chooses from; a rank is feasible if time and joules are likely to do."""
    total_s = outlook.expected.total_s
    return Offers(
        round=round,
        time_s=here.time_s,
        vehicle=outlook.vehicle,
        rsu=outlook.rsu,
        device=device[outlook.vehicle],
        feasible=(total_s <= deadline_s) & (outlook.expected.worst_j <= remaining_j),
        predicted_j=outlook.expected.joules,
        predicted_s=total_s,
        residence_s=outlook.residence.seconds,
        rate_bps=outlook.up_bps,
    )


def plan_departure(
    rule: DepartureRule,
    outlook: Outlook,
    rows: Ints,
    arm: Ints,
    steps: int,
    backhaul_s: Floats,
    scale_j: float,
) -> Plan:
    """Return what the vehicles in ``rows``, having chosen ``arm``, do about leaving.

    Args:
        rule: Decides.
        outlook: What the vehicles expect.
        rows: (n,) rows of the outlook.
        arm: (n,) arms they chose.
        steps: Local steps of a full update.
        backhaul_s: (n,) seconds their updates take from one RSU to another.
        scale_j: Joules that count as 1.
    """
    expected = outlook.expected
    return rule.plan(
        Prospect(
            residence_s=outlook.residence.seconds[rows],
            spread=outlook.residence.spread,
            download_s=expected.download_s[rows, arm],
            compute_s=expected.compute_s[rows, arm],
            upload_s=expected.upload_s[rows, arm],
            steps=np.full(len(rows), steps, dtype=np.int64),
            fixed_j=(expected.joules - expected.compute_j)[rows, arm],
            compute_j=expected.compute_j[rows, arm],
            next_rsu=outlook.residence.next_rsu[rows],
            backhaul_s=backhaul_s,
            limit_s=outlook.limit_s[rows, arm],
            scale_j=scale_j,
        )
    )
