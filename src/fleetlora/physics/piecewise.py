"""Piecewise linear functions in rows: one function of time per vehicle, all read at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["first_reach", "value_at"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def value_at(knots: Floats, values: Floats, rows: Ints, t: Floats) -> Floats:
    """Return the value of function ``rows[i]`` at ``t[i]``, constant outside its knots.

    Args:
        knots: ``(n, K)`` times, non-decreasing along each row.
        values: ``(n, K)`` values at the knots.
        rows: ``(m,)`` which function to read.
        t: ``(m,)`` where to read it.
    """
    after = np.clip(_count(knots, rows, t, side="right"), 1, knots.shape[1] - 1)
    t0, t1 = knots[rows, after - 1], knots[rows, after]
    v0, v1 = values[rows, after - 1], values[rows, after]
    return v0 + (v1 - v0) * _share(t, t0, t1)


def first_reach(knots: Floats, values: Floats, rows: Ints, target: Floats) -> Floats:
    """Return the first time at which function ``rows[i]`` reaches ``target[i]``, infinity if never.

    Args:
        knots: ``(n, K)`` times, non-decreasing along each row.
        values: ``(n, K)`` values, non-decreasing along each row.
        rows: ``(m,)`` which function to read.
        target: ``(m,)`` the value sought.
    """
    before = _count(values, rows, target, side="left")
    after = np.clip(before, 1, knots.shape[1] - 1)
    t0, t1 = knots[rows, after - 1], knots[rows, after]
    v0, v1 = values[rows, after - 1], values[rows, after]
    reached = t0 + (t1 - t0) * _share(target, v0, v1)
    reached = np.where(before == 0, knots[rows, 0], reached)
    return np.asarray(np.where(before < knots.shape[1], reached, np.inf))


def _share(x: Floats, a: Floats, b: Floats) -> Floats:
    """Return how far ``x`` lies from a to b, within [0, 1]; 1 where a and b coincide and x ≥ b."""
    width = b - a
    share = np.divide(x - a, width, out=np.where(x >= b, 1.0, 0.0), where=width > 0)
    return np.clip(share, 0.0, 1.0)


def _count(table: Floats, rows: Ints, x: Floats, side: str) -> Ints:
    """Return how many entries of ``rows[i]`` are below ``x[i]`` (``left``) or not above it (``right``)."""
    width = table.shape[1]
    flat, base = table.ravel(), rows * width
    low = np.zeros(len(rows), dtype=np.int64)
    high = np.full(len(rows), width, dtype=np.int64)
    for _ in range(int(width).bit_length()):
        middle = (low + high) // 2
        entry = flat[base + np.minimum(middle, width - 1)]
        under = (entry < x) if side == "left" else (entry <= x)
        under &= middle < high
        low = np.where(under, middle + 1, low)
        high = np.where(under, high, middle)
    return low
