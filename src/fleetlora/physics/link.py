"""Links between vehicles and sites: the true rate at a place, and the rate a vehicle can predict."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from fleetlora.physics.radio import Floats, RadioModel
from fleetlora.physics.shadowing import ShadowField

__all__ = ["Link"]

_TABLE_POINTS = 2_048
_SHADOW_NODES = 48


class Link:
    """The radio channel between any vehicle position and any site.

    Rates are those of a vehicle that has the RSU's whole bandwidth to itself.

    Args:
        radio: The radio model.
        field: Shadowing and line of sight of the same sites.
        sites_x: ``(J,)`` site positions in metres.
        sites_y: ``(J,)`` site positions in metres.
    """

    def __init__(self, radio: RadioModel, field: ShadowField, sites_x: ArrayLike, sites_y: ArrayLike) -> None:
        self.radio, self.field = radio, field
        self._x, self._y = np.asarray(sites_x, dtype=np.float64), np.asarray(sites_y, dtype=np.float64)

    def rates_bps(self, site: ArrayLike, x_m: ArrayLike, y_m: ArrayLike) -> tuple[Floats, Floats]:
        """Return the true rates down and up in bit/s, each ``(n, ...)``.

        What happens: for outcomes; a decision may ask for no other place than where the vehicle is now.

        Args:
            site: ``(n,)`` site indices, one for each row of positions.
            x_m: ``(n, ...)`` positions in metres.
            y_m: ``(n, ...)`` positions in metres.
        """
        loss_db = self.path_loss_db(site, x_m, y_m)
        return self._rate_bps(loss_db, up=False), self._rate_bps(loss_db, up=True)

    def rate_bps(self, site: ArrayLike, x_m: ArrayLike, y_m: ArrayLike, up: bool) -> Floats:
        """Return the true rate of one direction in bit/s; see :meth:`rates_bps`."""
        return self._rate_bps(self.path_loss_db(site, x_m, y_m), up)

    def path_loss_db(self, site: ArrayLike, x_m: ArrayLike, y_m: ArrayLike) -> Floats:
        """Return the true path loss in dB, shadowing included; shapes as in :meth:`rates_bps`."""
        x_m, y_m = np.asarray(x_m, dtype=np.float64), np.asarray(y_m, dtype=np.float64)
        site = np.asarray(site, dtype=np.int64)
        rest = (1,) * (x_m.ndim - site.ndim)
        origin_x, origin_y = (
            self._x[site].reshape(site.shape + rest),
            self._y[site].reshape(site.shape + rest),
        )
        d2d_m = np.hypot(x_m - origin_x, y_m - origin_y)
        los = self.field.los(site, x_m, y_m, d2d_m)
        shadow_db = self.field.shadow_db(site, x_m, y_m, los)
        return np.asarray(self.radio.path_loss_db(d2d_m, los) + shadow_db)

    def mean_rate_bps(self, d2d_m: ArrayLike, up: bool) -> Floats:
        """Return the expected rate in bit/s at horizontal distances of any shape.

        This is what a vehicle can predict: the mean over line of sight and shadowing, from nothing
        but the distance. 0 beyond the radio model's range.
        """
        table = self._mean_rates[int(up)]
        return np.asarray(np.interp(np.asarray(d2d_m, np.float64), self._table_m, table, right=0.0))

    def expected_rates_bps(
        self, site: ArrayLike, x_m: ArrayLike, y_m: ArrayLike, path_m: ArrayLike
    ) -> tuple[Floats, Floats]:
        """Return the rates down and up in bit/s that a vehicle can expect over its next ``path_m`` metres.

        A vehicle measures the power it receives, so it knows the rate here and now; the further it drives,
        the less that says. With d the correlation distance of shadowing and s the path, the mean of the
        correlation exp(−x/d) over the path weighs the measured rate against the mean one at this distance::

            rate = w · measured + (1 − w) · mean,   w = (d/s)·(1 − exp(−s/d))

        Args:
            site: (n,) serving sites.
            x_m: (n,) positions, metres.
            y_m: (n,) positions, metres.
            path_m: (n,) metres the vehicle is about to drive.
        """
        site = np.asarray(site, dtype=np.int64)
        x_m, y_m = np.asarray(x_m, dtype=np.float64), np.asarray(y_m, dtype=np.float64)
        turns = np.maximum(np.asarray(path_m, dtype=np.float64) / self.field.correlation_m, 1e-9)
        weight = -np.expm1(-turns) / turns
        d2d_m, measured = np.hypot(x_m - self._x[site], y_m - self._y[site]), self.rates_bps(site, x_m, y_m)
        down, up = (
            np.asarray(weight * rate + (1.0 - weight) * self.mean_rate_bps(d2d_m, way))
            for way, rate in zip((False, True), measured, strict=True)
        )
        return down, up

    def _rate_bps(self, loss_db: Floats, up: bool) -> Floats:
        sinr_db = self.radio.sinr_db(loss_db, up)
        return np.asarray(self.radio.bandwidth_hz * self.radio.spectral_efficiency(sinr_db, up))

    @cached_property
    def _table_m(self) -> Floats:
        return np.concatenate([[0.0], np.geomspace(1.0, self.radio.max_range_m, _TABLE_POINTS)])

    @cached_property
    def _mean_rates(self) -> tuple[Floats, Floats]:
        """Expected rates (down, up) over ``_table_m``: Gauss-Hermite over shadowing, both LOS states."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(_SHADOW_NODES)
        weights = weights / weights.sum()
        p_los = self.radio.los_probability(self._table_m)
        means = []
        for up in (False, True):
            mean = np.zeros_like(self._table_m)
            for los, p in ((True, p_los), (False, 1 - p_los)):
                loss_db = self.radio.path_loss_db(self._table_m, los)
                shadow_db = self.radio.shadow_sigma_db(los) * nodes
                mean += p * (self._rate_bps(loss_db[:, None] + shadow_db, up) @ weights)
            means.append(mean)
        return means[0], means[1]
