"""Tracks: the cleaned paths of all vehicles, linear between fixes, as columns.

The fixes of all vehicles lie one after the other in one set of columns (CSR: ``offsets`` says where each
vehicle begins), so that a question about a whole city is one vectorised step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fleetlora.errors import InputError
from fleetlora.traces.fixes import DEGREES, LOCAL, RawFixes
from fleetlora.traces.motion import Legs, State

__all__ = ["Tracks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Dates are shown of what begins no farther from 1970, the years 386 to 3554.
_CALENDAR_S = 5e10


@dataclass(frozen=True, eq=False)
class Tracks:
    """The tracks of V vehicles with N fixes in all.

    Attributes:
        vehicle_ids: (V,) str, distinct.
        offsets: (V + 1,) int64; vehicle v owns the fixes ``offsets[v]:offsets[v + 1]``, at least one.
        t_s: (N,) seconds since ``epoch_s``, strictly increasing within a vehicle.
        x_m: (N,) metres east.
        y_m: (N,) metres north.
        new_piece: (N,) bool, True at the first fix of each piece: where a vehicle begins, and after a gap.
        parked: (N,) bool, True where the leg that starts at the fix is parked.
        epoch_s: Unix time of t = 0, seconds, at most 5e10 from 1970.
        crs: Coordinate system of the metres, such as ``"EPSG:32634"``, or ``"local"``.
        name: What the tracks are of.
    """

    vehicle_ids: NDArray[np.str_]
    offsets: Ints
    t_s: Floats
    x_m: Floats
    y_m: Floats
    new_piece: Bools
    parked: Bools
    epoch_s: float
    crs: str
    name: str

    def __post_init__(self) -> None:
        fault = _fault(self)
        if fault:
            raise InputError(
                fault, where=f"tracks {self.name!r}", mend="rebuild the tracks from their source"
            )

    @property
    def n_vehicles(self) -> int:
        """Number of vehicles, V."""
        return len(self.vehicle_ids)

    @property
    def n_fixes(self) -> int:
        """Number of fixes, N."""
        return len(self.t_s)

    @cached_property
    def duration_s(self) -> float:
        """Time of the last fix of all, seconds since t = 0."""
        return float(self.t_s.max(initial=0.0))

    @cached_property
    def vehicle(self) -> Ints:
        """(N,) vehicle index of every fix."""
        return np.repeat(np.arange(self.n_vehicles), np.diff(self.offsets))

    @cached_property
    def _key(self) -> Floats:
        """(N,) time of every fix on one line on which the vehicles follow one another."""
        return self._keyed(self.vehicle, self.t_s)

    def _keyed(self, vehicle: Ints, t_s: Floats) -> Floats:
        start, span = self._extent
        return vehicle * span + (np.clip(t_s, start - 1.0, start + span - 1.5) - start)

    @cached_property
    def _extent(self) -> tuple[float, float]:
        start = float(self.t_s.min(initial=0.0))
        return start, self.duration_s - start + 2.0

    def legs(self) -> Legs:
        """Return the straight legs between consecutive fixes of a piece."""
        at = np.flatnonzero(~self.new_piece[1:])
        t0, t1 = self.t_s[at], self.t_s[at + 1]
        return Legs(
            vehicle=self.vehicle[at],
            piece=(np.cumsum(self.new_piece) - 1)[at],
            fix=at,
            t0_s=t0,
            t1_s=t1,
            x0_m=self.x_m[at],
            y0_m=self.y_m[at],
            vx_mps=(self.x_m[at + 1] - self.x_m[at]) / (t1 - t0),
            vy_mps=(self.y_m[at + 1] - self.y_m[at]) / (t1 - t0),
            parked=self.parked[at],
        )

    def at(self, t_s: ArrayLike, vehicles: ArrayLike | None = None) -> State:
        """Return where vehicles are at given times.

        Args:
            t_s: Seconds since t = 0: one time for all, (n,) times paired with ``vehicles``, or (n, K) times,
                row i for ``vehicles[i]``.
            vehicles: (n,) vehicle indices; all V vehicles by default.

        Returns:
            State of shape (n,), or (n, K) for (n, K) times.
        """
        rows = np.arange(self.n_vehicles) if vehicles is None else np.asarray(vehicles, dtype=np.int64)
        times = np.asarray(t_s, dtype=np.float64)
        if times.ndim == 2:
            rows = rows[:, None]
        vehicle, times = np.broadcast_arrays(rows, times)
        leg, inside = self._find_leg(vehicle, times)
        return self._state(leg, times, inside)

    def _find_leg(self, vehicle: Ints, t_s: Floats) -> tuple[Ints, Bools]:
        """Return the fix at which the leg holding each moment begins, and whether there is such a leg."""
        if not self.n_fixes:
            return np.zeros(t_s.shape, np.int64), np.zeros(t_s.shape, bool)
        first, last = self.offsets[vehicle], self.offsets[vehicle + 1] - 1
        fix = np.searchsorted(self._key, self._keyed(vehicle, t_s), side="right") - 1
        fix = np.clip(fix, first, last)
        fix -= (self.t_s[fix] > t_s) & (fix > first)  # the key is rounded; two steps undo that
        after = np.minimum(fix + 1, last)
        fix = np.where((after > fix) & (self.t_s[after] <= t_s), after, fix)
        opens = (fix < last) & ~self.new_piece[np.minimum(fix + 1, last)]
        closes = ~opens & ~self.new_piece[fix] & (self.t_s[fix] == t_s)
        inside = (opens & (self.t_s[fix] <= t_s)) | closes
        return np.where(closes, fix - 1, fix), inside

    def _state(self, leg: Ints, t_s: Floats, inside: Bools) -> State:
        here, there = np.where(inside, leg, 0), np.where(inside, leg + 1, 0)
        x0, y0, t0 = self.x_m[here], self.y_m[here], self.t_s[here]
        dx, dy, dt = self.x_m[there] - x0, self.y_m[there] - y0, self.t_s[there] - t0
        share = np.divide(t_s - t0, dt, out=np.full(t_s.shape, np.nan), where=inside)
        arrived = share == 1.0  # exact at the far fix, whatever the rounding
        vx = np.divide(dx, dt, out=np.full(t_s.shape, np.nan), where=inside)
        vy = np.divide(dy, dt, out=np.full(t_s.shape, np.nan), where=inside)
        return State(
            x_m=np.where(arrived, self.x_m[there], x0 + share * dx),
            y_m=np.where(arrived, self.y_m[there], y0 + share * dy),
            speed_mps=np.hypot(vx, vy),
            heading_rad=np.arctan2(vy, vx),
            vx_mps=vx,
            vy_mps=vy,
            present=inside,
            parked=self.parked[here] & inside,
        )

    def window(self, t0_s: float, t1_s: float) -> Tracks:
        """Return what lies between two times, with t = 0 moved to ``t0_s``.

        Tracks are cut exactly at the borders; vehicles that are never there are left out.

        Raises:
            InputError: No vehicle is there between the two times.
        """
        from fleetlora.traces.cut import cut_window

        return cut_window(self, t0_s, t1_s)

    def crop(self, xmin_m: float, ymin_m: float, xmax_m: float, ymax_m: float) -> Tracks:
        """Return what lies in a rectangle, cut exactly at its edges; times stay as they are.

        Raises:
            InputError: No vehicle is ever in the rectangle.
        """
        from fleetlora.traces.cut import cut_box

        return cut_box(self, xmin_m, ymin_m, xmax_m, ymax_m)

    def select(self, vehicles: ArrayLike) -> Tracks:
        """Return the tracks of ``vehicles``, (n,) distinct indices or a (V,) bool mask, in that order."""
        chosen = np.asarray(vehicles)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        counts = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], counts)
        return Tracks(
            vehicle_ids=self.vehicle_ids[chosen],
            offsets=offsets,
            t_s=self.t_s[rows],
            x_m=self.x_m[rows],
            y_m=self.y_m[rows],
            new_piece=self.new_piece[rows],
            parked=self.parked[rows],
            epoch_s=self.epoch_s,
            crs=self.crs,
            name=self.name,
        )

    def lonlat(self) -> tuple[Floats, Floats]:
        """Return longitude and latitude, (N,) degrees each, of every fix.

        Raises:
            InputError: The tracks lie in a local plane of their own (``crs`` is ``"local"``).
        """
        if self.crs == LOCAL:
            raise InputError(
                "these tracks have no longitude and latitude",
                where=f"tracks {self.name!r}",
                mend="their source gave metres in a local plane; use x_m and y_m",
            )
        from pyproj import Transformer

        lon, lat = Transformer.from_crs(self.crs, DEGREES, always_xy=True).transform(self.x_m, self.y_m)
        return np.asarray(lon), np.asarray(lat)

    def fixes(self) -> RawFixes:
        """Return the fixes as a source would give them, in metres and Unix seconds."""
        return RawFixes(
            vehicle=self.vehicle_ids[self.vehicle],
            t_s=self.t_s + self.epoch_s,
            x=self.x_m,
            y=self.y_m,
            crs=self.crs,
            origin=f"tracks {self.name!r}",
            name=self.name,
            piece=np.cumsum(self.new_piece, dtype=np.int64),
        )

    def save(self, path: str | Path) -> Path:
        """Write the tracks to a Parquet file, whole or not at all, and return its path."""
        from fleetlora.traces.storage import save_tracks

        return save_tracks(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Tracks:
        """Read tracks that :meth:`save` wrote.

        Raises:
            InputError: The file is missing, damaged, or not a tracks file.
        """
        from fleetlora.traces.storage import load_saved_tracks

        return load_saved_tracks(Path(path))


def _fault(tracks: Tracks) -> str:
    """Return what is wrong with the columns, or an empty string."""
    n, starts = len(tracks.t_s), tracks.offsets[:-1]
    if any(len(c) != n for c in (tracks.x_m, tracks.y_m, tracks.new_piece, tracks.parked)):
        return "the columns differ in length"
    if len(tracks.offsets) != len(tracks.vehicle_ids) + 1 or tracks.offsets[0] or tracks.offsets[-1] != n:
        return "the offsets do not span the fixes"
    if np.any(np.diff(tracks.offsets) < 1):
        return "a vehicle has no fix"
    if len(np.unique(tracks.vehicle_ids)) != len(tracks.vehicle_ids):
        return "two vehicles have the same id"
    if not all(np.isfinite(c).all() for c in (tracks.t_s, tracks.x_m, tracks.y_m, tracks.epoch_s)):
        return "a time or position is not a finite number"
    if abs(tracks.epoch_s) > _CALENDAR_S:
        return f"they begin {tracks.epoch_s:g} s from 1970, which no calendar shows"
    if not tracks.new_piece[starts].all():
        return "a vehicle does not begin a piece"
    later = np.diff(tracks.t_s) > 0
    later[starts[1:] - 1] = True
    return "" if later.all() else "times do not increase within a vehicle"
