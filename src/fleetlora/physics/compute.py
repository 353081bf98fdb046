"""Computing time: counted FLOPs over a device's sustained rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["compute_seconds"]


def compute_seconds(flops: ArrayLike, flops_per_s: ArrayLike) -> NDArray[np.float64]:
    """Return ``flops / flops_per_s`` in seconds, of the broadcast shape.

    Args:
        flops: FLOPs of the work, counted for its backbone, batch, length, rank and steps.
        flops_per_s: Sustained rate of the device that does it.

    Raises:
        ValueError: Negative work, or a rate that is not positive.
    """
    flops, rate = np.asarray(flops, dtype=np.float64), np.asarray(flops_per_s, dtype=np.float64)
    if (flops < 0).any() or not (rate > 0).all():
        raise ValueError("compute_seconds needs flops of at least 0 and a positive rate")
    return np.asarray(flops / rate)
