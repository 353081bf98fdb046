"""The line between an RSU and the cloud."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fleetlora.settings import Settings, quantity

__all__ = ["Backhaul"]

_SOURCE = "3GPP TR 36.932, table 6.1-1, fibre access 2: 100-1000 Mbit/s, 5-10 ms one way"


class Backhaul(Settings):
    """A line of fixed rate and latency that does not congest: seconds = latency + 8·bytes/rate."""

    rate_bps: float = quantity(1e9, "bit/s", "rate of the line", _SOURCE, gt=0)
    latency_s: float = quantity(0.01, "s", "one-way latency of the line", _SOURCE, ge=0)

    def seconds(self, n_bytes: ArrayLike) -> NDArray[np.float64]:
        """Return the seconds that a transfer of ``n_bytes`` takes one way; no bytes take no time.

        Raises:
            ValueError: Negative bytes.
        """
        n_bytes = np.asarray(n_bytes, dtype=np.float64)
        if (n_bytes < 0).any():
            raise ValueError("Backhaul.seconds: negative bytes")
        return np.asarray(np.where(n_bytes > 0, self.latency_s + 8 * n_bytes / self.rate_bps, 0.0))
