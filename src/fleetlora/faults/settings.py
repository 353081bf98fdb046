"""The section ``faults``: what may go wrong, each fault off, at a named level, or in numbers.

``faults.rsu_outage = "harsh"`` takes a level, ``faults.rsu_outage.lasts_s = 20`` lays numbers over ``mild``,
and ``faults.rsu_outage = { level = "harsh", lasts_s = 20 }`` over another level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from fleetlora.errors import ConfigError
from fleetlora.registry import suggest
from fleetlora.settings import Settings, quantity

__all__ = [
    "FAULTS",
    "LEVELS",
    "BackhaulSpike",
    "ClockSkew",
    "CloudOutage",
    "Delivery",
    "Fault",
    "FaultSettings",
    "GpsDrift",
    "GpsDropout",
    "PacketLoss",
    "Reboot",
    "RsuOutage",
    "Straggler",
]

#: Levels that a fault can be set to by name; the defaults of its numbers are those of ``mild``.
LEVELS = ("mild", "harsh")

#: The name that switches a fault off which a file below has switched on.
_OFF = "off"

_BY_HAND = "chosen by hand: seen several times in a run of 20 to 60 minutes"


class Fault(Settings):
    """One kind of fault; ``harsh`` holds what differs from the defaults at that level."""

    harsh: ClassVar[Mapping[str, Any]] = {}


class _Recurring(Fault):
    """A fault that comes and goes, for each subject by itself: exponential times without and with it."""

    every_s: float = quantity(600.0, "s", "mean time from the end of one to the begin of the next", ge=0.1)
    lasts_s: float = quantity(60.0, "s", "mean time that one lasts", ge=0.1)


Window = tuple[float, float]
RsuWindow = tuple[int, float, float]


def _in_order(begin_s: float, end_s: float) -> None:
    if begin_s < 0 or end_s <= begin_s:
        raise ValueError(f"a window must begin at 0 s or later and end after it begins, not {begin_s, end_s}")


class RsuOutage(_Recurring):
    """An RSU's radio is off: it admits nobody, and transfers under way stand still until it is back."""

    harsh: ClassVar[Mapping[str, Any]] = {"every_s": 300.0}

    every_s: float = quantity(1800.0, "s", "mean time an RSU is up between two outages", _BY_HAND, ge=0.1)
    lasts_s: float = quantity(60.0, "s", "mean length of an outage", _BY_HAND, ge=0.1)
    windows: tuple[RsuWindow, ...] = quantity(
        (), "index, s, s", "these outages, each [rsu, begin_s, end_s], instead of drawn ones"
    )

    @field_validator("windows")
    @classmethod
    def _windows(cls, windows: tuple[RsuWindow, ...]) -> tuple[RsuWindow, ...]:
        for rsu, begin_s, end_s in windows:
            if rsu < 0:
                raise ValueError(f"an RSU is named by its index from 0, not {rsu}")
            _in_order(begin_s, end_s)
        return windows


class CloudOutage(_Recurring):
    """The cloud cannot be reached: RSUs go on alone, and merge at the next sync that finds it."""

    harsh: ClassVar[Mapping[str, Any]] = {"every_s": 300.0, "lasts_s": 300.0}

    every_s: float = quantity(900.0, "s", "mean time the cloud can be reached", _BY_HAND, ge=0.1)
    lasts_s: float = quantity(120.0, "s", "mean length of an outage", _BY_HAND, ge=0.1)
    windows: tuple[Window, ...] = quantity(
        (), "s, s", "these outages, each [begin_s, end_s], instead of drawn ones"
    )

    @field_validator("windows")
    @classmethod
    def _windows(cls, windows: tuple[Window, ...]) -> tuple[Window, ...]:
        for begin_s, end_s in windows:
            _in_order(begin_s, end_s)
        return windows


class PacketLoss(Fault):
    """Packets are lost in bursts and sent again: the chain of Gilbert and Elliott, one for each vehicle.

    The link is good or bad, each for an exponential time, and loses a share e of its packets. Every lost
    packet is sent again until it is through (selective repeat), so that a packet is sent 1/(1 − e) times on
    average and the rate that counts is (1 − e) times the radio's. The radio is on for all of it.
    """

    harsh: ClassVar[Mapping[str, Any]] = {"good_s": 4.0, "bad_s": 2.0, "loss_good": 0.05, "loss_bad": 0.9}

    good_s: float = quantity(
        10.0,
        "s",
        "mean time the link stays good",
        "model: Gilbert 1960, doi 10.1002/j.1538-7305.1960.tb03959.x; Elliott 1963,"
        " doi 10.1002/j.1538-7305.1963.tb00955.x; the numbers are chosen by hand",
        ge=0.1,
    )
    bad_s: float = quantity(1.0, "s", "mean length of a burst: about a passing lorry", "by hand", ge=0.1)
    loss_good: float = quantity(0.01, "1", "share of packets lost while it is good", "by hand", ge=0, le=1)
    loss_bad: float = quantity(0.5, "1", "share of packets lost in a burst", "by hand", ge=0, le=1)


class Straggler(_Recurring):
    """A vehicle's computer is busy with other things: updates begun then compute ``factor`` times as long."""

    harsh: ClassVar[Mapping[str, Any]] = {"every_s": 300.0, "lasts_s": 300.0, "factor": 5.0}

    every_s: float = quantity(600.0, "s", "mean time a vehicle computes at its own speed", _BY_HAND, ge=0.1)
    lasts_s: float = quantity(120.0, "s", "mean time it is slow", _BY_HAND, ge=0.1)
    factor: float = quantity(2.0, "1", "how many times as long it computes, at full draw", _BY_HAND, ge=1)


class Reboot(_Recurring):
    """A vehicle's computer starts anew: its update is lost, and what its bandit had learned by itself."""

    harsh: ClassVar[Mapping[str, Any]] = {"every_s": 300.0, "lasts_s": 60.0}

    every_s: float = quantity(1800.0, "s", "mean time between two reboots of a vehicle", _BY_HAND, ge=0.1)
    lasts_s: float = quantity(30.0, "s", "mean time until it can be admitted again", _BY_HAND, ge=0.1)


class Delivery(Fault):
    """Between an RSU's radio and its aggregator updates come twice, late, and in another order."""

    harsh: ClassVar[Mapping[str, Any]] = {"duplicate": 0.3, "late": 0.3, "delay_s": 10.0}

    duplicate: float = quantity(
        0.05,
        "1",
        "probability that an update comes a second time, as one that is delivered at least once may",
        "MQTT 5.0, 4.3.2 (QoS 1); the number is chosen by hand",
        ge=0,
        le=1,
    )
    late: float = quantity(0.05, "1", "probability that a copy is held up", "by hand", ge=0, le=1)
    delay_s: float = quantity(1.0, "s", "mean time (exponential) that it is held up", "by hand", gt=0)


class BackhaulSpike(_Recurring):
    """The lines between RSUs and cloud are congested: every transfer takes ``delay_s`` longer."""

    harsh: ClassVar[Mapping[str, Any]] = {"every_s": 60.0, "lasts_s": 30.0, "delay_s": 5.0}

    every_s: float = quantity(300.0, "s", "mean time between two spikes", _BY_HAND, ge=0.1)
    lasts_s: float = quantity(10.0, "s", "mean length of a spike", _BY_HAND, ge=0.1)
    delay_s: float = quantity(0.5, "s", "how much longer a transfer takes one way", _BY_HAND, gt=0)


class GpsDropout(_Recurring):
    """A vehicle gets no fix: position, speed and heading stay what they were when the last one came."""

    harsh: ClassVar[Mapping[str, Any]] = {"every_s": 120.0, "lasts_s": 60.0}

    every_s: float = quantity(600.0, "s", "mean time between two dropouts", _BY_HAND, ge=0.1)
    lasts_s: float = quantity(30.0, "s", "mean length: a tunnel, a street between towers", _BY_HAND, ge=0.1)


class GpsDrift(_Recurring):
    """A vehicle's fixes wander off straight, at ``drift_mps`` in a drawn direction; its velocity too."""

    harsh: ClassVar[Mapping[str, Any]] = {"every_s": 120.0, "lasts_s": 60.0, "drift_mps": 1.0}

    every_s: float = quantity(600.0, "s", "mean time between two drifts", _BY_HAND, ge=0.1)
    lasts_s: float = quantity(30.0, "s", "mean length of a drift", _BY_HAND, ge=0.1)
    drift_mps: float = quantity(
        0.5,
        "m/s",
        "speed at which the fixes wander off",
        "by hand: 15 m after a mean window; harsh is 60 m, about what a receiver driven among towers was off,"
        " Hsu 2018, doi 10.1007/s10291-017-0667-9, fig. 1 (50 m)",
        gt=0,
    )


class ClockSkew(Fault):
    """Vehicles' clocks are off: each by a normal offset, and running fast or slow by a normal rate."""

    harsh: ClassVar[Mapping[str, Any]] = {"offset_s": 2.0, "rate_ppm": 100.0}

    offset_s: float = quantity(
        0.1, "s", "standard deviation of the offset at the start", "NTP over mobile links; by hand", ge=0
    )
    rate_ppm: float = quantity(
        20.0, "1e-6", "standard deviation of the rate", "quartz oscillators are specified at 20 to 100", ge=0
    )
    tolerance_s: float = quantity(
        1.0, "s", "an RSU believes a stamp that is no farther than this from its own clock", "by hand", ge=0
    )


class FaultSettings(Settings):
    """What may go wrong in the world; everything is off by default."""

    rsu_outage: RsuOutage | None = Field(None, description="an RSU's radio is off for a while")
    cloud_outage: CloudOutage | None = Field(None, description="the cloud cannot be reached for a while")
    packet_loss: PacketLoss | None = Field(None, description="packets are lost in bursts and sent again")
    straggler: Straggler | None = Field(None, description="a vehicle computes slower for a while")
    reboot: Reboot | None = Field(None, description="vehicles reboot and forget")
    delivery: Delivery | None = Field(None, description="updates come twice, late, in another order")
    backhaul_spike: BackhaulSpike | None = Field(None, description="the backhaul is slow for a while")
    gps_dropout: GpsDropout | None = Field(None, description="a vehicle's fix is stale for a while")
    gps_drift: GpsDrift | None = Field(None, description="a vehicle's fixes wander off for a while")
    clock_skew: ClockSkew | None = Field(None, description="vehicles' clocks are off")

    @field_validator("*", mode="before")
    @classmethod
    def _at_level(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str) and not (isinstance(value, Mapping) and "level" in value):
            return value
        named, numbers = (value, {}) if isinstance(value, str) else (value["level"], dict(value))
        numbers.pop("level", None)
        name = str(info.field_name)
        if named == _OFF and not numbers:
            return None
        if named not in LEVELS:
            raise ConfigError(
                f"unknown level {named!r}", where=f"faults.{name}", mend=suggest(str(named), [*LEVELS, _OFF])
            )
        return {**(FAULTS[name].harsh if named == "harsh" else {}), **numbers}

    @property
    def on(self) -> tuple[str, ...]:
        """Names of the faults that are on."""
        return tuple(name for name in FAULTS if getattr(self, name) is not None)


#: Kinds of faults by the key that the section uses.
FAULTS: dict[str, type[Fault]] = {
    "rsu_outage": RsuOutage,
    "cloud_outage": CloudOutage,
    "packet_loss": PacketLoss,
    "straggler": Straggler,
    "reboot": Reboot,
    "delivery": Delivery,
    "backhaul_spike": BackhaulSpike,
    "gps_dropout": GpsDropout,
    "gps_drift": GpsDrift,
    "clock_skew": ClockSkew,
}
