"""A world in which things go wrong: the same roads, seen and travelled under a timetable of faults.

What vehicles and RSUs *see* changes in :meth:`FaultyWorld.observe` alone, and only by what has happened by
then; everything else is what *happens*, which no choice may ask for.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fleetlora.faults import Events, FaultSettings, Schedule, Windows
from fleetlora.federation.flight import Flight, Started
from fleetlora.federation.world import Here, World
from fleetlora.physics import Capacity

__all__ = ["FaultyWorld", "with_faults"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def with_faults(world: World, faults: FaultSettings, seed: int) -> World:
    """Return the world under faults; the world itself where all of them are off.

    Raises:
        ConfigError: A given window lies outside the run.
    """
    if not faults.on:
        return world
    own = {field.name: getattr(world, field.name) for field in fields(World)}
    schedule = Schedule.drawn(
        faults, seed, world.tracks.n_vehicles, len(world.sites), world.tracks.duration_s
    )
    return FaultyWorld(**own, faults=faults, schedule=schedule)


@dataclass(frozen=True)
class FaultyWorld(World):
    """A world and what goes wrong in it.

    Attributes:
        faults: How bad each fault is.
        schedule: When it comes.
    """

    faults: FaultSettings
    schedule: Schedule

    def observe(self, time_s: float) -> Here:
        """Return what is seen: an RSU that is off serves nobody, nor is a vehicle served that starts anew."""
        here = super().observe(time_s)
        off = self.schedule.reboot.at(time_s) >= 0
        served = here.rsu >= 0
        off[served] |= self.schedule.rsu_outage.at(time_s, here.rsu[served]) >= 0
        here = self._drifting(self._stale(here))
        return replace(
            here,
            rsu=np.where(off, -1, here.rsu),
            contact=np.where(off, -1, here.contact),
            leaves_s=np.where(off, np.nan, here.leaves_s),
            east_m=np.where(off, np.nan, here.east_m),
            north_m=np.where(off, np.nan, here.north_m),
        )

    def capacity(self, vehicle: Ints, rsu: Ints, from_s: Floats, to_s: Floats) -> Capacity:
        """Return what the channel could carry: nothing while the RSU is off, less where packets are lost."""
        whole = super().capacity(vehicle, rsu, from_s, to_s)
        outage, burst, loss = self.schedule.rsu_outage, self.schedule.burst, self.faults.packet_loss
        if not len(vehicle) or not (loss or len(outage)):
            return whole
        good, bad = (1.0 - loss.loss_good, 1.0 - loss.loss_bad) if loss else (1.0, 1.0)

        def share(t_s: Floats) -> Floats:
            through = np.where(burst.at(t_s, vehicle[:, None]) >= 0, bad, good)
            return on(t_s) * through

        def on(t_s: Floats) -> Floats:
            return np.where(outage.at(t_s, rsu[:, None]) >= 0, 0.0, 1.0)

        edges = (outage.edges_s(rsu, from_s, to_s), burst.edges_s(vehicle, from_s, to_s))
        return whole.scaled(np.concatenate(edges, axis=1), share, on if len(outage) else None)

    @property
    def slowest(self) -> float:
        """How many times as long as foreseen local steps may take."""
        return self.faults.straggler.factor if self.faults.straggler else 1.0

    def computing_s(self, vehicle: Ints, from_s: float, planned_s: Floats) -> Floats:
        """Return how long local steps take: longer on a vehicle that is slow when the round begins."""
        slow = self.schedule.straggler.at(from_s, vehicle) >= 0
        return np.where(slow, self.slowest * planned_s, planned_s)

    def halts_s(self, vehicle: Ints, from_s: float) -> Floats:
        """Return when each vehicle's computer next starts anew."""
        return self.schedule.reboot.next_begin_s(vehicle, from_s)

    def rebooted(self, from_s: float, to_s: float) -> Ints:
        """Return the vehicles whose computers start anew in ``[from_s, to_s)``."""
        reboot = self.schedule.reboot
        return np.unique(reboot.subject[reboot.beginning(from_s, to_s)])

    def backhaul_s(self, n_bytes: ArrayLike, at_s: ArrayLike) -> Floats:
        """Return the seconds of a transfer over the backhaul, longer in a spike."""
        seconds, spike = super().backhaul_s(n_bytes, at_s), self.faults.backhaul_spike
        if spike is None:
            return seconds
        slow = self.schedule.backhaul_spike.at(at_s, np.zeros(np.shape(at_s), dtype=np.int64)) >= 0
        return seconds + np.where(slow & (seconds > 0), spike.delay_s, 0.0)

    def cloud_answers(self, at_s: float) -> bool:
        """Tell whether the RSUs reach the cloud."""
        return bool(self.schedule.cloud_outage.at(at_s)[0] < 0)

    def events(self, started: Started, flight: Flight, here: Here, to_s: float) -> Events:
        """Return the windows that began in the round, and the updates that flew through bursts."""
        faults, from_s = self.faults, here.time_s
        values = {
            "straggler": self.slowest,
            "backhaul_spike": faults.backhaul_spike.delay_s if faults.backhaul_spike else np.nan,
            "gps_drift": faults.gps_drift.drift_mps if faults.gps_drift else np.nan,
        }
        parts = []
        for kind in (
            "rsu_outage",
            "cloud_outage",
            "straggler",
            "reboot",
            "backhaul_spike",
            "gps_dropout",
            "gps_drift",
        ):
            windows: Windows = getattr(self.schedule, kind)
            rows = windows.beginning(from_s, to_s)
            whom = "rsu" if kind == "rsu_outage" else "vehicle"
            subject = -1 if kind in ("cloud_outage", "backhaul_spike") else windows.subject[rows]
            parts.append(
                Events.of(
                    kind,
                    windows.begin_s[rows],
                    windows.end_s[rows],
                    **{whom: subject},
                    value=values.get(kind, np.nan),
                )
            )
        return Events.joined([*parts, self._bursts(started, flight, from_s)])

    def _bursts(self, started: Started, flight: Flight, from_s: float) -> Events:
        """Return the updates in whose course the link was bad, each with the seconds that it was."""
        began_s = np.full(len(started), from_s)
        bad_s = self.schedule.burst.seconds(started.vehicle, began_s, flight.end_s)
        hit = np.flatnonzero(bad_s > 0)
        whom = {name: getattr(started, name)[hit] for name in ("rsu", "vehicle", "task")}
        return Events.of("packet_loss", began_s[hit], flight.end_s[hit], **whom, value=bad_s[hit])

    def _stale(self, here: Here) -> Here:
        """Return the present with the last fixes of the vehicles that get none.

        A vehicle that was not there when its dropout began has its first fix from elsewhere: it is seen.
        """
        row = self.schedule.gps_dropout.at(here.time_s)
        vehicle = np.flatnonzero(row >= 0)
        last = self.tracks.at(self.schedule.gps_dropout.begin_s[row[vehicle]], vehicle)
        vehicle, rsu = vehicle[last.present], here.rsu[vehicle][last.present]
        served = rsu >= 0
        east_m, north_m = here.east_m.copy(), here.north_m.copy()
        east_mps, north_mps = here.east_mps.copy(), here.north_mps.copy()
        east_m[vehicle] = last.x_m[last.present] - np.where(served, self.sites.x_m[rsu], np.nan)
        north_m[vehicle] = last.y_m[last.present] - np.where(served, self.sites.y_m[rsu], np.nan)
        east_mps[vehicle], north_mps[vehicle] = last.vx_mps[last.present], last.vy_mps[last.present]
        return replace(here, east_m=east_m, north_m=north_m, east_mps=east_mps, north_mps=north_mps)

    def _drifting(self, here: Here) -> Here:
        """Return the present with the fixes of drifting vehicles moved, by as far as they have drifted."""
        drift, windows = self.faults.gps_drift, self.schedule.gps_drift
        row = windows.at(here.time_s)
        if drift is None or not (row >= 0).any():
            return here
        speed = np.where(row >= 0, drift.drift_mps, 0.0)
        for_s = np.where(row >= 0, here.time_s - windows.begin_s[row], 0.0)
        east, north = np.cos(self.schedule.heading_rad[row]), np.sin(self.schedule.heading_rad[row])
        return replace(
            here,
            east_m=here.east_m + speed * east * for_s,
            north_m=here.north_m + speed * north * for_s,
            east_mps=here.east_mps + speed * east,
            north_mps=here.north_mps + speed * north,
        )
