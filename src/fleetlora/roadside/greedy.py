"""Greedy placement: each RSU where it covers the most vehicle-seconds that no other covers yet.

The classic for maximum coverage: never worse than 1 − 1/e of the best possible (Nemhauser, Wolsey and Fisher
1978, doi:10.1007/BF01588971). It spreads the sites apart; for vehicles that pass from RSU to RSU see
:mod:`fleetlora.roadside.corridor`.
"""

from __future__ import annotations

import numpy as np

from fleetlora.roadside.coverage import Candidates, CoverTable
from fleetlora.roadside.placement import PLACEMENTS
from fleetlora.roadside.ragged import Ints, expand
from fleetlora.roadside.sites import Sites
from fleetlora.traces import Tracks

__all__ = ["Greedy", "greedy_choice"]


@PLACEMENTS.register("greedy")
class Greedy(Candidates):
    """RSUs one by one, each where it adds the most covered vehicle-seconds."""

    def place(self, tracks: Tracks, coverage_m: float) -> Sites:
        """Return the sites, best first; see :class:`~fleetlora.roadside.Placement`."""
        table = self.cover_table(tracks, coverage_m)
        return table.sites.take(greedy_choice(table, self.count))


def greedy_choice(table: CoverTable, count: int) -> Ints:
    """Return the (count,) candidates in the order chosen; ties go to the earliest candidate."""
    owner, position = table.pairs(np.arange(len(table.sites)))
    by_cell = np.argsort(table.cell, kind="stable")
    cell_first = np.searchsorted(table.cell[by_cell], np.arange(len(table.traffic) + 1))
    left = table.traffic.seconds.copy()
    gain = np.bincount(owner, left[table.cell[position]], minlength=len(table.sites))
    chosen: list[int] = []
    for _ in range(count):
        best = int(np.argmax(gain))
        chosen.append(best)
        cells = table.cell[table.first[best] : table.first[best + 1]]
        lost = cells[left[cells] > 0]
        which, pair = expand(cell_first[lost], cell_first[lost + 1] - cell_first[lost])
        gain -= np.bincount(owner[by_cell[pair]], left[lost][which], minlength=len(gain))
        left[lost] = 0.0
        gain[best] = -np.inf
    return np.array(chosen)
