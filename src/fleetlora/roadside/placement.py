"""Where to stand RSUs: the protocol of placements, and the two that need no optimisation."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from pydantic import model_validator

from fleetlora.errors import ConfigError, InputError
from fleetlora.registry import Registry
from fleetlora.roadside.ragged import Floats
from fleetlora.roadside.sites import Sites
from fleetlora.roadside.traffic import Traffic
from fleetlora.settings import Settings, quantity
from fleetlora.traces import Tracks

__all__ = [
    "PLACEMENTS",
    "Grid",
    "Placement",
    "Points",
    "distance_to_traffic",
    "near_traffic",
    "traffic_map",
]

_CELLS_PER_COVERAGE = 8


class Placement(Protocol):
    """Chooses where RSUs stand. Implementations are settings registered in :data:`PLACEMENTS`."""

    def place(self, tracks: Tracks, coverage_m: float) -> Sites:
        """Return the sites, at least one, in the metres of ``tracks``.

        The same settings, tracks and coverage must give the same sites.

        Args:
            tracks: Where the fleet has been seen to drive.
            coverage_m: Distance up to which an RSU covers a vehicle, metres.

        Raises:
            InputError: It cannot place sites on these tracks.
        """


PLACEMENTS: Registry[type[Placement]] = Registry("site placement")


def traffic_map(tracks: Tracks, coverage_m: float, *, parked: bool = True) -> Traffic:
    """Return the traffic in cells an eighth of the coverage wide."""
    if not coverage_m > 0:
        raise ConfigError(f"coverage_m is {coverage_m:g}", where="coverage_m", mend="it must be above 0")
    return Traffic.of(tracks, coverage_m / _CELLS_PER_COVERAGE, parked=parked)


def distance_to_traffic(traffic: Traffic, x_m: Floats, y_m: Floats) -> Floats:
    """Return the (n,) distance from each place to the nearest cell with traffic, metres."""
    from scipy.spatial import cKDTree

    away, _ = cKDTree(np.column_stack([traffic.x_m, traffic.y_m])).query(np.column_stack([x_m, y_m]))
    return np.asarray(away)


def near_traffic(sites: Sites, traffic: Traffic, coverage_m: float, where: str) -> Sites:
    """Return the sites that cover any traffic.

    Raises:
        InputError: None does.
    """
    away = distance_to_traffic(traffic, sites.x_m, sites.y_m)
    near = away <= coverage_m
    if not near.any():
        raise InputError(
            f"none of the {len(sites)} points covers any traffic: the nearest is {away.min():,.0f} m "
            f"from the tracks, coverage is {coverage_m:,.0f} m",
            where=where,
            mend="give points in the city of the tracks; check that longitude and latitude are not swapped",
        )
    return sites.take(near)


@PLACEMENTS.register("points")
class Points(Settings):
    """RSUs at the places a file lists."""

    path: str = quantity(..., "file", "CSV or GeoJSON of places, or an asset of them")
    drop_far: bool = quantity(False, "1", "leave out places that cover no traffic")

    def place(self, tracks: Tracks, coverage_m: float) -> Sites:
        """Return every place of the file; see :class:`Placement`."""
        from fleetlora.assets import resolve
        from fleetlora.roadside.points import read_points

        sites = read_points(resolve(self.path), tracks.crs)
        near = near_traffic(sites, traffic_map(tracks, coverage_m), coverage_m, self.path)
        return near if self.drop_far else sites


@PLACEMENTS.register("grid")
class Grid(Settings):
    """RSUs on a square grid over the traffic, wherever one covers any."""

    spacing_m: float | None = quantity(None, "m", "distance between neighbours", gt=0)
    count: int | None = quantity(None, "1", "number of RSUs; the spacing follows", ge=1)

    @model_validator(mode="after")
    def _one_of(self) -> Grid:
        if (self.spacing_m is None) == (self.count is None):
            raise ValueError("give either spacing_m or count")
        return self

    def place(self, tracks: Tracks, coverage_m: float) -> Sites:
        """Return the grid; see :class:`Placement`."""
        traffic = traffic_map(tracks, coverage_m)
        if self.spacing_m is not None:
            return Sites.of(*_covering_grid(traffic, self.spacing_m, coverage_m))
        return Sites.of(*self._fitted(traffic, coverage_m))

    def _fitted(self, traffic: Traffic, coverage_m: float) -> tuple[Floats, Floats]:
        """Return the busiest ``count`` places of the widest grid that has as many."""
        count = self.count or 1
        narrow, wide = coverage_m / 1000, float(np.ptp(traffic.x_m) + np.ptp(traffic.y_m)) + 4 * coverage_m
        narrow = max(narrow, wide / (4 * np.sqrt(count) + 4) / 16)
        best = _covering_grid(traffic, narrow, coverage_m)
        if len(best[0]) < count:
            raise InputError(
                f"a grid of {count} RSUs does not fit", where="sites.count", mend="ask for fewer RSUs"
            )
        for _ in range(24):
            spacing = float(np.sqrt(narrow * wide))
            grid = _covering_grid(traffic, spacing, coverage_m)
            if len(grid[0]) >= count:
                narrow, best = spacing, grid
            else:
                wide = spacing
        busy = np.lexsort((np.arange(len(best[0])), -_covered_seconds(traffic, *best, coverage_m)))
        chosen = np.sort(busy[:count])
        return best[0][chosen], best[1][chosen]


def _covering_grid(traffic: Traffic, spacing_m: float, coverage_m: float) -> tuple[Floats, Floats]:
    """Return the places of a grid, centred on the traffic, that cover some of it."""
    axes = []
    for values in (traffic.x_m, traffic.y_m):
        low, high = float(values.min()), float(values.max())
        count = int((high - low) / spacing_m) + 1
        axes.append(0.5 * (low + high) + spacing_m * (np.arange(count) - 0.5 * (count - 1)))
    x, y = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    near = distance_to_traffic(traffic, x, y) <= coverage_m
    return x[near], y[near]


def _covered_seconds(traffic: Traffic, x_m: Floats, y_m: Floats, coverage_m: float) -> Floats:
    from scipy.spatial import cKDTree

    here = cKDTree(np.column_stack([x_m, y_m]))
    cells = cKDTree(np.column_stack([traffic.x_m, traffic.y_m]))
    pairs = here.sparse_distance_matrix(cells, coverage_m, output_type="ndarray")
    return np.asarray(np.bincount(pairs["i"], traffic.seconds[pairs["j"]], len(x_m)), dtype=np.float64)
