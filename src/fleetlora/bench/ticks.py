"""Contacts as one would write them first: a clock that ticks, and a k-d tree of the sites asked at each tick.

The rules are those of :mod:`fleetlora.roadside.serving`, as far as a tick can tell, for all vehicles at once.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from fleetlora.roadside import Sites
from fleetlora.traces import Tracks

__all__ = ["TickedContacts"]


class TickedContacts:
    """Who serves each vehicle, tick by tick.

    Args:
        tracks: Where the vehicles go.
        sites: Where the RSUs stand.
        coverage_m: Reach of an RSU, metres.
        ratio: How many times farther the serving RSU must be than a neighbour.
        trigger_s: For how long.
        tick_s: Seconds from tick to tick.
    """

    def __init__(
        self, tracks: Tracks, sites: Sites, coverage_m: float, ratio: float, trigger_s: float, tick_s: float
    ) -> None:
        self.tracks, self.coverage_m, self.ratio = tracks, coverage_m, ratio
        self.trigger_s, self.tick_s = trigger_s, tick_s
        self.places = np.column_stack([sites.x_m, sites.y_m])
        self.tree = cKDTree(self.places)
        self.none = len(sites)

    def start(self, t_s: float, rsu: np.ndarray) -> None:
        """Begin at ``t_s`` with what serves the vehicles then, (V,) and −1 for none."""
        tracks = self.tracks
        self.now = t_s
        self.rsu = np.where(rsu < 0, self.none, rsu)
        self.better_since = np.full(tracks.n_vehicles, np.inf)
        self.rival = np.full(tracks.n_vehicles, self.none)
        first, last = tracks.offsets[:-1], tracks.offsets[1:]
        self.leg = np.array(
            [a + np.searchsorted(tracks.t_s[a:b], t_s, "right") - 1 for a, b in zip(first, last, strict=True)]
        )
        self.first, self.last = first, last - 1

    def step(self) -> np.ndarray:
        """Go on by one tick; return who serves each vehicle then, −1 for none."""
        self.now += self.tick_s
        t, x, y = self.tracks.t_s, self.tracks.x_m, self.tracks.y_m
        while True:
            behind = (self.leg < self.last) & (t[np.minimum(self.leg + 1, self.last)] <= self.now)
            if not behind.any():
                break
            self.leg += behind
        here = np.flatnonzero((self.leg >= self.first) & (self.leg < self.last))
        here = here[~self.tracks.new_piece[self.leg[here] + 1]]
        leg = self.leg[here]
        share = (self.now - t[leg]) / (t[leg + 1] - t[leg])
        place = np.column_stack(
            [x[leg] + share * (x[leg + 1] - x[leg]), y[leg] + share * (y[leg + 1] - y[leg])]
        )
        away, nearest = self.tree.query(place, distance_upper_bound=self.coverage_m)
        serving = self.rsu[here]
        attached = np.flatnonzero(serving < self.none)
        d = np.full(len(here), np.inf)
        d[attached] = np.hypot(*(place[attached] - self.places[serving[attached]]).T)
        lost = d > self.coverage_m  # or never attached
        better = ~lost & (d > self.ratio * away) & (nearest != serving)
        same = better & (self.rival[here] == nearest)
        since = np.where(better, np.where(same, self.better_since[here], self.now), np.inf)
        changes = lost | (self.now - since >= self.trigger_s)
        self.rsu[:], rsu = self.none, np.where(changes, nearest, serving)
        self.rsu[here] = rsu
        self.better_since[here] = np.where(changes, np.inf, since)
        self.rival[here] = np.where(better & ~changes, nearest, self.none)
        return np.where(self.rsu == self.none, -1, self.rsu)
