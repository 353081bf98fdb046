"""Which sites could a leg come within reach of? A table look-up that never misses one and lists few in vain.

Legs are sorted into classes by length, doubling from class to class. For each class a square grid holds, per
cell, the sites within reach of any leg of that class whose middle lies in the cell. Looking up a leg costs a
few array operations, whatever the number of sites; a tree search would build one list per leg.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fleetlora.roadside.ragged import Floats, Ints, expand

__all__ = ["SiteIndex"]

_FINEST = 0.25  # cell edge and shortest leg class, as a share of the reach
_MOST_CELLS = 1000  # along one side of a grid


class _Grid(NamedTuple):
    """One length class: cell edge, origin, cells along each side, sites per cell, sites in order of cell."""

    edge: float
    x0: float
    y0: float
    nx: int
    ny: int
    sites_in: Ints
    site: Ints


class SiteIndex:
    """Sites by the cells from which they can be reached.

    Args:
        x_m: (J,) site positions, metres.
        y_m: (J,) site positions, metres.
        reach_m: Reach of a site, metres.
    """

    def __init__(self, x_m: Floats, y_m: Floats, reach_m: float) -> None:
        extent = float(max(np.ptp(x_m), np.ptp(y_m), reach_m))
        self._shortest = _FINEST * reach_m
        classes = int(np.ceil(np.log2(2.0 * extent / self._shortest))) + 1
        grids = [_grid(x_m, y_m, reach_m, self._shortest * 2.0**k, extent) for k in range(classes)]
        everything = np.arange(len(x_m))
        grids.append(_Grid(np.inf, 0.0, 0.0, 1, 1, np.array([len(x_m)]), everything))
        self._edge = np.array([g.edge for g in grids])
        self._x0 = np.array([g.x0 for g in grids])
        self._y0 = np.array([g.y0 for g in grids])
        self._nx = np.array([g.nx for g in grids])
        self._ny = np.array([g.ny for g in grids])
        cells = np.array([g.nx * g.ny for g in grids])
        self._base = np.cumsum(cells) - cells
        self._count = np.append(np.concatenate([g.sites_in for g in grids]), 0)
        self._first = np.cumsum(self._count) - self._count
        self._site = np.concatenate([g.site for g in grids]).astype(np.int32)

    def cells(self, x_m: Floats, y_m: Floats, length2: Floats) -> Ints:
        """Return the (n,) cell in which each leg is looked up.

        Args:
            x_m: (n,) middle of the leg, metres.
            y_m: (n,) middle of the leg, metres.
            length2: (n,) squared length, m²; NaN for what is no leg and reaches nothing.
        """
        twice = np.frexp(length2 / self._shortest**2)[1]
        size = np.clip((twice + 1) >> 1, 0, len(self._edge) - 1)
        edge = self._edge[size]
        column = np.floor((x_m - self._x0[size]) / edge)
        row = np.floor((y_m - self._y0[size]) / edge)
        inside = (column >= 0) & (row >= 0) & (column < self._nx[size]) & (row < self._ny[size])
        inside &= length2 >= 0
        cell = np.full(len(size), len(self._count) - 1)
        there = np.flatnonzero(inside)
        size = size[there]
        cell[there] = self._base[size] + (column[there] * self._ny[size] + row[there]).astype(np.int64)
        return cell

    def counts(self, cells: Ints) -> Ints:
        """Return the (n,) number of candidate sites in each cell."""
        return self._count[cells]

    def candidates(self, cells: Ints) -> tuple[Ints, Ints]:
        """Return the rows of ``cells`` and the sites to try for them, in order of row, then site."""
        row, position = expand(self._first[cells], self._count[cells])
        return row, self._site[position]


def _grid(x_m: Floats, y_m: Floats, reach_m: float, longest: float, extent: float) -> _Grid:
    """List, per cell, the sites that a leg up to ``longest`` with its middle in the cell can reach."""
    edge = max(_FINEST * reach_m, 0.25 * longest, extent / _MOST_CELLS)
    radius = (reach_m + 0.5 * longest + edge * np.sqrt(0.5)) * (1.0 + 1e-9) + 1e-6
    x0, y0 = float(x_m.min()) - radius, float(y_m.min()) - radius
    nx = int((float(x_m.max()) + radius - x0) / edge) + 1
    ny = int((float(y_m.max()) + radius - y0) / edge) + 1
    side = np.arange(-int(radius / edge) - 1, int(radius / edge) + 2)
    column = (np.floor((x_m - x0) / edge)[:, None] + np.repeat(side, len(side))).astype(np.int64)
    row = (np.floor((y_m - y0) / edge)[:, None] + np.tile(side, len(side))).astype(np.int64)
    apart = np.hypot(x0 + (column + 0.5) * edge - x_m[:, None], y0 + (row + 0.5) * edge - y_m[:, None])
    inside = (apart <= radius) & (column >= 0) & (row >= 0) & (column < nx) & (row < ny)
    site, _ = np.nonzero(inside)
    cell = column[inside] * ny + row[inside]
    order = np.argsort(cell, kind="stable")
    return _Grid(edge, x0, y0, nx, ny, np.bincount(cell, minlength=nx * ny), site[order])
