"""Facts about tracks: how many, how long, how fast, how dense."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetlora.traces.fixes import LOCAL
from fleetlora.traces.motion import Legs
from fleetlora.traces.tracks import Tracks

__all__ = ["info", "parked_share", "present_count"]

Floats = NDArray[np.float64]

_MOMENTS = 13
_QUANTILES = (0.1, 0.5, 0.9, 0.99)


def info(tracks: Tracks) -> dict[str, Any]:
    """Return facts about tracks as plain data, for printing or JSON.

    Speeds are over time, not over legs: the 0.5 quantile is the speed that moving (not parked) vehicles do
    not exceed for half of their time.
    """
    legs = tracks.legs()
    lasts = legs.t1_s - legs.t0_s
    moments = np.linspace(0.0, tracks.duration_s, _MOMENTS)
    present = present_count(tracks, moments)
    speed, moving = np.hypot(legs.vx_mps, legs.vy_mps), ~legs.parked
    return {
        "name": tracks.name,
        "vehicles": tracks.n_vehicles,
        "fixes": tracks.n_fixes,
        "pieces": int(tracks.new_piece.sum()),
        "start": datetime.fromtimestamp(tracks.epoch_s, UTC).isoformat(" ", "seconds"),
        "duration_s": tracks.duration_s,
        "vehicle_hours": round(float(lasts.sum() / 3600.0), 3),
        "distance_km": round(float((speed * lasts).sum() / 1000.0), 3),
        "fix_interval_s": float(np.median(lasts)) if len(legs) else 0.0,
        "speed_mps": _speeds(speed[moving], lasts[moving]),
        "parked_share": round(parked_share(tracks), 4),
        "crs": tracks.crs,
        "box_m": _box(tracks.x_m, tracks.y_m),
        "box_degrees": None
        if tracks.crs == LOCAL or not tracks.n_fixes
        else _box(*tracks.lonlat(), digits=5),
        "present": {f"{moment:.0f}": int(n) for moment, n in zip(moments, present, strict=True)},
    }


def parked_share(tracks: Tracks, legs: Legs | None = None) -> float:
    """Return the share of the time present that vehicles are parked, in [0, 1]."""
    legs = tracks.legs() if legs is None else legs
    lasts = legs.t1_s - legs.t0_s
    return float(lasts[legs.parked].sum() / lasts.sum()) if len(legs) else 0.0


def present_count(tracks: Tracks, t_s: Floats) -> NDArray[np.int64]:
    """Return how many vehicles are present at each of (n,) times."""
    first = np.flatnonzero(tracks.new_piece)
    last = np.append(first[1:], tracks.n_fixes) - 1
    first, last = first[last > first], last[last > first]
    begun = np.searchsorted(np.sort(tracks.t_s[first]), t_s, side="right")
    ended = np.searchsorted(np.sort(tracks.t_s[last]), t_s, side="left")
    return np.asarray(begun - ended)


def _speeds(speed: Floats, weight: Floats) -> dict[str, float]:
    """Return quantiles of ``speed`` under ``weight``."""
    if not len(speed):
        return {}
    order = np.argsort(speed)
    reached = np.cumsum(weight[order])
    at = np.searchsorted(reached, np.asarray(_QUANTILES) * reached[-1])
    at = np.minimum(at, len(speed) - 1)
    return {f"p{100 * q:.0f}": round(float(v), 2) for q, v in zip(_QUANTILES, speed[order][at], strict=True)}


def _box(x: Floats, y: Floats, digits: int = 0) -> list[float]:
    """Return west, south, east, north."""
    if not len(x):
        return []
    return [round(float(v), digits) for v in (x.min(), y.min(), x.max(), y.max())]
