"""Shadowing and line of sight as fields over the city: the same place always has the same channel.

Every site has two Gaussian random fields over position, one that shadows and one that decides on
line of sight, each a sum of sinusoids

    G(x, y) = √(2/N) · Σ_i cos(k_i · (x, y) + φ_i),   E[G(p) G(q)] = exp(−|p − q| / d_cor)

whose wave vectors follow the spectrum of the exponential autocorrelation in the plane: angle
uniform, length k with P(k ≤ κ) = 1 − 1/√(1 + (d_cor κ)²). Lengths and angles are drawn from N equal
strata each and paired at random, so every single field comes close to that correlation; phases
are independent, so that no place is special.
A sum of sinusoids has no grid and no memory: a value depends on seed, site and position alone.

Sources: 3GPP TR 38.901, sections 7.4.4 and 7.6.3 (correlation, its distances); Jaeckel et al. 2018,
arXiv 1808.04659 (sums of sinusoids for spatial consistency).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fleetlora.physics.radio import Floats, RadioModel
from fleetlora.rng import stream
from fleetlora.settings import Settings, quantity

__all__ = ["ShadowField", "Shadowing"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_BLOCK = 1 << 16  # cosines computed at a time; keeps the work in a core's cache


class Shadowing(Settings):
    """How far shadowing and line of sight stay alike, and how finely the fields are made."""

    shadow_correlation_m: float = quantity(
        10.0,
        "m",
        "distance over which shadowing decorrelates",
        "3GPP TR 38.901, table 7.5-6, UMi with line of sight; TR 36.885, annex A.1",
        gt=0,
    )
    los_correlation_m: float = quantity(
        50.0,
        "m",
        "distance over which the line-of-sight state decorrelates",
        "3GPP TR 38.901, table 7.6.3.1-2, UMi",
        gt=0,
    )
    sinusoids: int = quantity(
        128, "1", "sinusoids in each field", "autocorrelation within 0.03 of the exponential", ge=16
    )


class ShadowField:
    """The shadowing and line-of-sight fields of every site of one experiment.

    Args:
        radio: Gives the probability of line of sight and the spread of shadowing.
        n_sites: Number of sites.
        seed: The experiment's seed. A site's fields depend on it and the site's index only.
        settings: Correlation distances.
    """

    def __init__(self, radio: RadioModel, n_sites: int, seed: int, settings: Shadowing | None = None) -> None:
        settings = settings or Shadowing()
        self._radio = radio
        self.correlation_m = settings.shadow_correlation_m
        self._shadow = _Waves("shadowing", n_sites, seed, settings.shadow_correlation_m, settings.sinusoids)
        self._los = _Waves("line-of-sight", n_sites, seed, settings.los_correlation_m, settings.sinusoids)

    def los(self, site: ArrayLike, x_m: ArrayLike, y_m: ArrayLike, d2d_m: ArrayLike) -> Bools:
        """Return whether there is line of sight: Φ(G) < P_LOS(distance).

        Args:
            site: ``(n,)`` site indices, one for each row of positions.
            x_m: ``(n, ...)`` positions in metres.
            y_m: ``(n, ...)`` positions in metres.
            d2d_m: ``(n, ...)`` horizontal distances from position to site in metres.
        """
        from scipy.special import ndtr

        gaussian = self._los.at(site, x_m, y_m)
        return np.asarray(ndtr(gaussian) < self._radio.los_probability(d2d_m))

    def shadow_db(self, site: ArrayLike, x_m: ArrayLike, y_m: ArrayLike, los: ArrayLike) -> Floats:
        """Return the shadowing loss in dB (positive weakens the signal), shapes as in :meth:`los`.

        One standard normal field serves both states and is scaled by the state's own spread.
        """
        return np.asarray(self._radio.shadow_sigma_db(los) * self._shadow.at(site, x_m, y_m))


class _Waves:
    """One standard normal field for each site, as the sinusoids it is a sum of."""

    def __init__(self, name: str, n_sites: int, seed: int, correlation_m: float, n: int) -> None:
        # Columns: wave vector in turns per metre, phase in turns. (n_sites, n)
        self._kx, self._ky, self._phase = (np.empty((n_sites, n)) for _ in range(3))
        for site in range(n_sites):
            rng = stream(seed, name, site)
            length, angle = _strata(rng, n), _strata(rng, n)
            turns_per_m = np.sqrt((1 - length) ** -2 - 1) / (2 * np.pi * correlation_m)
            self._kx[site] = turns_per_m * np.cos(2 * np.pi * angle)
            self._ky[site] = turns_per_m * np.sin(2 * np.pi * angle)
            self._phase[site] = rng.random(n)

    def at(self, site: ArrayLike, x_m: ArrayLike, y_m: ArrayLike) -> Floats:
        """Return the fields' values, ``(n, ...)``, at positions ``(n, ...)`` of sites ``(n,)``."""
        x_m, y_m = np.broadcast_arrays(np.asarray(x_m, np.float64), np.asarray(y_m, np.float64))
        site = np.broadcast_to(np.asarray(site, np.int64), x_m.shape[:1])
        flat = (len(site), math.prod(x_m.shape[1:]))
        x, y = x_m.reshape(flat), y_m.reshape(flat)
        out = np.empty(x.shape)
        n_waves = self._kx.shape[1]
        for rows, columns in _blocks(*x.shape, n_waves):
            waves = site[rows]
            turns = x[rows, columns, None] * self._kx[waves, None, :]
            turns += y[rows, columns, None] * self._ky[waves, None, :]
            turns += self._phase[waves, None, :]
            # Whole turns go in double precision; what is left of the angle is safe, and fast, in single.
            turns -= np.rint(turns)
            angle = turns.astype(np.float32)
            angle *= np.float32(2 * np.pi)
            out[rows, columns] = np.cos(angle, out=angle).sum(axis=-1)
        out *= np.sqrt(2 / n_waves)
        return out.reshape(x_m.shape)


def _strata(rng: np.random.Generator, n: int) -> Floats:
    """Return ``n`` uniform draws, one from each n-th of [0, 1), in random order."""
    return np.asarray((rng.permutation(n) + rng.random(n)) / n)


def _blocks(n_rows: int, n_columns: int, n_waves: int) -> Iterator[tuple[slice, slice]]:
    """Cut a table of positions into pieces that need at most about ``_BLOCK`` cosines each."""
    positions = max(1, _BLOCK // n_waves)
    wide = min(max(n_columns, 1), positions)
    tall = max(1, positions // wide)
    for row in range(0, n_rows, tall):
        for column in range(0, n_columns, wide):
            yield slice(row, row + tall), slice(column, column + wide)
