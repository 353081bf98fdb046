"""Finding parked vehicles: those that stay at a place for longer than traffic holds them.

This is the stay point of Li et al., "Mining user similarity based on location history" (ACM GIS 2008): a
fix whose successors remain within a radius of it for at least a given time begins a stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["parked_legs"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def parked_legs(
    t_s: Floats, x_m: Floats, y_m: Floats, new_piece: Bools, radius_m: float, after_s: float
) -> Bools:
    """Return (n,) whether the leg that starts at each fix belongs to a stay.

    Args:
        t_s: (n,) times, seconds, ascending within a piece.
        x_m: (n,) metres east.
        y_m: (n,) metres north.
        new_piece: (n,) bool, True at the first fix of each piece.
        radius_m: Radius of a stay around its first fix, metres.
        after_s: Least duration of a stay, seconds.
    """
    n = len(t_s)
    ends = np.append(np.flatnonzero(new_piece)[1:], n)
    last = np.repeat(ends - 1, np.diff(ends, prepend=0))
    marks = np.zeros(n + 1, dtype=np.int64)
    anchor, reach = np.arange(n), 0
    while len(anchor):  # anchors whose stay is not yet decided, all looked at `reach` fixes ahead
        reach += 1
        anchor = anchor[anchor + reach <= last[anchor]]
        ahead = anchor + reach
        near = np.hypot(x_m[ahead] - x_m[anchor], y_m[ahead] - y_m[anchor]) <= radius_m
        anchor, ahead = anchor[near], ahead[near]
        long = t_s[ahead] - t_s[anchor] >= after_s
        marks[anchor[long]] += 1
        np.subtract.at(marks, ahead[long], 1)
        anchor = anchor[~long]
    return np.cumsum(marks[:n]) > 0
