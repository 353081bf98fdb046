"""The physical world: radio links, shared airtime, computing time, device classes and joules."""

from __future__ import annotations

from fleetlora.physics.airtime import Timeline, Work, run_airtime
from fleetlora.physics.backhaul import Backhaul
from fleetlora.physics.capacity import Capacity, Sampling, capacity_along
from fleetlora.physics.compute import compute_seconds
from fleetlora.physics.devices import (
    DEFAULT_DEVICES,
    DeviceClass,
    DeviceColumns,
    assign_devices,
    check_devices,
)
from fleetlora.physics.energy import EnergyModel, PhaseJoules, RsuPower
from fleetlora.physics.link import Link
from fleetlora.physics.radio import RADIO_MODELS, Radio, RadioModel
from fleetlora.physics.shadowing import ShadowField, Shadowing
from fleetlora.physics.single_slope import SingleSlope
from fleetlora.physics.umi import Umi

__all__ = [
    "DEFAULT_DEVICES",
    "RADIO_MODELS",
    "Backhaul",
    "Capacity",
    "DeviceClass",
    "DeviceColumns",
    "EnergyModel",
    "Link",
    "PhaseJoules",
    "Radio",
    "RadioModel",
    "RsuPower",
    "Sampling",
    "ShadowField",
    "Shadowing",
    "SingleSlope",
    "Timeline",
    "Umi",
    "Work",
    "assign_devices",
    "capacity_along",
    "check_devices",
    "compute_seconds",
    "run_airtime",
]
