"""Cutting tracks in time and in space, exactly at the borders.

Both cuts keep, of every leg, one interval of its own time; what remains is joined again wherever a leg is
kept to its end and the next from its start.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError
from fleetlora.traces.motion import Legs
from fleetlora.traces.tracks import Tracks

__all__ = ["cut_box", "cut_window"]

Floats = NDArray[np.float64]
T = TypeVar("T", bound=np.generic)


def cut_window(tracks: Tracks, t0_s: float, t1_s: float) -> Tracks:
    """Return the tracks between two times, with t = 0 moved to the first (see :meth:`Tracks.window`)."""
    if not t1_s > t0_s:
        raise InputError(
            f"the window ends at {t1_s:g} s, not after its start at {t0_s:g} s",
            where=f"tracks {tracks.name!r}",
            mend="give the start first, then the end",
        )
    legs = tracks.legs()
    cut = _keep(tracks, legs, np.maximum(legs.t0_s, t0_s), np.minimum(legs.t1_s, t1_s), t0_s)
    if not cut.n_vehicles:
        raise InputError(
            f"no vehicle is there between {t0_s:g} s and {t1_s:g} s",
            where=f"tracks {tracks.name!r}",
            mend=f"choose a window within 0 to {tracks.duration_s:g} s",
        )
    return cut


def cut_box(tracks: Tracks, xmin_m: float, ymin_m: float, xmax_m: float, ymax_m: float) -> Tracks:
    """Return the part of the tracks in a rectangle (see :meth:`Tracks.crop`)."""
    legs = tracks.legs()
    in_x = _between(legs.x0_m, legs.vx_mps, xmin_m, xmax_m)
    in_y = _between(legs.y0_m, legs.vy_mps, ymin_m, ymax_m)
    length = legs.t1_s - legs.t0_s
    begin = np.maximum(0.0, np.maximum(in_x[0], in_y[0]))
    end = np.minimum(in_x[1], in_y[1])
    stop = np.where(end >= length, legs.t1_s, legs.t0_s + np.minimum(end, length))
    cut = _keep(tracks, legs, legs.t0_s + begin, stop, 0.0)
    if not cut.n_vehicles:
        raise InputError(
            f"no vehicle is ever in x {xmin_m:g} to {xmax_m:g} m, y {ymin_m:g} to {ymax_m:g} m",
            where=f"tracks {tracks.name!r}",
            mend=f"choose a box within x {tracks.x_m.min():.0f} to {tracks.x_m.max():.0f} m, "
            f"y {tracks.y_m.min():.0f} to {tracks.y_m.max():.0f} m",
        )
    return cut


def _between(start: Floats, speed: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """Return the time since its start at which each moving point enters and leaves ``[low, high]``."""
    still = speed == 0
    pace = np.where(still, 1.0, speed)
    with np.errstate(over="ignore"):  # a crawling vehicle reaches the edge never
        one, two = (low - start) / pace, (high - start) / pace
    never = still & ((start < low) | (start > high))
    enters = np.where(still, np.where(never, np.inf, -np.inf), np.minimum(one, two))
    leaves = np.where(still, np.where(never, -np.inf, np.inf), np.maximum(one, two))
    return enters, leaves


def _keep(tracks: Tracks, legs: Legs, begin: Floats, end: Floats, zero_s: float) -> Tracks:
    """Return tracks of the part ``begin`` to ``end`` of every leg; legs with ``begin >= end`` vanish."""
    kept = np.flatnonzero(end > begin)
    begin, end = begin[kept], end[kept]
    fix, vehicle = legs.fix[kept], legs.vehicle[kept]
    whole_start, whole_end = begin == legs.t0_s[kept], end == legs.t1_s[kept]
    follows = np.zeros(len(kept), dtype=bool)
    if len(kept) > 1:
        same_piece = (np.diff(kept) == 1) & (np.diff(legs.piece[kept]) == 0)
        follows[1:] = same_piece & whole_end[:-1] & whole_start[1:]
    last = np.append(~follows[1:], True)[: len(kept)]

    def place(column: Floats, speed: Floats) -> Floats:
        since_start = begin - legs.t0_s[kept]
        until = end - legs.t0_s[kept]
        first = np.where(whole_start, column[fix], column[fix] + speed[kept] * since_start)
        final = np.where(whole_end, column[fix + 1], column[fix] + speed[kept] * until)
        return _interleave(first, final, last)

    counts = np.bincount(vehicle, weights=1 + last, minlength=tracks.n_vehicles).astype(np.int64)
    there = np.flatnonzero(counts)
    return Tracks(
        vehicle_ids=tracks.vehicle_ids[there],
        offsets=np.concatenate([[0], np.cumsum(counts[there])]).astype(np.int64),
        t_s=_interleave(begin, end, last) - zero_s,
        x_m=place(tracks.x_m, legs.vx_mps),
        y_m=place(tracks.y_m, legs.vy_mps),
        new_piece=_interleave(~follows, np.zeros_like(follows), last),
        parked=_interleave(legs.parked[kept], np.zeros_like(follows), last),
        epoch_s=tracks.epoch_s + zero_s,
        crs=tracks.crs,
        name=tracks.name,
    )


def _interleave(first: NDArray[T], final: NDArray[T], last: NDArray[np.bool_]) -> NDArray[T]:
    """Return ``first``, with ``final[i]`` put after row i wherever ``last[i]``."""
    where = np.arange(len(first)) + np.concatenate([[0], np.cumsum(last)])[: len(first)]
    out = np.empty(len(first) + int(last.sum()), dtype=first.dtype)
    out[where] = first
    out[where[last] + 1] = final[last]
    return out
