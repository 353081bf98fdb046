"""Means with their 95 % intervals over seeds, paired wherever two methods are compared.

Two intervals stand beside each other. The percentile bootstrap (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13): draw n of the n seeds with replacement 10,000 times, take the statistic of each
draw, and report the 2.5 and 97.5 percentiles. All methods are given the same draws, so that the difference of
two methods on the same seeds is resampled in pairs. With few seeds it is too narrow: that of three is their
range, and holds the mean three times in four.

Student's t with n - 1 degrees of freedom: the mean, and to either side the 97.5 percentile times its standard
error. That is exact for normal values, however few. For a ratio of means it is that of its logarithm, with
the error of the delta method (Casella and Berger, Statistical Inference, 2002, section 5.5.4): no end lies
below a ratio of zero, and it does not matter which of two methods stands above the line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from fleetlora.rng import stream

__all__ = [
    "Estimate",
    "difference",
    "estimate",
    "interval_of_curves",
    "is_shown",
    "percent_difference",
    "widest",
]

Floats = NDArray[np.float64]

#: Number of bootstrap resamples.
RESAMPLES = 10_000

#: Percentiles that bound the interval.
_BOUNDS = (2.5, 97.5)


@dataclass(frozen=True)
class Estimate:
    """A mean, or a difference of means, with its intervals.

    Attributes:
        value: The statistic over all seeds; ``None`` where a seed has no value.
        n: Seeds that have a value.
        low: Lower end of the bootstrap's 95 % interval; ``None`` with fewer than two seeds.
        high: Upper end.
        t_low: Lower end of Student's, likewise.
        t_high: Upper end.
    """

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    t_low: float | None = None
    t_high: float | None = None

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the estimate as JSON has it."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "t_low": self.t_low,
            "t_high": self.t_high,
            "n": self.n,
        }


def estimate(values: Sequence[float | None]) -> Estimate:
    """Return the mean of ``values``, one per seed."""
    return _estimate([values], lambda rows: rows[0])


def difference(one: Sequence[float | None], other: Sequence[float | None], scale: float = 1.0) -> Estimate:
    """Return ``scale`` times the mean of ``one`` minus that of ``other``, values of equal seeds paired."""
    return _estimate([one, other], lambda rows: scale * (rows[0] - rows[1]))


def percent_difference(one: Sequence[float | None], other: Sequence[float | None]) -> Estimate:
    """Return by how many per cent the mean of ``one`` lies above that of ``other``, paired likewise."""

    def percent(ratio: Floats) -> Floats:
        return 100 * (ratio - 1)

    def student(rows: Floats) -> Floats:
        top, bottom = rows.mean(axis=1)
        return percent(top / bottom * np.exp(_student(rows[0] / top - rows[1] / bottom)))

    return _estimate([one, other], lambda rows: percent(rows[0] / rows[1]), student)


def _estimate(
    columns: Sequence[Sequence[float | None]],
    of_means: Callable[[Floats], Floats],
    student: Callable[[Floats], Floats] | None = None,
) -> Estimate:
    """Return a statistic of the means of ``columns`` (k columns of n seeds).

    Args:
        columns: The values.
        of_means: The statistic, of (k, ...) means.
        student: Student's interval of it, of (k, n) values; if not given it is linear.
    """
    array = np.array(columns, dtype=float)
    there = np.isfinite(array).all(axis=0)
    n = int(there.sum())
    if n < array.shape[1] or not n:
        return Estimate(None, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        value, drawn = float(of_means(array.mean(axis=1))), of_means(array @ _weights(n).T)
    if not np.isfinite(value):
        return Estimate(None, n)
    if n < 2 or not np.isfinite(drawn).all():
        return Estimate(value, n)
    low, high = np.percentile(drawn, _BOUNDS)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ends = student(array) if student else _student(of_means(array))
    t_low, t_high = ends.tolist() if np.isfinite(ends).all() else (None, None)
    return Estimate(value, n, float(low), float(high), t_low, t_high)


def _student(values: Floats) -> Floats:
    """Return the (2,) ends of Student's interval of the mean of (n,) values."""
    n = len(values)
    reach = stdtrit(n - 1, _BOUNDS[1] / 100) * values.std(ddof=1) / np.sqrt(n)
    ends: Floats = values.mean() + np.array([-reach, reach])
    return ends


def widest(found: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the outer ends of an estimate's intervals, as JSON has it; None where it has no interval.

    Documents of earlier versions have the bootstrap's alone.
    """
    lows, highs = (
        [found[end] for end in ends if found.get(end) is not None]
        for ends in (("low", "t_low"), ("high", "t_high"))
    )
    return (min(lows), max(highs)) if lows and highs else None


def is_shown(found: Mapping[str, Any]) -> bool:
    """Tell whether a difference is more than chance: every interval it has leaves out zero."""
    span = widest(found)
    return span is not None and (span[0] > 0 or span[1] < 0)


def interval_of_curves(curves: Floats) -> tuple[Floats, Floats]:
    """Return the bootstrap's interval of the mean of ``curves`` (n seeds, m points), both ends (m,)."""
    low, high = np.percentile(_weights(len(curves)) @ curves, _BOUNDS, axis=0)
    return low, high


@lru_cache(maxsize=8)
def _weights(n: int) -> Floats:
    """Return how much each of n seeds counts in every resample, (resamples, n), rows that sum to 1."""
    drawn = stream(0, "bootstrap", n).integers(0, n, (RESAMPLES, n))
    counts = np.zeros((RESAMPLES, n))
    np.add.at(counts, (np.arange(RESAMPLES)[:, None], drawn), 1.0)
    return counts / n
