"""The world a run takes place in: tracks, RSUs, contacts, radio and devices, all fixed before the first round."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fleetlora.federation.vehicle import DeviceColumns
from fleetlora.physics import Backhaul, DeviceClass, EnergyModel, Link
from fleetlora.roadside import Contacts, Sites
from fleetlora.traces import Account, Tracks

__all__ = ["Here", "World"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Here:
    """All vehicles at one moment; each column (V,), positions and velocities NaN where a vehicle is absent.

    ``leaves_s`` is the end of the present contact, taken from the track: outcomes may use it, choices must not.
    """

    time_s: float
    rsu: Ints
    leaves_s: Floats
    east_m: Floats
    north_m: Floats
    east_mps: Floats
    north_mps: Floats

    def relative(self, vehicle: Ints) -> tuple[Floats, Floats, Floats, Floats]:
        """Return position relative to the serving RSU and velocity of some vehicles in contact."""
        return self.east_m[vehicle], self.north_m[vehicle], self.east_mps[vehicle], self.north_mps[vehicle]


@dataclass(frozen=True)
class World:
    """Everything outside the method.

    Attributes:
        tracks: The part of the tracks that is used, V vehicles.
        account: What cleaning dropped, and why.
        sites: J RSUs.
        contacts: Which RSU serves which vehicle, and when.
        coverage_m: Radius of an RSU's coverage, metres.
        link: Rates at positions (truth) and at distances (what a vehicle can foresee).
        devices: Device classes.
        device: (V,) device class of each vehicle.
        energy: How seconds become joules.
        backhaul: The wire between an RSU and the cloud.
    """

    tracks: Tracks
    account: Account
    sites: Sites
    contacts: Contacts
    coverage_m: float
    link: Link
    devices: tuple[DeviceClass, ...]
    device: Ints
    energy: EnergyModel
    backhaul: Backhaul

    def observe(self, time_s: float) -> Here:
        """Return where every vehicle is, how it moves, and which RSU serves it."""
        serving = self.contacts.serving(time_s, self.tracks.n_vehicles)
        state = self.tracks.at(time_s)
        rsu = serving.rsu.astype(np.int64)
        return Here(
            time_s=time_s,
            rsu=rsu,
            leaves_s=serving.t_out_s,
            east_m=state.x_m - np.where(rsu >= 0, self.sites.x_m[rsu], np.nan),
            north_m=state.y_m - np.where(rsu >= 0, self.sites.y_m[rsu], np.nan),
            east_mps=state.vx_mps,
            north_mps=state.vy_mps,
        )

    @cached_property
    def _columns(self) -> DeviceColumns:
        def column(field: str) -> Floats:
            return np.array([getattr(device, field) for device in self.devices])[self.device]

        return DeviceColumns(
            flops_per_s=column("flops_per_s"),
            compute_w=column("power_compute_w"),
            transmit_w=column("power_tx_w"),
            receive_w=column("power_rx_w"),
        )

    def device_columns(self, vehicle: Ints) -> DeviceColumns:
        """Return the devices of some vehicles."""
        all_ = self._columns
        return DeviceColumns(
            all_.flops_per_s[vehicle],
            all_.compute_w[vehicle],
            all_.transmit_w[vehicle],
            all_.receive_w[vehicle],
        )
