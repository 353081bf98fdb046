"""Where the fleet spends its time: vehicle-seconds and metres driven, by direction, in cells of a map.

Placement asks about the same tracks for thousands of places. The map answers from a table whose size depends
on the city, not on how long or how many vehicles were followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlora.errors import InputError
from fleetlora.roadside.ragged import Floats, Ints, expand
from fleetlora.traces import Tracks

__all__ = ["DIRECTIONS", "Traffic"]

#: Directions of travel, without sense, that are told apart: bin b is centred on b·π/DIRECTIONS.
DIRECTIONS = 8
_FIXES = 1 << 17  # worked on at once
_MOST_CELLS = 4000  # along one side of the map
_MOST_SAMPLES = 256  # of one leg


@dataclass(frozen=True)
class Traffic:
    """K cells that the fleet passes through.

    Attributes:
        cell_m: Edge of a cell, metres.
        x_m: (K,) centre, metres.
        y_m: (K,) centre, metres.
        seconds: (K,) vehicle-seconds.
        metres: (K, DIRECTIONS) metres driven, by direction of travel.
    """

    cell_m: float
    x_m: Floats
    y_m: Floats
    seconds: Floats
    metres: Floats

    def __len__(self) -> int:
        return len(self.x_m)

    @classmethod
    def of(cls, tracks: Tracks, cell_m: float, *, parked: bool = True) -> Traffic:
        """Sum up tracks in cells.

        Legs are sampled once per cell length. A map that would have more than 4,000 cells along a side gets
        larger ones.

        Args:
            tracks: The tracks.
            cell_m: Edge of a cell, metres.
            parked: Whether parked vehicles count.

        Raises:
            InputError: The tracks have no leg to count.
        """
        x0, y0 = float(tracks.x_m.min()), float(tracks.y_m.min())
        extent = max(float(tracks.x_m.max()) - x0, float(tracks.y_m.max()) - y0)
        edge = max(cell_m, extent / _MOST_CELLS)
        ny = int((float(tracks.y_m.max()) - y0) / edge) + 1
        nx = int((float(tracks.x_m.max()) - x0) / edge) + 1
        slot = np.full(nx * ny, -1, dtype=np.int32)
        seconds, metres, used = np.zeros(0), np.zeros((0, DIRECTIONS)), 0
        for begin in range(0, tracks.n_fixes - 1, _FIXES):
            cell, time, length, direction = _samples(tracks, begin, parked, edge, x0, y0, ny)
            touched, at = np.unique(cell, return_inverse=True)
            fresh = touched[slot[touched] < 0]
            slot[fresh] = used + np.arange(len(fresh))
            used += len(fresh)
            seconds, metres = _with_room(seconds, used), _with_room(metres, used)
            row = slot[touched]
            seconds[row] += np.bincount(at, time, minlength=len(row))
            by = np.bincount(at * DIRECTIONS + direction, length, minlength=len(row) * DIRECTIONS)
            metres[row] += by.reshape(-1, DIRECTIONS)
        if not used:
            raise InputError(
                "the tracks hold no movement to place RSUs by",
                where=f"tracks {tracks.name!r}",
                mend="use tracks with vehicles that drive, or the placement 'points'",
            )
        column, row = np.divmod(np.flatnonzero(slot >= 0), ny)
        order = slot[slot >= 0]
        return cls(
            cell_m=edge,
            x_m=x0 + np.add(column, 0.5, dtype=np.float64) * edge,
            y_m=y0 + np.add(row, 0.5, dtype=np.float64) * edge,
            seconds=seconds[order],
            metres=metres[order],
        )


def _with_room(table: Floats, rows: int) -> Floats:
    """Return the table with zeros below it if it has fewer rows; it at least doubles, so growing is cheap."""
    if rows <= len(table):
        return table
    grown = np.zeros((max(rows, 2 * len(table)), *table.shape[1:]))
    grown[: len(table)] = table
    return grown


def _samples(
    tracks: Tracks, begin: int, parked: bool, edge: float, x0: float, y0: float, ny: int
) -> tuple[Ints, Floats, Floats, Ints]:
    """Return cell, seconds, metres and direction of samples of the legs that start at some fixes."""
    end = min(begin + _FIXES, tracks.n_fixes - 1)
    leg = begin + np.flatnonzero(
        ~tracks.new_piece[begin + 1 : end + 1] & (parked | ~tracks.parked[begin:end])
    )
    x, y, t = tracks.x_m[leg], tracks.y_m[leg], tracks.t_s[leg]
    dx, dy, dt = tracks.x_m[leg + 1] - x, tracks.y_m[leg + 1] - y, tracks.t_s[leg + 1] - t
    length = np.hypot(dx, dy)
    count = np.clip(np.ceil(length / edge), 1, _MOST_SAMPLES).astype(np.int64)
    owner, number = expand(np.zeros_like(count), count)
    share = (number + 0.5) / count[owner]
    column = ((x[owner] + share * dx[owner] - x0) / edge).astype(np.int64)
    row = ((y[owner] + share * dy[owner] - y0) / edge).astype(np.int64)
    turn = np.round(np.arctan2(dy, dx) * DIRECTIONS / np.pi).astype(np.int64) % DIRECTIONS
    return column * ny + row, (dt / count)[owner], (length / count)[owner], turn[owner]
