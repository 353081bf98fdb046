"""The reward a vehicle computes for the rank it trained."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["gain", "reward"]

Floats = NDArray[np.float64]


def gain(loss_before: Floats, loss_after: Floats, delivered: NDArray[np.bool_]) -> Floats:
    """Return (L0 − L1)/L0 where delivered, clipped to [0, 1], else 0.

    L0 and L1 are the losses on the vehicle's own held-out samples before and after its local steps; a vehicle
    without held-out samples (NaN) counts no gain.

    Args:
        loss_before: (n,) L0.
        loss_after: (n,) L1.
        delivered: (n,) whether the update arrived.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.nan_to_num((loss_before - loss_after) / loss_before, nan=0.0, posinf=0.0, neginf=0.0)
    return np.where(delivered, np.clip(part, 0.0, 1.0), 0.0)


def reward(
    gains: Floats,
    latency_s: Floats,
    delivered: NDArray[np.bool_],
    beta: float,
    deadline_s: float,
) -> Floats:
    """Return u = max(0, gain − beta·latency/Delta) where delivered, else 0.

    Args:
        gains: (n,) gains in [0, 1].
        latency_s: (n,) seconds from the start of the round to delivery.
        delivered: (n,) whether the update arrived.
        beta: Weight of latency.
        deadline_s: Delta, seconds.
    """
    return np.where(delivered, np.maximum(gains - beta * latency_s / deadline_s, 0.0), 0.0)
