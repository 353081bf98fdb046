"""Helpers for ragged columns: rows of unequal length laid end to end, worked on without a Python loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bools", "Floats", "Ints", "bisect", "expand", "group_starts"]

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]


def expand(first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """List the positions ``first[i] … first[i] + count[i] − 1`` for every i.

    Args:
        first: (n,) first position of each row.
        count: (n,) how many.

    Returns:
        ``owner`` and ``position``, both (sum of count,), ordered by owner, then position.
    """
    ends = np.cumsum(count)
    owner = np.repeat(np.arange(len(count)), count)
    position = np.arange(len(owner)) + np.repeat(first - (ends - count), count)
    return owner, position


def bisect(values: Floats, low: Ints, high: Ints, x: Floats, *, after: bool = False) -> Ints:
    """Binary search in many sorted segments of one column at once.

    Args:
        values: (N,) ascending within each segment.
        low: (n,) first position of each segment.
        high: (n,) one past its last position.
        x: (n,) the value looked for in each.
        after: Skip values equal to ``x``.

    Returns:
        (n,) first position in each segment whose value is at least ``x`` (beyond ``x`` with ``after``);
        ``high`` where there is none.
    """
    low, high = low.copy(), high.copy()
    while True:
        open_ = np.flatnonzero(low < high)
        if not len(open_):
            return low
        middle = (low[open_] + high[open_]) >> 1
        found = values[middle]
        below = found <= x[open_] if after else found < x[open_]
        low[open_[below]] = middle[below] + 1
        high[open_[~below]] = middle[~below]


def group_starts(*keys: Ints) -> Ints:
    """Return the positions at which any of the columns ``keys`` (all (n,), sorted alike) changes."""
    changes = np.ones(len(keys[0]), dtype=bool)
    if len(changes):
        changes[1:] = False
        for key in keys:
            changes[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changes)
