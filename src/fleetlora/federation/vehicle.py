"""What a vehicle can foresee from what it knows now: seconds and joules of an update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fleetlora.federation.costs import UpdateCosts
from fleetlora.physics import DeviceColumns, EnergyModel, compute_seconds

__all__ = ["Forecast", "forecast"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """Expected course of an update of each rank, each (n, A).

    ``compute_j`` is the part of ``joules`` that the local steps cost; ``worst_j`` no update can exceed.
    ``test_s`` are the seconds in which a vehicle measures its gain once its update is through: they cost
    joules, and nobody waits for them.
    """

    download_s: Floats
    compute_s: Floats
    upload_s: Floats
    test_s: Floats
    joules: Floats
    compute_j: Floats
    worst_j: Floats

    @property
    def total_s(self) -> Floats:
        """Seconds from the start of the download to the end of the upload."""
        return self.download_s + self.compute_s + self.upload_s


def forecast(
    costs: UpdateCosts,
    steps: int,
    devices: DeviceColumns,
    energy: EnergyModel,
    down_bps: Floats,
    up_bps: Floats,
    sharing: Floats,
    limit_s: Callable[[Floats], Floats],
    slowest: float = 1.0,
    test_steps: ArrayLike = 0.0,
) -> Forecast:
    """Return what n vehicles expect an update of each of A ranks to take and to cost.

    Args:
        costs: Bytes and FLOPs of each rank, perhaps row by row.
        steps: Local steps of a full update.
        devices: The vehicles' devices, n rows.
        energy: How seconds become joules.
        down_bps: (n,) mean download rate at the present distance with the band to oneself, bits/s.
        up_bps: (n,) the same for the upload.
        sharing: (n,) how many vehicles the RSU admitted, each expected to take an equal part of the band.
        limit_s: After how long a vehicle gives up an update that it foresees to take so long, both (n, A);
            what an update can cost at most depends on it.
        slowest: How many times as long as foreseen the steps may take; it counts in the worst case alone.
        test_steps: (n,) local steps that measuring the gain takes as long as; 0 where nobody asks for it.
    """
    n, arms = len(devices.flops_per_s), len(costs.ranks)
    per_down = (sharing / np.maximum(down_bps, 1.0))[:, None]
    per_up = (sharing / np.maximum(up_bps, 1.0))[:, None]
    download_s = 8.0 * costs.bytes_down * per_down
    compute_s = compute_seconds(steps * costs.flops_per_step, devices.flops_per_s[:, None])
    upload_s = 8.0 * costs.bytes_up * per_up
    test_s = compute_s * (np.broadcast_to(test_steps, n) / steps)[:, None]
    each = devices.take(np.repeat(np.arange(n), arms))
    spent = energy.energy_j(download_s.ravel(), compute_s.ravel(), upload_s.ravel(), each)
    tested_j = energy.energy_j(0.0, test_s.ravel(), 0.0, each).total_j
    limit = limit_s(download_s + compute_s + upload_s).ravel()
    worst_j = energy.worst_case_j(compute_s.ravel(), limit, each, slowest, 1.0 / steps, test_s.ravel())
    tables = (spent.total_j + tested_j, spent.compute_j, worst_j)
    return Forecast(download_s, compute_s, upload_s, test_s, *(table.reshape(n, arms) for table in tables))
