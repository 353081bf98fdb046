"""The timetable of a run's faults: all drawn from the seed before the first round.

Nothing in it depends on what the method does, so two methods meet the same faults, and a run that goes on
from a checkpoint meets those that the whole run meets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import ConfigError
from fleetlora.faults.settings import FaultSettings
from fleetlora.faults.windows import Windows
from fleetlora.rng import stream

__all__ = ["Schedule"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Schedule:
    """Windows of every kind; none of a kind that is off.

    Attributes:
        rsu_outage: Windows of the RSUs.
        cloud_outage: Windows of the cloud, subject 0.
        burst: Bad times of the vehicles' links.
        straggler: Windows of the vehicles.
        reboot: Windows of the vehicles.
        backhaul_spike: Windows of the backhaul, subject 0.
        gps_dropout: Windows of the vehicles.
        gps_drift: Windows of the vehicles.
        heading_rad: Direction of each window of ``gps_drift``.
    """

    rsu_outage: Windows
    cloud_outage: Windows
    burst: Windows
    straggler: Windows
    reboot: Windows
    backhaul_spike: Windows
    gps_dropout: Windows
    gps_drift: Windows
    heading_rad: Floats

    @classmethod
    def drawn(
        cls, faults: FaultSettings, seed: int, n_vehicles: int, n_rsus: int, horizon_s: float
    ) -> Schedule:
        """Return the timetable of a run.

        Args:
            faults: What may go wrong.
            seed: The experiment's seed.
            n_vehicles: Number of vehicles.
            n_rsus: Number of RSUs.
            horizon_s: How long the tracks last.

        Raises:
            ConfigError: A given window lies outside the run, or is of an RSU that is not there.
        """
        _check_windows(faults, n_rsus, horizon_s)

        def draw(kind: str, n_subjects: int) -> Windows:
            fault = getattr(faults, kind)
            if fault is None:
                return Windows.none(n_subjects)
            rng = stream(seed, "faults", kind)
            return Windows.drawn(n_subjects, fault.every_s, fault.lasts_s, horizon_s, rng)

        loss, drift = faults.packet_loss, draw("gps_drift", n_vehicles)
        burst = Windows.none(n_vehicles)
        if loss is not None:
            rng = stream(seed, "faults", "packet_loss")
            burst = Windows.drawn(n_vehicles, loss.good_s, loss.bad_s, horizon_s, rng)
        return cls(
            rsu_outage=_given_rsu(faults, n_rsus) or draw("rsu_outage", n_rsus),
            cloud_outage=_given_cloud(faults) or draw("cloud_outage", 1),
            burst=burst,
            straggler=draw("straggler", n_vehicles),
            reboot=draw("reboot", n_vehicles),
            backhaul_spike=draw("backhaul_spike", 1),
            gps_dropout=draw("gps_dropout", n_vehicles),
            gps_drift=drift,
            heading_rad=stream(seed, "faults", "gps_drift", "heading").uniform(0, 2 * np.pi, len(drift)),
        )


def _given_rsu(faults: FaultSettings, n_rsus: int) -> Windows | None:
    given = faults.rsu_outage.windows if faults.rsu_outage else ()
    return Windows.of(n_rsus, given) if given else None


def _given_cloud(faults: FaultSettings) -> Windows | None:
    given = faults.cloud_outage.windows if faults.cloud_outage else ()
    return Windows.of(1, [(0, begin_s, end_s) for begin_s, end_s in given]) if given else None


def _check_windows(faults: FaultSettings, n_rsus: int, horizon_s: float) -> None:
    for kind in ("rsu_outage", "cloud_outage"):
        fault = getattr(faults, kind)
        for number, window in enumerate(fault.windows if fault else ()):
            where = f"faults.{kind}.windows.{number}"
            if window[-2] >= horizon_s:
                raise ConfigError(
                    f"begins at {window[-2]:g} s, but the run is over at {horizon_s:g} s",
                    where=where,
                    mend="begin it earlier; times count from traces.start_s",
                )
            if kind == "rsu_outage" and window[0] >= n_rsus:
                raise ConfigError(f"no RSU {window[0]}", where=where, mend=f"name one from 0 to {n_rsus - 1}")
