"""Means with their 95 % bootstrap intervals over seeds, paired wherever two methods are compared.

The percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13): draw n of
the n seeds with replacement 10,000 times, take the statistic of each draw, and report the 2.5 and 97.5
percentiles. All methods are given the same draws, so that the difference of two methods on the same seeds is
resampled in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fleetlora.rng import stream

__all__ = ["Estimate", "difference", "estimate", "interval_of_curves", "percent_difference"]

Floats = NDArray[np.float64]

#: Number of bootstrap resamples.
RESAMPLES = 10_000

#: Percentiles that bound the interval.
_BOUNDS = (2.5, 97.5)


@dataclass(frozen=True)
class Estimate:
    """A mean, or a difference of means, with its interval.

    Attributes:
        value: The statistic over all seeds; ``None`` where a seed has no value.
        low: Lower end of the 95 % interval; ``None`` with fewer than two seeds.
        high: Upper end.
        n: Seeds that have a value.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the estimate as JSON has it."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def estimate(values: Sequence[float | None]) -> Estimate:
    """Return the mean of ``values``, one per seed."""
    return _estimate([values], lambda rows: rows[0])


def difference(one: Sequence[float | None], other: Sequence[float | None], scale: float = 1.0) -> Estimate:
    """Return ``scale`` times the mean of ``one`` minus that of ``other``, values of equal seeds paired."""
    return _estimate([one, other], lambda rows: scale * (rows[0] - rows[1]))


def percent_difference(one: Sequence[float | None], other: Sequence[float | None]) -> Estimate:
    """Return by how many per cent the mean of ``one`` lies above that of ``other``, paired likewise."""
    return _estimate([one, other], lambda rows: 100 * (rows[0] / rows[1] - 1))


def _estimate(columns: Sequence[Sequence[float | None]], of_means: Callable[[Floats], Floats]) -> Estimate:
    """Return a statistic of the means of ``columns`` (k columns of n seeds)."""
    array = np.array(columns, dtype=float)
    there = np.isfinite(array).all(axis=0)
    n = int(there.sum())
    if n < array.shape[1] or not n:
        return Estimate(None, None, None, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        value, drawn = float(of_means(array.mean(axis=1))), of_means(array @ _weights(n).T)
    if not np.isfinite(value):
        return Estimate(None, None, None, n)
    if n < 2 or not np.isfinite(drawn).all():
        return Estimate(value, None, None, n)
    low, high = np.percentile(drawn, _BOUNDS)
    return Estimate(value, float(low), float(high), n)


def interval_of_curves(curves: Floats) -> tuple[Floats, Floats]:
    """Return the ends of the 95 % interval of the mean of ``curves`` (n seeds, m points), each (m,)."""
    low, high = np.percentile(_weights(len(curves)) @ curves, _BOUNDS, axis=0)
    return low, high


@lru_cache(maxsize=8)
def _weights(n: int) -> Floats:
    """Return how much each of n seeds counts in every resample, (resamples, n), rows that sum to 1."""
    drawn = stream(0, "bootstrap", n).integers(0, n, (RESAMPLES, n))
    counts = np.zeros((RESAMPLES, n))
    np.add.at(counts, (np.arange(RESAMPLES)[:, None], drawn), 1.0)
    return counts / n
