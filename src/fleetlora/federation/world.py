"""The world a run takes place in: tracks, RSUs, contacts, radio, devices; fixed before the first round."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fleetlora.faults import Events
from fleetlora.physics import (
    Backhaul,
    Capacity,
    DeviceClass,
    DeviceColumns,
    EnergyModel,
    Link,
    RsuPower,
    Sampling,
    capacity_along,
)
from fleetlora.roadside import Contacts, Sites
from fleetlora.traces import Account, Tracks

if TYPE_CHECKING:
    from fleetlora.federation.flight import Flight, Started

__all__ = ["Here", "World"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Here:
    """All vehicles at one moment; each column (V,).

    Positions are relative to the serving RSU; they and velocities are NaN where none serves the vehicle.
    ``contact`` is the row of the present contact, −1 where there is none. ``leaves_s`` is its end, from the
    track: outcomes may use it, choices must not.
    """

    time_s: float
    rsu: Ints
    contact: Ints
    leaves_s: Floats
    east_m: Floats
    north_m: Floats
    east_mps: Floats
    north_mps: Floats


@dataclass(frozen=True)
class World:
    """Everything outside the method.

    Attributes:
        tracks: The part of the tracks that is used, V vehicles.
        account: What cleaning dropped, and why.
        sites: J RSUs.
        contacts: Which RSU serves which vehicle, and when.
        coverage_m: Radius of an RSU's coverage, metres.
        handoff_ratio: How many times farther the serving RSU must be than a neighbour before a handoff.
        link: Rates at positions (truth) and at distances (what a vehicle can foresee).
        devices: Device classes.
        device: (V,) device class of each vehicle.
        energy: How a vehicle's seconds become joules.
        rsu_power: How an RSU's seconds become joules.
        backhaul: The wire between an RSU and the cloud.
        sampling: How finely tracks are read to integrate rates along them.
    """

    tracks: Tracks
    account: Account
    sites: Sites
    contacts: Contacts
    coverage_m: float
    handoff_ratio: float
    link: Link
    devices: tuple[DeviceClass, ...]
    device: Ints
    energy: EnergyModel
    rsu_power: RsuPower
    backhaul: Backhaul
    sampling: Sampling

    def observe(self, time_s: float) -> Here:
        """Return which RSU serves every vehicle, where those in contact are, and how they move."""
        serving = self.contacts.serving(time_s)
        vehicle = np.flatnonzero(serving.rsu >= 0)
        rsu = serving.rsu[vehicle]
        state = self.tracks.at(time_s, vehicle)

        def column(values: Floats) -> Floats:
            whole = np.full(len(serving.rsu), np.nan)
            whole[vehicle] = values
            return whole

        return Here(
            time_s=time_s,
            rsu=serving.rsu.astype(np.int64),
            contact=serving.contact,
            leaves_s=serving.t_out_s,
            east_m=column(state.x_m - self.sites.x_m[rsu]),
            north_m=column(state.y_m - self.sites.y_m[rsu]),
            east_mps=column(state.vx_mps),
            north_mps=column(state.vy_mps),
        )

    @cached_property
    def computers(self) -> DeviceColumns:
        """The vehicles' devices as columns (V,)."""
        return DeviceColumns.of(self.devices, self.device)

    @cached_property
    def device_names(self) -> NDArray[np.str_]:
        """(V,) name of each vehicle's device class."""
        return np.array([device.name for device in self.devices])[self.device]

    def capacity(self, vehicle: Ints, rsu: Ints, from_s: Floats, to_s: Floats) -> Capacity:
        """Return what the channel could carry for some vehicles along their true tracks.

        The truth of the road: for outcomes only.
        """

        def positions(times_s: Floats) -> tuple[Floats, Floats]:
            state = self.tracks.at(times_s, vehicle)
            return state.x_m, state.y_m

        return capacity_along(positions, self.link, rsu, from_s, to_s, self.sampling)

    # What follows is so as long as nothing goes wrong; FaultyWorld says otherwise.

    @property
    def slowest(self) -> float:
        """How many times as long as foreseen local steps may take."""
        return 1.0

    def computing_s(self, vehicle: Ints, from_s: float, planned_s: Floats) -> Floats:
        """Return (n,) how long local steps really take that were planned to take ``planned_s``."""
        return planned_s

    def halts_s(self, vehicle: Ints, from_s: float) -> Floats:
        """Return (n,) when each vehicle's computer next starts anew, which ends its update."""
        return np.full(len(vehicle), np.inf)

    def rebooted(self, from_s: float, to_s: float) -> Ints:
        """Return the vehicles whose computers start anew in ``[from_s, to_s)``."""
        return np.empty(0, dtype=np.int64)

    def backhaul_s(self, n_bytes: ArrayLike, at_s: ArrayLike) -> Floats:
        """Return the seconds that a transfer over the backhaul takes that begins at ``at_s``."""
        return self.backhaul.seconds(n_bytes)

    def cloud_answers(self, at_s: float) -> bool:
        """Tell whether the RSUs reach the cloud."""
        return True

    def events(self, started: Started, flight: Flight, here: Here, to_s: float) -> Events:
        """Return what went wrong in a round that lasted until ``to_s``, beside its deliveries.

        Args:
            started: Its updates.
            flight: What became of them on the road.
            here: The moment it began.
            to_s: When the next one begins.
        """
        return Events.none()
