"""Candidate sites and what each covers of the traffic: the table that greedy and corridor choose from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlora.errors import ConfigError
from fleetlora.roadside.placement import near_traffic, traffic_map
from fleetlora.roadside.ragged import Floats, Ints, expand
from fleetlora.roadside.sites import Sites
from fleetlora.roadside.traffic import Traffic
from fleetlora.settings import Settings, quantity
from fleetlora.traces import Tracks

__all__ = ["Candidates", "CoverTable", "cover_table", "enough"]

_MOST_CANDIDATES = 20_000


class Candidates(Settings):
    """Settings shared by placements that choose among candidate places."""

    count: int = quantity(..., "1", "number of RSUs", ge=1)
    candidates: str | None = quantity(
        None,
        "file",
        "places to choose from, as for the placement 'points'; a grid over the traffic if not given",
    )
    parked: bool = quantity(True, "1", "whether the time of parked vehicles counts")

    def candidate_sites(self, tracks: Tracks, traffic: Traffic, coverage_m: float) -> Sites:
        """Return the places to choose from, at least ``count``."""
        if self.candidates is None:
            sites = _lattice(traffic, coverage_m)
        else:
            from fleetlora.assets import resolve
            from fleetlora.roadside.points import read_points

            found = read_points(resolve(self.candidates), tracks.crs)
            sites = near_traffic(found, traffic, coverage_m, self.candidates)
        return enough(sites, self.count)

    def cover_table(self, tracks: Tracks, coverage_m: float) -> CoverTable:
        """Return what each candidate covers."""
        traffic = traffic_map(tracks, coverage_m, parked=self.parked)
        return cover_table(traffic, self.candidate_sites(tracks, traffic, coverage_m), coverage_m)


def enough(sites: Sites, count: int) -> Sites:
    """Return ``sites``.

    Raises:
        ConfigError: They are fewer than ``count``.
    """
    if len(sites) < count:
        raise ConfigError(
            f"{count} RSUs are asked for, but only {len(sites)} candidate places cover any traffic",
            where="sites.count",
            mend=f"ask for at most {len(sites)}, or give more candidates",
        )
    return sites


@dataclass(frozen=True)
class CoverTable:
    """What M candidate sites cover of K cells of traffic, as sorted pairs.

    Attributes:
        traffic: The cells.
        sites: The candidates.
        coverage_m: Coverage, metres.
        first: (M + 1,) the pairs of candidate c are ``first[c]:first[c + 1]``.
        cell: (P,) cell of each pair.
        away_m: (P,) distance between the two, metres.
    """

    traffic: Traffic
    sites: Sites
    coverage_m: float
    first: Ints
    cell: Ints
    away_m: Floats

    def pairs(self, candidates: Ints) -> tuple[Ints, Ints]:
        """Return, for (n,) candidates, owner in 0…n−1 and position of all their pairs."""
        return expand(self.first[candidates], self.first[candidates + 1] - self.first[candidates])

    def within(self, candidate: int, distance_m: float) -> Ints:
        """Return the candidates within a distance of one of them, itself included, ascending."""
        apart = np.hypot(
            self.sites.x_m - self.sites.x_m[candidate], self.sites.y_m - self.sites.y_m[candidate]
        )
        return np.flatnonzero(apart <= distance_m)


def cover_table(traffic: Traffic, sites: Sites, coverage_m: float) -> CoverTable:
    """Return what each of ``sites`` covers; a cell is covered if its centre is."""
    from scipy.spatial import cKDTree

    places = cKDTree(np.column_stack([sites.x_m, sites.y_m]))
    cells = cKDTree(np.column_stack([traffic.x_m, traffic.y_m]))
    found = places.sparse_distance_matrix(cells, coverage_m, output_type="ndarray")
    order = np.lexsort((found["j"], found["i"]))
    first = np.searchsorted(found["i"][order], np.arange(len(sites) + 1))
    return CoverTable(traffic, sites, coverage_m, first, found["j"][order], found["v"][order])


def _lattice(traffic: Traffic, coverage_m: float) -> Sites:
    """Return a grid of places on the traffic, a quarter of the coverage apart or, if too many, more."""
    step = 0.25 * coverage_m
    while True:
        key = np.unique(np.column_stack([np.floor(traffic.x_m / step), np.floor(traffic.y_m / step)]), axis=0)
        if len(key) <= _MOST_CANDIDATES:
            return Sites.of((key[:, 0] + 0.5) * step, (key[:, 1] + 0.5) * step)
        step *= 1.25
