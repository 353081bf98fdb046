"""Device classes: how fast a vehicle's computer works and how many watts each phase draws.

The numbers are sustained, not peak: 30 % of the FP32 peak for the accelerators, as transformer
training reaches (Chowdhery et al. 2022, arXiv 2204.02311, table 3: 21 to 46 % of peak), and 26 % for
the small CPU. Watts are what a phase draws *above* idle; the idle draw stands apart, because the
vehicle's electronics are on whether or not it takes part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import ConfigError
from fleetlora.settings import Settings, quantity

__all__ = ["DEFAULT_DEVICES", "DeviceClass", "DeviceColumns", "assign_devices", "check_devices"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MODEM = "Huang et al., MobiSys 2012: LTE modem {0} mW + {1} mW per Mbit/s, at {2} Mbit/s"


class DeviceClass(Settings):
    """One class of vehicle computer."""

    name: str = quantity(..., "1", "what reports call it", min_length=1)
    share: float = quantity(..., "1", "share of the fleet that has it; all shares sum to 1", ge=0, le=1)
    flops_per_s: float = quantity(..., "FLOP/s", "sustained training rate", gt=0)
    power_compute_w: float = quantity(..., "W", "draw of training, above idle", ge=0)
    power_tx_w: float = quantity(
        3.5, "W", "draw of uploading, above idle", _MODEM.format(1288, 438.4, 5), ge=0
    )
    power_rx_w: float = quantity(
        1.8, "W", "draw of downloading, above idle", _MODEM.format(1288, 52.0, 10), ge=0
    )
    power_idle_w: float = quantity(..., "W", "draw of the idle computer", ge=0)
    frequency_hz: float = quantity(..., "Hz", "clock f of the unit that trains", gt=0)
    kappa: float | None = quantity(
        None,
        "W/Hz³",
        "effective capacitance of energy kind kappa; none = power_compute_w / frequency_hz³",
        "papers often take 1e-28 for a mobile CPU: Mao et al. 2017, arXiv 1701.01090",
        gt=0,
    )
    source: str = quantity("", "1", "where the numbers come from")

    @property
    def switching_power_w(self) -> float:
        """Return kappa·f³ in watts."""
        if self.kappa is None:
            return self.power_compute_w
        return self.kappa * self.frequency_hz**3


DEFAULT_DEVICES: tuple[DeviceClass, ...] = (
    DeviceClass(
        name="telematics",
        share=0.25,
        flops_per_s=15e9,
        power_compute_w=3.5,
        power_idle_w=1.5,
        frequency_hz=1.8e9,
        source="NXP i.MX 8M Plus: 4 Cortex-A53 at 1.8 GHz, 57.6 GFLOP/s FP32; 26 % sustained; 5 W board",
    ),
    DeviceClass(
        name="infotainment",
        share=0.35,
        flops_per_s=70e9,
        power_compute_w=7.5,
        power_idle_w=2.5,
        frequency_hz=921.6e6,
        source="NVIDIA Jetson Nano: 128 Maxwell cores at 921.6 MHz, 236 GFLOP/s FP32; 10 W mode",
    ),
    DeviceClass(
        name="driver-assistance",
        share=0.25,
        flops_per_s=380e9,
        power_compute_w=10.0,
        power_idle_w=5.0,
        frequency_hz=625e6,
        source="NVIDIA Jetson Orin Nano 8GB: 1024 Ampere cores at 625 MHz, 1.28 TFLOP/s FP32; 15 W mode",
    ),
    DeviceClass(
        name="autonomous",
        share=0.15,
        flops_per_s=1.6e12,
        power_compute_w=45.0,
        power_idle_w=15.0,
        frequency_hz=1.3e9,
        source="NVIDIA Jetson AGX Orin 64GB: 2048 Ampere cores at 1.3 GHz, 5.3 TFLOP/s FP32; 60 W mode",
    ),
)


@dataclass(frozen=True)
class DeviceColumns:
    """What energy and time need of each vehicle's device, as columns ``(n,)``."""

    flops_per_s: Floats
    power_compute_w: Floats
    switching_power_w: Floats
    power_tx_w: Floats
    power_rx_w: Floats
    power_idle_w: Floats

    @classmethod
    def of(cls, classes: Sequence[DeviceClass], assigned: Ints) -> DeviceColumns:
        """Return the columns of vehicles whose classes are ``classes[assigned[i]]``."""
        return cls(
            **{
                name: np.array([getattr(device, name) for device in classes], dtype=np.float64)[assigned]
                for name in cls.__dataclass_fields__
            }
        )

    def take(self, vehicles: Ints) -> DeviceColumns:
        """Return the columns of these vehicles only."""
        return DeviceColumns(**{name: getattr(self, name)[vehicles] for name in self.__dataclass_fields__})


def check_devices(classes: Sequence[DeviceClass], *, where: str = "devices") -> None:
    """Refuse a table without classes, with two of one name, or with shares that do not sum to 1.

    Raises:
        ConfigError: Names the key ``where`` and what to change.
    """
    if not classes:
        raise ConfigError("the table of device classes is empty", where=where, mend="give at least one class")
    names = [device.name for device in classes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"device class {twice[0]!r} appears twice", where=where, mend="rename one of them")
    total = math.fsum(device.share for device in classes)
    if abs(total - 1) > 1e-6:
        raise ConfigError(
            f"the shares of the device classes sum to {total:g}, not 1",
            where=f"{where}.share",
            mend="change the shares of " + ", ".join(names),
        )


def assign_devices(n_vehicles: int, classes: Sequence[DeviceClass], rng: np.random.Generator) -> Ints:
    """Return the class index of each vehicle, ``(n_vehicles,)``.

    Classes get their exact share of the fleet, rounded by largest remainder, in random order.

    Raises:
        ConfigError: The table is at fault; see :func:`check_devices`.
    """
    check_devices(classes)
    exact = np.array([device.share for device in classes]) * n_vehicles
    counts = np.floor(exact + 1e-9).astype(np.int64)
    remainder = np.argsort(counts - exact, kind="stable")  # largest first, ties by position
    counts[remainder[: n_vehicles - int(counts.sum())]] += 1
    return rng.permutation(np.repeat(np.arange(len(classes)), counts))
