"""A fleet of the size and shape of T-Drive, drawn: straight legs over a city, shifts with gaps between them.

T-Drive (Yuan et al. 2010) holds about 15 million fixes of 10,357 taxis in Beijing over one week, on average
177 s and 623 m apart. Here every taxi has equally many fixes; its legs last as long on average, and turn at
random.
"""

from __future__ import annotations

import numpy as np

from fleetlora.rng import stream
from fleetlora.traces import Tracks

__all__ = ["drawn_taxis"]

_LEG_S = 177.0
_SPEED_MPS = 623.0 / 177.0
_PARKED = 0.2  # share of legs on which a taxi stands
_SHIFT_FIXES = 100  # fixes of a piece, after which the taxi is not seen for a while
_CITY_M = 40_000.0  # edge of the square that the taxis stay in


def drawn_taxis(vehicles: int, fixes: int, duration_s: float, seed: int, city_m: float = _CITY_M) -> Tracks:
    """Return tracks of ``vehicles`` taxis with ``fixes`` in all, over ``duration_s``, in a square city."""
    rng = stream(seed, "bench", "taxis")
    each = fixes // vehicles
    shape = (vehicles, each)
    legs_s = rng.gamma(2.0, _LEG_S / 2.0, shape) + 1.0
    begins = np.arange(each) % _SHIFT_FIXES == 0
    gaps = max(1, int(begins.sum()) - 1)
    spare_s = np.maximum(duration_s - legs_s.sum(axis=1), duration_s * 0.05)
    legs_s[:, begins] = 0.0
    legs_s[:, np.flatnonzero(begins)[1:]] = (spare_s / gaps)[:, None]
    legs_s[:, 0] = rng.uniform(0.0, _LEG_S, vehicles)
    t = np.cumsum(legs_s, axis=1)
    t *= np.minimum(1.0, duration_s / t[:, -1:])  # nobody drives beyond the end
    heading = np.cumsum(rng.normal(0.0, 0.6, shape), axis=1) + rng.uniform(0.0, 2 * np.pi, (vehicles, 1))
    drives = rng.random(shape) >= _PARKED
    way = np.where(begins, 0.0, legs_s * drives) * rng.gamma(4.0, _SPEED_MPS / 4.0 / (1.0 - _PARKED), shape)
    x = _folded(rng.uniform(0.0, city_m, (vehicles, 1)) + np.cumsum(way * np.cos(heading), axis=1), city_m)
    y = _folded(rng.uniform(0.0, city_m, (vehicles, 1)) + np.cumsum(way * np.sin(heading), axis=1), city_m)
    return Tracks(
        vehicle_ids=np.arange(vehicles).astype(np.str_),
        offsets=np.arange(vehicles + 1, dtype=np.int64) * each,
        t_s=t.ravel(),
        x_m=x.ravel(),
        y_m=y.ravel(),
        new_piece=np.tile(begins, vehicles),
        parked=np.zeros(vehicles * each, dtype=bool),
        epoch_s=0.0,
        crs="local",
        name=f"{vehicles} drawn taxis",
    )


def _folded(place_m: np.ndarray, city_m: float) -> np.ndarray:
    """Turn back what leaves the city at its edge."""
    return np.asarray(city_m - np.abs(np.mod(place_m, 2 * city_m) - city_m))
