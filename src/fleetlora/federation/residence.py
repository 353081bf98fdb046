"""How long a vehicle will stay with its RSU, as far as anyone can know: its motion, and who stayed before it.

Two predictors, of which neither is right alone. *Kinematics* drives the vehicle straight on until it leaves
coverage or a neighbour becomes better by the hysteresis; it takes a bus at its stop for parked. *Past
dwell* is the mean of what those stayed on who had been with this RSU as long as this vehicle has. They are
blended in the logarithm, each weighted by the inverse of its mean squared error so far, which the RSUs
learn when contacts end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleetlora.federation.world import Here, World
from fleetlora.roadside import Sites

__all__ = ["Residence", "ResidencePredictor", "crossing_s", "neighbours", "past_dwell_s"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Shortest residence that is told apart, seconds; a logarithm needs one.
SHORTEST_S = 1.0

#: Squared error in the logarithm that each predictor is credited with before any contact has ended, and how
#: many observations that belief is worth. 1.0 is a factor of e.
PRIOR_ERROR, PRIOR_WEIGHT = 1.0, 5.0


@dataclass(frozen=True)
class Residence:
    """Predicted residences of n vehicles.

    Attributes:
        seconds: (n,) predicted time until each leaves its RSU.
        spread: Standard deviation of the prediction's error in the logarithm, as observed so far.
        next_rsu: (n,) RSU it is expected to be handed off to, −1 where none is ahead.
    """

    seconds: Floats
    spread: float
    next_rsu: Ints

    def take(self, rows: Ints) -> Residence:
        """Return the predictions of some of the vehicles."""
        return Residence(self.seconds[rows], self.spread, self.next_rsu[rows])

    @classmethod
    def known(cls, world: World, here: Here, vehicle: Ints) -> Residence:
        """Return the true residences and next RSUs, which only an oracle may see."""
        handed_to = world.contacts.handed_to[here.contact[vehicle]]
        next_rsu = np.where(handed_to >= 0, world.contacts.rsu[handed_to], -1).astype(np.int64)
        return cls(here.leaves_s[vehicle] - here.time_s, 0.0, next_rsu)


class ResidencePredictor:
    """Predicts residences and learns from the contacts that have ended.

    Args:
        world: Supplies geometry, and contacts up to the present only.
        cap_s: Longest residence that is predicted, seconds.
    """

    def __init__(self, world: World, cap_s: float) -> None:
        self.world, self.cap_s = world, cap_s
        self._error = np.full(3, PRIOR_ERROR * PRIOR_WEIGHT)  # summed: kinematics, past dwell, blend
        self._seen = PRIOR_WEIGHT
        self._open: list[_Predicted] = []
        self._near = neighbours(world.sites, world.coverage_m)
        self._all = np.broadcast_to(np.arange(len(world.sites)), (len(world.sites),) * 2)

    def predict(self, here: Here, vehicle: Ints) -> Residence:
        """Return the predicted residences of some vehicles, all of them in contact now."""
        self._learn(here.time_s)
        kinematic_s, next_rsu = self._kinematic_s(here, vehicle)
        dwell_s = past_dwell_s(self.world, here, vehicle, self.cap_s)
        known = np.isfinite(dwell_s)
        logs = np.log(
            np.clip(np.stack([kinematic_s, np.where(known, dwell_s, kinematic_s)]), SHORTEST_S, None)
        )
        weight = 1.0 / self._error[:2, None] * np.stack([np.ones(len(vehicle)), known])
        blend = (weight * logs).sum(axis=0) / weight.sum(axis=0)
        if len(vehicle):
            when_s = np.full(len(vehicle), here.time_s)
            self._keep(here.contact[vehicle], when_s, np.vstack([logs, blend]).T)
        return Residence(np.minimum(np.exp(blend), self.cap_s), self.spread, next_rsu)

    @property
    def spread(self) -> float:
        """Standard deviation of the blend's error in the logarithm so far."""
        return float(np.sqrt(self._error[2] / self._seen))

    def state_dict(self) -> dict[str, Any]:
        """Return the errors so far, and the predictions whose contacts have not ended."""
        return {
            "error": self._error.copy(),
            "seen": float(self._seen),
            "open": [[one.contact, one.when_s, one.logs] for one in self._open],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self._error = np.array(state["error"], dtype=np.float64)
        self._seen = float(state["seen"])
        self._open = []
        for contact, when_s, logs in state["open"]:
            self._keep(contact, when_s, logs)

    def _keep(self, contact: Ints, when_s: Floats, logs: Floats) -> None:
        """Keep predictions until their contacts end."""
        soonest_s = float(self.world.contacts.t_out_s[contact].min())
        self._open.append(_Predicted(contact, when_s, logs, soonest_s))

    def _kinematic_s(self, here: Here, vehicle: Ints) -> tuple[Floats, Ints]:
        world = self.world
        motion = (here.east_m, here.north_m, here.east_mps, here.north_mps)
        east_m, north_m, east_mps, north_mps = (column[vehicle] for column in motion)
        edge_s = coverage_exit_s(east_m, north_m, east_mps, north_mps, world.coverage_m, self.cap_s)
        first_s, to = np.full(len(vehicle), np.inf), np.full(len(vehicle), -1, dtype=np.int64)
        # A position that drifts may lie anywhere, and so may the site that seems to be better there.
        strays = np.hypot(east_m, north_m) > world.coverage_m
        for rows, near in ((~strays, self._near), (strays, self._all)):
            if rows.any():
                first_s[rows], to[rows] = self._first_handoff(here, vehicle[rows], near)
        return np.minimum(edge_s, first_s), np.where(first_s <= edge_s, to, -1)

    def _first_handoff(self, here: Here, vehicle: Ints, near: Ints) -> tuple[Floats, Ints]:
        """Return when the first of the sites ``near`` each RSU (J, M) becomes better, and which it is."""
        world, sites, rsu = self.world, self.world.sites, here.rsu[vehicle]
        near = near[rsu]
        over_s = crossing_s(
            np.stack([here.east_m[vehicle], here.north_m[vehicle]], axis=1),
            np.stack([here.east_mps[vehicle], here.north_mps[vehicle]], axis=1),
            np.stack(
                [sites.x_m[near] - sites.x_m[rsu, None], sites.y_m[near] - sites.y_m[rsu, None]], axis=2
            ),
            world.handoff_ratio,
            world.link.radio.height_m,
            world.coverage_m,
        )
        over_s[near == rsu[:, None]] = np.inf
        first = (np.arange(len(rsu)), over_s.argmin(axis=1))
        return over_s[first], near[first]

    def _learn(self, now_s: float) -> None:
        """Compare predictions with the contacts that have ended by now."""
        were_open, self._open = self._open, []
        for one in were_open:
            if one.soonest_s > now_s:
                self._open.append(one)
                continue
            end_s = self.world.contacts.t_out_s[one.contact]
            ended = end_s <= now_s
            stayed = np.log(np.clip(end_s - one.when_s, SHORTEST_S, self.cap_s))[ended]
            foreseen = np.minimum(one.logs[ended], np.log(self.cap_s))
            self._error += ((foreseen - stayed[:, None]) ** 2).sum(axis=0)
            self._seen += ended.sum()
            if not ended.all():
                self._keep(one.contact[~ended], one.when_s[~ended], one.logs[~ended])


class _Predicted(NamedTuple):
    """What was predicted in one round and has not been compared with the truth: columns (n,), logs (n, 3)."""

    contact: Ints
    when_s: Floats
    logs: Floats
    soonest_s: float  # when the first of the contacts ends


def neighbours(sites: Sites, coverage_m: float) -> Ints:
    """Return the sites that a vehicle can be handed off to, straight from each site.

    It must be covered by both at that moment, so they lie within twice the coverage of each other.

    Args:
        sites: J sites.
        coverage_m: Radius of a site's coverage, metres.

    Returns:
        (J, M) indices of the sites near each site, ascending; itself among them, and again in their place
        where it has fewer than M.
    """
    from scipy.spatial import cKDTree

    places = np.column_stack([sites.x_m, sites.y_m])
    lists = cKDTree(places).query_ball_point(places, 2.001 * coverage_m, return_sorted=True)
    near = np.repeat(np.arange(len(sites))[:, None], max(map(len, lists)), axis=1)
    for site, found in enumerate(lists):
        near[site, : len(found)] = found
    return near


def coverage_exit_s(
    east_m: Floats, north_m: Floats, east_mps: Floats, north_mps: Floats, coverage_m: float, cap_s: float
) -> Floats:
    """Return when a vehicle leaves a circle around its RSU if it drives on as it does now.

    With p the position relative to the RSU and v the velocity, the time is the larger root of
    |p + v·t|² = R²; a vehicle that stands still stays for ``cap_s``.

    Args:
        east_m: (n,) position relative to the RSU, metres.
        north_m: (n,) the same to the north.
        east_mps: (n,) velocity, metres per second.
        north_mps: (n,) the same to the north.
        coverage_m: Radius R, metres.
        cap_s: Longest time that is returned, seconds.
    """
    speed2 = east_mps**2 + north_mps**2
    along = east_m * east_mps + north_m * north_mps
    inside = coverage_m**2 - east_m**2 - north_m**2
    root = np.sqrt(np.maximum(along**2 + speed2 * inside, 0.0))
    moving = speed2 > 1e-6
    time_s = np.where(moving, (root - along) / np.where(moving, speed2, 1.0), cap_s)
    return np.clip(time_s, 0.0, cap_s)


def crossing_s(
    position_m: Floats,
    velocity_mps: Floats,
    sites_m: Floats,
    ratio: float,
    height_m: float,
    coverage_m: float,
) -> Floats:
    """Return when each site becomes better than the serving one by the hysteresis, driving straight on.

    With p the position and s a site, both relative to the serving RSU, v the velocity, rho the ratio of
    distances and h the antennas' difference in height, the neighbour is better where
    |p + v·t|² + h² ≥ rho²·(|p + v·t − s|² + h²), a quadratic in t.

    Args:
        position_m: (n, 2).
        velocity_mps: (n, 2).
        sites_m: (n, J, 2) other sites.
        ratio: rho, above 1.
        height_m: h, metres.
        coverage_m: A site does not serve from farther away than this, metres.

    Returns:
        (n, J) seconds, 0 where it is so already, infinite where it never will be.
    """
    p, v = position_m[:, None], velocity_mps[:, None]
    away = p - sites_m
    a = (1 - ratio**2) * (v**2).sum(axis=2)
    b = 2 * ((p * v).sum(axis=2) - ratio**2 * (away * v).sum(axis=2))
    c = (p**2).sum(axis=2) - ratio**2 * (away**2).sum(axis=2) + (1 - ratio**2) * height_m**2
    disc = b**2 - 4 * a * c
    moving = np.abs(a) > 1e-9
    # a < 0 and c < 0: both roots have the sign of b, and the first is reached where b > 0
    root = (-b + np.sqrt(np.maximum(disc, 0.0))) / np.where(moving, 2 * a, 1.0)
    time_s = np.where(c >= 0, 0.0, np.where(moving & (disc >= 0) & (b > 0), root, np.inf))
    there = away + v * np.where(np.isfinite(time_s), time_s, 0.0)[:, :, None]
    return np.where((there**2).sum(axis=2) <= coverage_m**2, time_s, np.inf)


def past_dwell_s(world: World, here: Here, vehicle: Ints, cap_s: float) -> Floats:
    """Return the mean of what past vehicles stayed on that had been with the RSU as long as each vehicle has.

    Only contacts that have ended by now count.

    Args:
        world: Its contacts.
        here: The present.
        vehicle: (n,) vehicles in contact.
        cap_s: Longest stay that counts, seconds.

    Returns:
        (n,) seconds, NaN where nobody has stayed that long.
    """
    contacts = world.contacts
    elapsed = here.time_s - contacts.t_in_s[here.contact[vehicle]]
    past = contacts.by_dwell[contacts.t_out_s[contacts.by_dwell] <= here.time_s]
    dwell, at = contacts.dwell_s[past], contacts.rsu[past]
    sums = np.concatenate([[0.0], np.cumsum(dwell)])
    rsu = here.rsu[vehicle]
    last = np.searchsorted(at, rsu, side="right")
    width = (
        dwell.max(initial=0.0) + elapsed.max(initial=0.0) + 1.0
    )  # one RSU's keys end before the next's begin
    first = np.searchsorted(at * width + dwell, rsu * width + elapsed, side="right")
    longer = last - first
    stayed = (sums[last] - sums[first]) / np.maximum(longer, 1) - elapsed
    return np.where(longer > 0, np.minimum(stayed, cap_s), np.nan)
