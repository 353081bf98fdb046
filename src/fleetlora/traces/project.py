"""From degrees to metres: the UTM zone in which most of the fixes lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError
from fleetlora.traces.fixes import DEGREES

__all__ = ["METRES_PER_DEGREE", "distance_from_m", "to_metres", "utm_zone"]

Floats = NDArray[np.float64]

#: Length of one degree of a great circle on a sphere of 6,371,009 m, the mean radius of GRS 80.
METRES_PER_DEGREE = 6_371_009.0 * np.pi / 180.0


def distance_from_m(lon: Floats, lat: Floats, lon0: float, lat0: float) -> Floats:
    """Return the rough distance of (n,) points from one place, metres; right to 1 % within 500 km."""
    east = (lon - lon0 + 180.0) % 360.0 - 180.0
    return np.asarray(METRES_PER_DEGREE * np.hypot(east * np.cos(np.radians(lat0)), lat - lat0))


def utm_zone(lon: float, lat: float) -> str:
    """Return the name of the UTM system (WGS 84) that holds a place, such as ``"EPSG:32634"``.

    Raises:
        InputError: The place is nearer to a pole than UTM reaches.
    """
    if not -80.0 <= lat <= 84.0:
        raise InputError(
            f"UTM does not reach latitude {lat:.2f}",
            mend="check that latitude and longitude are not exchanged, or give x and y in metres",
        )
    zone = min(int((lon + 180.0) // 6.0) + 1, 60)
    return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"


def to_metres(lon: Floats, lat: Floats, crs: str) -> tuple[Floats, Floats]:
    """Return (n,) positions east and north in metres of the projected system ``crs``."""
    from pyproj import Transformer

    x, y = Transformer.from_crs(DEGREES, crs, always_xy=True).transform(lon, lat)
    return np.asarray(x), np.asarray(y)
