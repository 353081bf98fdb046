"""What a vehicle can foresee from what it knows now: residence, seconds and joules of an update."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetlora.federation.costs import UpdateCosts
from fleetlora.physics import DeviceColumns, EnergyModel, compute_seconds

__all__ = ["Forecast", "forecast", "predict_residence_s"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """Expected course of an update of each rank, each (n, A); ``worst_j`` no update can exceed."""

    download_s: Floats
    compute_s: Floats
    upload_s: Floats
    joules: Floats
    worst_j: Floats

    @property
    def total_s(self) -> Floats:
        """Seconds from the start of the download to the end of the upload."""
        return self.download_s + self.compute_s + self.upload_s


def predict_residence_s(
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


def forecast(
    costs: UpdateCosts,
    steps: int,
    devices: DeviceColumns,
    energy: EnergyModel,
    down_bps: Floats,
    up_bps: Floats,
    sharing: Floats,
    deadline_s: float,
) -> Forecast:
    """Return what n vehicles expect an update of each of A ranks to take and to cost.

    Args:
        costs: Bytes and FLOPs of each rank.
        steps: Local steps of a full update.
        devices: The vehicles' devices, n rows.
        energy: How seconds become joules.
        down_bps: (n,) mean download rate at the present distance with the band to oneself, bits/s.
        up_bps: (n,) the same for the upload.
        sharing: (n,) how many vehicles the RSU admitted, each expected to take an equal part of the band.
        deadline_s: Longest a round may last; what an update can cost at most depends on it.
    """
    n, arms = len(devices.flops_per_s), len(costs.ranks)
    per_down = (sharing / np.maximum(down_bps, 1.0))[:, None]
    per_up = (sharing / np.maximum(up_bps, 1.0))[:, None]
    download_s = 8.0 * costs.bytes_down * per_down
    compute_s = compute_seconds(steps * costs.flops_per_step, devices.flops_per_s[:, None])
    upload_s = 8.0 * costs.bytes_up * per_up
    each = devices.take(np.repeat(np.arange(n), arms))
    joules = energy.energy_j(download_s.ravel(), compute_s.ravel(), upload_s.ravel(), each).total_j
    worst_j = energy.worst_case_j(compute_s.ravel(), deadline_s, each)
    return Forecast(download_s, compute_s, upload_s, joules.reshape(n, arms), worst_j.reshape(n, arms))
