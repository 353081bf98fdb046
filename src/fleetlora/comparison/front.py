"""The Pareto front: the methods that no other beats in both of two measures."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["pareto_front"]


def pareto_front(cost: ArrayLike, gain: ArrayLike) -> NDArray[np.bool_]:
    """Return (n,) which points no other beats; to beat is to be better in one and no worse in the other.

    Args:
        cost: (n,) values of which less is better.
        gain: (n,) values of which more is better. A point with a NaN is never on the front.
    """
    costs, gains = np.asarray(cost, dtype=float), np.asarray(gain, dtype=float)
    there = np.isfinite(costs) & np.isfinite(gains)
    no_worse = (costs[:, None] <= costs) & (gains[:, None] >= gains)
    better = (costs[:, None] < costs) | (gains[:, None] > gains)
    beaten = (no_worse & better & there[:, None]).any(axis=0)
    on: NDArray[np.bool_] = there & ~beaten
    return on
