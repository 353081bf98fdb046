"""How fast a curve grows: the slope of its mean on log–log axes, with an interval over seeds.

A slope needs logarithms, and so a curve that stays above zero. Regret that is negative or a violation that is
zero has none: nothing is added or cut off to make one up, and the answer is ``None``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Band", "Exponent", "band", "fit_exponent", "fitted_from"]

Floats = NDArray[np.float64]

#: Times the seeds are drawn anew for an interval.
_RESAMPLES = 2000

#: Least points of the grid a slope is fitted to.
LEAST_POINTS = 4

#: Least share of the resamples that must have a slope for an interval to be given.
_LEAST_SHARE = 0.95


@dataclass(frozen=True)
class Band:
    """Mean of a curve and its 95 % interval over seeds; each (G,)."""

    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Exponent:
    """Slope of log y against log T.

    Attributes:
        value: The slope for the mean over seeds.
        low: Lower end of its 95 % interval, ``None`` where too few resamples have a slope.
        high: Upper end.
        scale: The fitted curve is ``scale · T^value``.
    """

    value: float
    low: float | None
    high: float | None
    scale: float


def fitted_from(horizon: int) -> float:
    """Return the first round that slopes are fitted from: horizon^(3/5), so 1,000 for 100,000."""
    return float(horizon**0.6)


def band(curves: Floats, rng: np.random.Generator) -> Band:
    """Return the mean of (S, G) curves with its 95 % bootstrap interval at every point."""
    means = _resample(len(curves), rng) @ curves
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return Band(curves.mean(axis=0), low, high)


def fit_exponent(rounds: Floats, curves: Floats, rng: np.random.Generator) -> Exponent | None:
    """Fit a power of T to the mean of curves, by least squares on log–log axes.

    Args:
        rounds: (G,) the rounds T to fit over.
        curves: (S, G) one curve a seed.
        rng: Draws the resamples of the interval.

    Returns:
        The slope, or ``None`` where the mean is not positive at every round.
    """
    slope = _slopes(rounds, curves.mean(axis=0, keepdims=True))
    if not np.isfinite(slope[0, 0]):
        return None
    means = _resample(len(curves), rng) @ curves
    slopes = _slopes(rounds, means)[:, 0]
    known = slopes[np.isfinite(slopes)]
    low = high = None
    if len(known) >= _LEAST_SHARE * len(slopes):
        low, high = (float(end) for end in np.quantile(known, [0.025, 0.975]))
    return Exponent(float(slope[0, 0]), low, high, float(np.exp(slope[0, 1])))


def _resample(seeds: int, rng: np.random.Generator) -> Floats:
    """Return (B, S) weights: how often each seed was drawn, divided by S."""
    drawn = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=_RESAMPLES)
    return np.asarray(drawn / seeds, dtype=np.float64)


def _slopes(rounds: Floats, means: Floats) -> Floats:
    """Return (B, 2) slope and intercept for (B, G) means, not a number where one is not positive."""
    good = means.min(axis=1) > 0
    logs = np.log(means, out=np.full_like(means, np.nan), where=means > 0)
    x = np.log(rounds)
    centred = x - x.mean()
    slope = logs @ centred / (centred @ centred)
    intercept = logs.mean(axis=1) - slope * x.mean()
    return np.where(good[:, None], np.stack([slope, intercept], axis=1), np.nan)
