"""Corridor placement: RSUs in chains along busy streets, so that vehicles pass from one to the next.

Sites are added one by one. What a site is worth is the vehicle-seconds it newly covers, plus
``handoff_value_s`` for every vehicle that would pass between it and its neighbours. Each covered place
belongs to its nearest site; where such areas meet within coverage of both, vehicles are handed off, and the
map of traffic by direction tells how many cross: metres driven in a strip along the border, times the cosine
to the border's normal, over the width of the strip. A site that only moves a border gains the difference.
"""

from __future__ import annotations

import numpy as np

from fleetlora.errors import ConfigError
from fleetlora.roadside.coverage import Candidates, CoverTable
from fleetlora.roadside.placement import PLACEMENTS
from fleetlora.roadside.ragged import Floats, Ints
from fleetlora.roadside.sites import Sites
from fleetlora.roadside.traffic import DIRECTIONS
from fleetlora.settings import quantity
from fleetlora.traces import Tracks

__all__ = ["Corridor", "corridor_choice"]


@PLACEMENTS.register("corridor")
class Corridor(Candidates):
    """RSUs in chains with overlapping coverage, where the most vehicles pass from one to the next."""

    parked: bool = quantity(False, "1", "whether the time of parked vehicles counts")
    min_spacing: float = quantity(0.8, "coverage", "least distance between two RSUs", gt=0, le=2)
    max_spacing: float = quantity(
        1.4, "coverage", "greatest distance at which handoffs between two RSUs count", gt=0, le=2
    )
    handoff_value_s: float = quantity(
        120.0,
        "s",
        "vehicle-seconds of new coverage that one handoff is worth; 0 only keeps sites apart",
        ge=0,
    )

    def place(self, tracks: Tracks, coverage_m: float) -> Sites:
        """Return the sites, best first; see :class:`~fleetlora.roadside.Placement`."""
        table = self.cover_table(tracks, coverage_m)
        spacing_m = (self.min_spacing * coverage_m, self.max_spacing * coverage_m)
        return table.sites.take(corridor_choice(table, self.count, spacing_m, self.handoff_value_s))


def corridor_choice(
    table: CoverTable, count: int, spacing_m: tuple[float, float], handoff_value_s: float
) -> Ints:
    """Return the (count,) candidates in the order chosen; ties go to the earliest candidate.

    Args:
        table: The candidates and what they cover.
        count: How many to choose.
        spacing_m: Least distance between two sites, and the greatest at which handoffs count, metres.
        handoff_value_s: Vehicle-seconds that one handoff is worth.

    Raises:
        ConfigError: There is no room for so many at this spacing.
    """
    areas = _Areas(table, spacing_m[1], handoff_value_s)
    gain = areas.gains(np.arange(len(table.sites)))
    barred = np.zeros(len(gain), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < count:
        if barred.all():
            raise ConfigError(
                f"only {len(chosen)} RSUs fit at least {spacing_m[0]:,.0f} m apart, {count} are asked for",
                where="sites.min_spacing",
                mend=f"ask for at most {len(chosen)}, or lower min_spacing",
            )
        best = int(np.argmax(np.where(barred, -np.inf, gain)))
        chosen.append(best)
        areas.add(best)
        barred[table.within(best, spacing_m[0])] = True
        changed = table.within(best, 3.0 * table.coverage_m)
        changed = changed[~barred[changed]]
        gain[changed] = areas.gains(changed)
    return np.array(chosen)


class _Areas:
    """Which chosen site each cell belongs to, its runner-up, and the handoffs between them."""

    def __init__(self, table: CoverTable, farthest_m: float, handoff_value_s: float) -> None:
        self.table, self.farthest_m, self.handoff_value_s = table, farthest_m, handoff_value_s
        cells = len(table.traffic)
        self.away = np.full((2, cells), np.inf)
        self.owner = np.full((2, cells), -1, dtype=np.int64)
        self.flow = np.zeros(cells)

    def add(self, site: int) -> None:
        """Give a newly chosen site its cells."""
        pairs = slice(int(self.table.first[site]), int(self.table.first[site + 1]))
        cell, away = self.table.cell[pairs], self.table.away_m[pairs]
        first = away < self.away[0, cell]
        second = ~first & (away < self.away[1, cell])
        for column, value in ((self.away, away), (self.owner, np.full(len(cell), site))):
            column[1, cell[first]] = column[0, cell[first]]
            column[0, cell[first]] = value[first]
            column[1, cell[second]] = value[second]
        both = cell[self.owner[1, cell] >= 0]
        one, other = self.owner[:, both]
        self.flow[both] = self.crossings(both, one, other, self.away[0, both], self.away[1, both])

    def gains(self, candidates: Ints) -> Floats:
        """Return what adding each of (n,) candidates is worth, vehicle-seconds."""
        owner, position = self.table.pairs(candidates)
        cell, away = self.table.cell[position], self.table.away_m[position]
        nearest = self.owner[0, cell]
        worth = np.where(nearest < 0, self.table.traffic.seconds[cell], 0.0)
        taken = (nearest >= 0) & (away < self.away[1, cell])
        mine = np.flatnonzero(taken)
        new = self.crossings(
            cell[mine], nearest[mine], candidates[owner[mine]], self.away[0, cell[mine]], away[mine]
        )
        worth[mine] += self.handoff_value_s * (new - self.flow[cell[mine]])
        return np.asarray(np.bincount(owner, worth, minlength=len(candidates)), dtype=np.float64)

    def crossings(self, cell: Ints, one: Ints, other: Ints, away_one: Floats, away_other: Floats) -> Floats:
        """Return how many vehicles pass from ``one`` to ``other`` or back in each cell near their border."""
        traffic, sites = self.table.traffic, self.table.sites
        dx, dy = sites.x_m[other] - sites.x_m[one], sites.y_m[other] - sites.y_m[one]
        apart = np.maximum(np.hypot(dx, dy), 1e-9)
        width = 2.0 * traffic.cell_m
        from_border = np.abs(away_one**2 - away_other**2) / (2.0 * apart)
        near = np.flatnonzero((from_border <= 0.5 * width) & (apart <= self.farthest_m))
        normal = np.arctan2(dy[near], dx[near])[:, None] - np.arange(DIRECTIONS) * np.pi / DIRECTIONS
        across = (traffic.metres[cell[near]] * np.abs(np.cos(normal))).sum(axis=1)
        passing = np.zeros(len(cell))
        passing[near] = across / width
        return passing
