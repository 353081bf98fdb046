"""Who can hear whom when: coverage of sites over stretches of track, exactly, before any choice is made.

On a leg the position is p0 + u·Δ for u in [0, 1], so the squared distance to a site is the quadratic
|Δ|²·u² + 2·(p0 − s)·Δ·u + |p0 − s|², and it is within coverage on one interval of u: a *pass*. Passes that
join at fixes make a *visit*: the whole time a site covers a vehicle without a break.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fleetlora.roadside.quadratic import dips_below_zero, span_below_zero
from fleetlora.roadside.ragged import Bools, Floats, Ints, bisect
from fleetlora.roadside.reach import SiteIndex
from fleetlora.traces import Tracks

__all__ = ["Passes", "Stretch", "find_passes", "stretches"]


@dataclass(frozen=True)
class Stretch:
    """Consecutive whole pieces of the tracks: the unit of work.

    Leg k goes from fix k to fix k + 1, both counted within the stretch; between two pieces it is no leg, and
    its cell is one without sites.

    Attributes:
        t_s: (n,) time of each fix, seconds.
        x_m: (n,) position east, metres.
        y_m: (n,) position north, metres.
        vehicle: (n,) vehicle of each fix.
        dx_m: (n − 1,) way east on each leg, metres.
        dy_m: (n − 1,) way north, metres.
        length2: (n − 1,) squared length, m²; NaN for what is no leg.
        cell: (n − 1,) where the site index looks each leg up.
    """

    t_s: Floats
    x_m: Floats
    y_m: Floats
    vehicle: Ints
    dx_m: Floats
    dy_m: Floats
    length2: Floats
    cell: Ints

    def time(self, leg: Ints, u: Floats) -> Floats:
        """Return the times at share ``u`` of each leg; exact at u = 0 and u = 1."""
        start, end = self.t_s[leg], self.t_s[1:][leg]
        return np.where(u == 1.0, end, start + u * (end - start))

    def share(self, leg: Ints, t_s: Floats) -> Floats:
        """Return the share of each leg that is over at a time within it."""
        start = self.t_s[leg]
        return (t_s - start) / (self.t_s[1:][leg] - start)

    def leg_at(self, first: Ints, last: Ints, t_s: Floats) -> Ints:
        """Return which of the legs ``first`` to ``last``, all of one piece, holds each time."""
        return bisect(self.t_s, first + 1, last + 1, t_s) - 1


def stretches(tracks: Tracks, index: SiteIndex, most_fixes: int, most_rows: int) -> Iterator[Stretch]:
    """Cut tracks into stretches that fit in memory.

    Args:
        tracks: The tracks.
        index: The sites that will be looked for.
        most_fixes: Fixes in a stretch, unless a single piece has more.
        most_rows: Pairs of leg and candidate site in a stretch, unless a single piece has more.
    """
    pieces = np.append(np.flatnonzero(tracks.new_piece), tracks.n_fixes)
    first = 0
    while first < len(pieces) - 1:
        last = int(np.searchsorted(pieces, pieces[first] + most_fixes, side="right")) - 1
        last = max(last, first + 1)
        stretch = _stretch(tracks, index, int(pieces[first]), int(pieces[last]))
        rows = np.cumsum(index.counts(stretch.cell))
        if len(rows) and rows[-1] > most_rows:
            full = pieces[first] + int(np.searchsorted(rows, most_rows))
            fewer = max(int(np.searchsorted(pieces, full, side="right")) - 1, first + 1)
            if fewer < last:
                last = fewer
                stretch = _stretch(tracks, index, int(pieces[first]), int(pieces[last]))
        yield stretch
        first = last


def _stretch(tracks: Tracks, index: SiteIndex, begin: int, end: int) -> Stretch:
    x, y = tracks.x_m[begin:end], tracks.y_m[begin:end]
    dx, dy = np.diff(x), np.diff(y)
    length2 = dx * dx + dy * dy
    length2[tracks.new_piece[begin + 1 : end]] = np.nan
    owners = slice(*np.searchsorted(tracks.offsets, [begin, end - 1], side="right") - [1, 0])
    bounds = np.clip(tracks.offsets[owners.start : owners.stop + 1], begin, end)
    return Stretch(
        t_s=tracks.t_s[begin:end],
        x_m=x,
        y_m=y,
        vehicle=np.repeat(np.arange(owners.start, owners.stop, dtype=np.int32), np.diff(bounds)),
        dx_m=dx,
        dy_m=dy,
        length2=length2,
        cell=index.cells(x[:-1] + 0.5 * dx, y[:-1] + 0.5 * dy, length2),
    )


@dataclass(frozen=True)
class Passes:
    """The passes of a stretch, ordered by leg, then site, and the visits they make.

    Attributes:
        leg: (P,) leg of each pass.
        site: (P,) its site.
        first: (n,) position of each leg's first pass.
        length2: (P,) squared length of the leg, m².
        start_d2: (P,) squared distance to the site at the leg's start, m².
        end_d2: (P,) squared distance at its end.
        slope: (P,) (p0 − s)·Δ: half the rate of the squared distance at the start, per leg.
        u_in: (P,) where on the leg coverage begins, in [0, 1].
        u_out: (P,) where it ends.
        from_start: (P,) whether the leg's start is covered.
        to_end: (P,) whether its end is.
        row: (P,) the passes ordered by site, then leg, so that those of a visit follow one another.
        rank: (P,) where each pass stands in ``row``.
        visit: (P,) visit of each pass.
        visit_first: (W,) where in ``row`` each visit begins.
        visit_last: (W,) where it ends.
        enter_s: (W,) when the visit begins, seconds.
        leave_s: (W,) when it ends.
    """

    leg: Ints
    site: Ints
    first: Ints
    length2: Floats
    start_d2: Floats
    end_d2: Floats
    slope: Floats
    u_in: Floats
    u_out: Floats
    from_start: Bools
    to_end: Bools
    row: Ints
    rank: Ints
    visit: Ints
    visit_first: Ints
    visit_last: Ints
    enter_s: Floats
    leave_s: Floats

    def distance2(self, row: Ints, u: Floats) -> Floats:
        """Return the squared distance to the site at share ``u`` of the leg of each pass, m²."""
        return self.start_d2[row] + u * (2.0 * self.slope[row] + u * self.length2[row])

    @cached_property
    def first_leg(self) -> Ints:
        """(W,) the leg on which each visit begins."""
        return self.leg[self.row[self.visit_first]]

    @cached_property
    def last_leg(self) -> Ints:
        """(W,) the leg on which each visit ends."""
        return self.leg[self.row[self.visit_last]]


def find_passes(stretch: Stretch, index: SiteIndex, x_m: Floats, y_m: Floats, coverage_m: float) -> Passes:
    """Find every pass of a stretch within ``coverage_m`` of a site at (``x_m``, ``y_m``)."""
    limit = coverage_m * coverage_m
    leg, site = _in_strip(stretch, index, x_m, y_m, limit)
    x0, y0 = stretch.x_m[leg] - x_m[site], stretch.y_m[leg] - y_m[site]
    x1, y1 = stretch.x_m[1:][leg] - x_m[site], stretch.y_m[1:][leg] - y_m[site]
    start_d2, end_d2 = x0 * x0 + y0 * y0, x1 * x1 + y1 * y1
    slope, length2 = x0 * stretch.dx_m[leg] + y0 * stretch.dy_m[leg], stretch.length2[leg]
    from_start, to_end = start_d2 <= limit, end_d2 <= limit
    found = np.flatnonzero(from_start | to_end | dips_below_zero(length2, slope, start_d2 - limit))
    leg, site, slope, length2 = leg[found], site[found], slope[found], length2[found]
    start_d2, end_d2 = start_d2[found], end_d2[found]
    from_start, to_end = from_start[found], to_end[found]
    u_in, u_out = span_below_zero(length2, slope, start_d2 - limit, from_start, to_end)

    row = np.argsort(site * np.int64(len(stretch.t_s)) + leg)
    visit, first, last = _visits(leg[row], site[row], from_start[row])
    rank = np.empty_like(row)
    rank[row] = np.arange(len(row))
    return Passes(
        leg=leg,
        site=site,
        first=np.searchsorted(leg, np.arange(len(stretch.t_s))),
        length2=length2,
        start_d2=start_d2,
        end_d2=end_d2,
        slope=slope,
        u_in=u_in,
        u_out=u_out,
        from_start=from_start,
        to_end=to_end,
        row=row,
        rank=rank,
        visit=visit[rank],
        visit_first=first,
        visit_last=last,
        enter_s=stretch.time(leg[row[first]], u_in[row[first]]),
        leave_s=stretch.time(leg[row[last]], u_out[row[last]]),
    )


def _in_strip(
    stretch: Stretch, index: SiteIndex, x_m: Floats, y_m: Floats, limit: float
) -> tuple[Ints, Ints]:
    """Return the candidate pairs of leg and site for which the line through the leg comes near enough."""
    leg, site = index.candidates(stretch.cell)
    x0, y0 = stretch.x_m[leg] - x_m[site], stretch.y_m[leg] - y_m[site]
    across = x0 * stretch.dy_m[leg] - y0 * stretch.dx_m[leg]
    near = np.flatnonzero(across * across <= (stretch.length2 * (limit * (1.0 + 1e-9)))[leg])
    return leg[near], site[near]


def _visits(leg: Ints, site: Ints, from_start: Bools) -> tuple[Ints, Ints, Ints]:
    """Join passes, ordered by site and leg, that meet at a fix; return visit, first and last of each."""
    opens = np.ones(len(leg), dtype=bool)
    opens[1:] = (site[1:] != site[:-1]) | (leg[1:] != leg[:-1] + 1) | ~from_start[1:]
    first = np.flatnonzero(opens)
    return np.cumsum(opens) - 1, first, np.append(first[1:], len(leg))[: len(first)] - 1
