"""Sums carried in twice the precision of a float, as (rounded sum, rounding error)."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["add", "excess_over"]

#: Relative excess over a limit that is the rounding of a sum, no excess.
_ROUNDING = 1e-12


def add(total: tuple[float, float], values: np.ndarray) -> tuple[float, float]:
    """Return ``total`` with all ``values`` (n,) added."""
    parts = [*total, *values.tolist()]
    rounded = math.fsum(parts)
    return rounded, math.fsum([*parts, -rounded])


def excess_over(limit: float, total: tuple[float, float]) -> float:
    """Return how much ``total`` lies above ``limit``, 0 where it is only rounding."""
    if math.isinf(limit):
        return 0.0
    excess = math.fsum([*total, -limit])
    return excess if excess > _ROUNDING * limit else 0.0
