"""Finding parked vehicles: those that stay at a place for longer than traffic holds them.

This is the stay point of Li et al., "Mining user similarity based on location history" (ACM GIS 2008): a
fix whose successors remain within a radius of it for at least a given time begins a stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["parked_legs"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
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
    marks = np.zeros(n + 1, dtype=np.int64)
    anchor, until = _windows(t_s, new_piece, after_s)
    stays, open_ = _by_extent(x_m, y_m, anchor, until, radius_m)
    marks[anchor[stays]] += 1
    np.subtract.at(marks, until[stays], 1)
    anchor, until = anchor[open_], until[open_]
    ahead = anchor + 1
    while len(anchor):  # the fixes of each window that is not decided, one after the other
        near = np.hypot(x_m[ahead] - x_m[anchor], y_m[ahead] - y_m[anchor]) <= radius_m
        done = near & (ahead == until)
        marks[anchor[done]] += 1
        np.subtract.at(marks, until[done], 1)
        goes_on = near & ~done
        anchor, until, ahead = anchor[goes_on], until[goes_on], ahead[goes_on] + 1
    return np.cumsum(marks[:n]) > 0


def _windows(t_s: Floats, new_piece: Bools, after_s: float) -> tuple[Ints, Ints]:
    """Return the fixes after which a piece lasts ``after_s`` yet, and the first fix so much later."""
    n = len(t_s)
    starts = np.flatnonzero(new_piece)
    counts = np.diff(starts, append=n)
    low, span = t_s.min(initial=0.0), t_s.max(initial=0.0) - t_s.min(initial=0.0) + after_s + 1.0
    begin = np.repeat(np.arange(len(starts)), counts) * span
    until = np.searchsorted(begin + (t_s - low), begin + (t_s - low) + after_s)
    last = np.repeat(starts + counts - 1, counts)
    anchor = np.flatnonzero(until <= last)
    until = until[anchor]
    until -= t_s[until - 1] - t_s[anchor] >= after_s  # the key is rounded; this undoes that
    until += t_s[until] - t_s[anchor] < after_s
    inside = until <= last[anchor]
    return anchor[inside], until[inside]


def _by_extent(x_m: Floats, y_m: Floats, anchor: Ints, until: Ints, radius_m: float) -> tuple[Bools, Bools]:
    """Return the windows that are stays, and those still open, by the box around the fixes of each.

    A box within the radius is a stay, a box that reaches beyond it east or north is none; only between the
    two must one look at the fixes. Boxes of 2^k fixes are built from those of half as many.
    """
    stays, open_ = np.zeros(len(anchor), dtype=bool), np.zeros(len(anchor), dtype=bool)
    level = np.frexp((until - anchor + 1).astype(np.float64))[1] - 1
    boxes = [(np.minimum, x_m), (np.maximum, x_m), (np.minimum, y_m), (np.maximum, y_m)]
    for k in range(int(level.max(initial=-1)) + 1):
        now = np.flatnonzero(level == k)
        a, b = anchor[now], until[now] + 1 - 2**k
        west, east, south, north = (pick(values[a], values[b]) for pick, values in boxes)
        dx = np.maximum(x_m[a] - west, east - x_m[a])
        dy = np.maximum(y_m[a] - south, north - y_m[a])
        stays[now] = np.hypot(dx, dy) <= radius_m
        open_[now] = ~stays[now] & (np.maximum(dx, dy) <= radius_m)
        boxes = [(pick, pick(values[: -(2**k)], values[2**k :])) for pick, values in boxes]
    return stays, open_
