"""Joules: what downloading, computing and uploading cost a vehicle, and what they cost the RSU.

    E = P_rx·T_down + P_comp·T_comp + P_tx·T_up  (+ P_idle·T if idle draw is counted)

With kind ``kappa`` computing costs kappa·f³·T_comp instead, the form most of the literature uses.
Seconds count whether or not the work came to anything: failed and abandoned work costs its joules too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fleetlora.physics.devices import DeviceColumns
from fleetlora.settings import Settings, quantity

__all__ = ["EnergyModel", "PhaseJoules", "RsuPower"]

Floats = NDArray[np.float64]

_EARTH = "EARTH pico cell, Auer et al. 2011, doi 10.1109/MWC.2011.6056691"


@dataclass(frozen=True)
class PhaseJoules:
    """Joules of each phase; columns ``(n,)``."""

    download_j: Floats
    compute_j: Floats
    upload_j: Floats
    idle_j: Floats

    @property
    def total_j(self) -> Floats:
        """Sum over the phases, ``(n,)``."""
        return self.download_j + self.compute_j + self.upload_j + self.idle_j


class EnergyModel(Settings):
    """How seconds become a vehicle's joules."""

    kind: Literal["power", "kappa"] = quantity(
        "power", "1", "power: watts of training times seconds; kappa: kappa·f³ times seconds"
    )
    count_idle: bool = quantity(False, "1", "whether idle draw during an update is charged to it")

    def energy_j(
        self,
        down_s: ArrayLike,
        compute_s: ArrayLike,
        up_s: ArrayLike,
        devices: DeviceColumns,
        idle_s: ArrayLike = 0.0,
    ) -> PhaseJoules:
        """Return the joules of each phase.

        Args:
            down_s: ``(n,)`` seconds of downloading.
            compute_s: ``(n,)`` seconds of computing.
            up_s: ``(n,)`` seconds of uploading.
            devices: The vehicles' devices, ``n`` rows.
            idle_s: ``(n,)`` further seconds spent waiting. They cost joules only with ``count_idle``.
        """
        down, compute, up, idle = (np.asarray(a, np.float64) for a in (down_s, compute_s, up_s, idle_s))
        whole_s = down + compute + up + idle
        return PhaseJoules(
            download_j=devices.power_rx_w * down,
            compute_j=self._compute_w(devices) * compute,
            upload_j=devices.power_tx_w * up,
            idle_j=self._idle_w(devices) * whole_s,
        )

    def worst_case_j(
        self,
        compute_s: ArrayLike,
        deadline_s: ArrayLike,
        devices: DeviceColumns,
        slowest: float = 1.0,
        fastest: float = 1.0,
        after_s: ArrayLike = 0.0,
    ) -> Floats:
        """Return the most joules that one update cut at its deadline can cost.

        Its computing time is known up to the factors, its transfers are not. The cost is
        linear in the phases' seconds, which sum to at most the deadline, so the worst case is a corner:
        the download takes everything, or computing, as short or as long as it may be, is done and the
        dearer transfer takes the rest.

        Args:
            compute_s: ``(n,)`` seconds the computing takes.
            deadline_s: ``(n,)`` seconds from the start of the update to its cut.
            devices: The vehicles' devices, ``n`` rows.
            slowest: How many times as long the computing may take at most.
            fastest: How many times as long it takes at least, for example where a vehicle may take fewer
                steps.
            after_s: ``(n,)`` further seconds of computing once the update is through, up to ``slowest`` times
                as long.

        Returns:
            ``(n,)`` joules; :meth:`energy_j` never exceeds them, whatever the channel does.
        """
        deadline = np.asarray(deadline_s, dtype=np.float64)
        transfer_w = np.maximum(devices.power_rx_w, devices.power_tx_w)

        def worked_j(seconds: Floats) -> Floats:
            compute = np.minimum(seconds, deadline)
            return np.asarray(self._compute_w(devices) * compute + transfer_w * (deadline - compute))

        planned_s = np.asarray(compute_s, dtype=np.float64)
        worked = np.maximum(worked_j(fastest * planned_s), worked_j(slowest * planned_s))
        stuck = devices.power_rx_w * deadline
        update_j = np.maximum(worked, stuck) + self._idle_w(devices) * deadline
        return np.asarray(update_j + slowest * self.energy_j(0.0, after_s, 0.0, devices).total_j)

    def _compute_w(self, devices: DeviceColumns) -> Floats:
        return devices.power_compute_w if self.kind == "power" else devices.switching_power_w

    def _idle_w(self, devices: DeviceColumns) -> Floats:
        return devices.power_idle_w if self.count_idle else np.zeros_like(devices.power_idle_w)


class RsuPower(Settings):
    """Draw of an RSU's radio above its sleep: P = P0 + Δp·P_out − P_sleep, with P0 6.8, P_sleep 4.3 W."""

    power_tx_w: float = quantity(
        3.3, "W", "draw while transmitting", f"{_EARTH}: 6.8 + 4.0 · 0.2 W (23 dBm) − 4.3", ge=0
    )
    power_rx_w: float = quantity(2.5, "W", "draw while receiving", f"{_EARTH}: 6.8 − 4.3", ge=0)

    def energy_j(self, down_air_s: ArrayLike, up_air_s: ArrayLike) -> Floats:
        """Return an RSU's joules for each update.

        Args:
            down_air_s: ``(n,)`` the updates' shares of the RSU's air while it transmitted
                (:attr:`Timeline.down_air_s`; shared seconds are split, so nothing is counted twice).
            up_air_s: ``(n,)`` the same while it received.
        """
        down, up = np.asarray(down_air_s, dtype=np.float64), np.asarray(up_air_s, dtype=np.float64)
        return np.asarray(self.power_tx_w * down + self.power_rx_w * up)
