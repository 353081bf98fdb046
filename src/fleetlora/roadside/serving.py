"""Which RSU serves each vehicle: the state machine of association, one step for all vehicles at once.

A vehicle without an RSU attaches to the nearest site the moment one covers it. Attached to i it hands off to
j by event A3 of 3GPP TS 38.331 §5.5.4.4, the moment d_i > ratio·d_j has held without a break for the
time-to-trigger (distances in three dimensions; with equal powers and a mean path loss that is a function of
distance, the ratio is the hysteresis). When it leaves i's coverage it goes on at once with the nearest other
site that covers it, or with none. The end of a piece of track ends everything.

Spans of time between which no site covers a vehicle do not know of each other, so every step advances all
such spans of a stretch by one contact each, and a span with a single site needs no step. Only the sites that
cover a vehicle along the visit it is in are compared with the one that serves it: a step needs at most as
many rows as there are passes, however densely the sites stand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fleetlora.roadside.passes import Passes, Stretch
from fleetlora.roadside.quadratic import dips_below_zero, span_below_zero
from fleetlora.roadside.ragged import Bools, Floats, Ints, expand, group_starts

__all__ = ["HANDED_OFF", "LEFT_COVERAGE", "TRACK_ENDED", "A3Event", "ContactRows", "serve"]

LEFT_COVERAGE, HANDED_OFF, TRACK_ENDED = 0, 1, 2


class A3Event(NamedTuple):
    """When a neighbour takes over: distance ratio, time-to-trigger, and height of the RSUs above vehicles."""

    distance_ratio: float
    time_to_trigger_s: float
    height_m: float


class ContactRows(NamedTuple):
    """Contacts of a stretch, ordered by vehicle, then time."""

    vehicle: Ints
    site: Ints
    t_in_s: Floats
    t_out_s: Floats
    handoff: Bools
    end: Ints


class _Active(NamedTuple):
    """The spans still going: the visit each is in, since when, and whether that began as a handoff."""

    visit: Ints
    t_in_s: Floats
    handoff: Bools

    def take(self, rows: Ints | Bools) -> _Active:
        return _Active(self.visit[rows], self.t_in_s[rows], self.handoff[rows])


def serve(stretch: Stretch, passes: Passes, event: A3Event) -> ContactRows:
    """Return every contact of a stretch of track."""
    return _Server(stretch, passes, event).run()


class _Server:
    def __init__(self, stretch: Stretch, passes: Passes, event: A3Event) -> None:
        self.stretch, self.passes, self.event = stretch, passes, event
        self.visit_site = passes.site[passes.row[passes.visit_first]]
        self.outlasts_piece = passes.to_end[passes.row[passes.visit_last]]
        self.piece_ends = np.flatnonzero(np.isnan(stretch.length2))

    def run(self) -> ContactRows:
        first, span, alone = self.spans()
        p = self.passes
        lone = first[alone]
        end = np.where(self.outlasts_piece[lone], TRACK_ENDED, LEFT_COVERAGE)
        done = [(lone, p.enter_s[lone], p.leave_s[lone], np.zeros(len(lone), dtype=bool), end)]
        visit = first[~alone]
        active = _Active(visit, p.enter_s[visit], np.zeros(len(visit), dtype=bool))
        while len(active.visit):
            t_out, end, following = self.advance(active)
            lasted = t_out > active.t_in_s
            rows = active.take(lasted)
            done.append((rows.visit, rows.t_in_s, t_out[lasted], rows.handoff, end[lasted]))
            # A contact of no length leaves no row; what follows it began as it did.
            following = following._replace(handoff=np.where(lasted, following.handoff, active.handoff))
            active = following.take(following.visit >= 0)
        return self.in_order(span, *(np.concatenate(column) for column in zip(*done, strict=True)))

    def spans(self) -> tuple[Ints, Ints, Bools]:
        """Part the visits of each piece into spans of time in which some site covers the vehicle.

        Returns:
            The visit each span begins with: the first to come, the nearest if several are there at once; the
            span of each visit (−1 for a visit of no length); whether a span is a single visit.
        """
        p = self.passes
        order = self.arrivals()
        enter, leave = p.enter_s[order], p.leave_s[order]
        by_leave = np.argsort(leave)
        rank = np.empty_like(by_leave)
        rank[by_leave] = np.arange(len(rank))
        piece = np.searchsorted(self.piece_ends, p.first_leg[order])
        latest = leave[by_leave[np.maximum.accumulate(piece * len(rank) + rank) % max(len(rank), 1)]]
        opens = np.ones(len(order), dtype=bool)
        opens[1:] = (piece[1:] != piece[:-1]) | (enter[1:] >= latest[:-1])
        span = np.full(len(p.enter_s), -1, dtype=np.int64)
        span[order] = np.cumsum(opens) - 1
        first = np.flatnonzero(opens)
        return order[first], span, np.diff(np.append(first, len(order))) == 1

    def arrivals(self) -> Ints:
        """Return the visits of some length by entry; the nearest first where several are there at once."""
        p = self.passes
        opens = np.zeros(len(p.leg), dtype=bool)
        opens[p.row[p.visit_first[p.leave_s > p.enter_s]]] = True
        opening = np.flatnonzero(opens)  # ordered by leg, then site
        leg = p.leg[opening]
        same = np.zeros(len(leg) + 1, dtype=bool)
        same[1:-1] = leg[1:] == leg[:-1]
        shared = np.flatnonzero(same[1:] | same[:-1])
        mixed = opening[shared]
        away = p.distance2(mixed, p.u_in[mixed])
        opening[shared] = mixed[np.lexsort((away, p.u_in[mixed], leg[shared]))]
        return p.visit[opening]

    def in_order(
        self, span: Ints, visit: Ints, t_in_s: Floats, t_out_s: Floats, handoff: Bools, end: Ints
    ) -> ContactRows:
        """Lay the contacts out by span; within a span the steps already follow in time."""
        order = np.argsort(span[visit], kind="stable")
        visit, t_in_s, t_out_s = visit[order], t_in_s[order], t_out_s[order]
        handoff, end = handoff[order], end[order]
        vehicle = self.stretch.vehicle[self.passes.first_leg[visit]]
        site = self.visit_site[visit].astype(np.int32)
        # Two sites whose coverage just touches: one span ends the moment the next begins.
        touching = (t_in_s[1:] == t_out_s[:-1]) & (vehicle[1:] == vehicle[:-1]) & (site[1:] != site[:-1])
        handoff[1:] |= touching
        end[:-1][touching] = HANDED_OFF
        return ContactRows(vehicle, site, t_in_s, t_out_s, handoff, end.astype(np.int8))

    def advance(self, active: _Active) -> tuple[Floats, Ints, _Active]:
        """Return when and how the present contacts end, and what follows (visit −1: nothing)."""
        trigger_s, visit = self.next_handoff(active)
        leaving = np.flatnonzero(visit < 0)
        gone = active.visit[leaving]
        t_out = trigger_s
        t_out[leaving] = self.passes.leave_s[gone]
        visit[leaving] = self.nearest_cover(gone)
        handoff = visit >= 0
        end = np.where(handoff, HANDED_OFF, LEFT_COVERAGE)
        end[leaving[self.outlasts_piece[gone]]] = TRACK_ENDED
        return t_out, end, _Active(visit, t_out, handoff)

    def nearest_cover(self, gone: Ints) -> Ints:
        """Return the nearest other visit going on when each visit ``gone`` ends, −1 if there is none."""
        p = self.passes
        leg, row = p.last_leg[gone], p.row[p.visit_last[gone]]
        owner, other = expand(p.first[leg], p.first[leg + 1] - p.first[leg])
        visit, t = p.visit[other], p.leave_s[gone][owner]
        covers = (p.enter_s[visit] < t) & (t < p.leave_s[visit])
        owner, other = owner[covers], other[covers]
        away = p.distance2(other, p.u_out[row[owner]])
        order = np.lexsort((away, owner))  # stable: the first site wins a tie
        first = order[group_starts(owner[order])]
        nearest = np.full(len(gone), -1, dtype=np.int64)
        nearest[owner[first]] = p.visit[other[first]]
        return nearest

    def next_handoff(self, active: _Active) -> tuple[Floats, Ints]:
        """Return the first A3 handoff of each contact, if it comes while the visit lasts.

        Returns:
            (n,) time in seconds, ``inf`` if there is none; (n,) the visit handed off to, −1 if there is none.
        """
        p = self.passes
        trigger_s = np.full(len(active.visit), np.inf)
        target = np.full(len(active.visit), -1, dtype=np.int64)
        start_leg = self.stretch.leg_at(p.first_leg[active.visit], p.last_leg[active.visit], active.t_in_s)
        owner, one, other = self.rivals(active.visit, start_leg)
        owner, other, begin_s, until_s = self.better_spells(owner, one, other)
        ready_s = np.maximum(begin_s, active.t_in_s[owner]) + self.event.time_to_trigger_s
        due = np.flatnonzero(until_s > ready_s)
        owner, other, ready_s = owner[due], other[due], ready_s[due]
        np.minimum.at(trigger_s, owner, ready_s)
        first = np.flatnonzero(ready_s == trigger_s[owner])
        winner = self.nearest_of(owner[first], other[first], ready_s[first])
        target[owner[first[winner]]] = p.visit[other[first[winner]]]
        return trigger_s, target

    def rivals(self, visit: Ints, start_leg: Ints) -> tuple[Ints, Ints, Ints]:
        """Pair each pass of the visits, from ``start_leg`` on, with every other pass on its leg."""
        p = self.passes
        skipped = start_leg - p.first_leg[visit]
        contact, position = expand(
            p.visit_first[visit] + skipped, p.visit_last[visit] + 1 - p.visit_first[visit] - skipped
        )
        own = p.row[position]
        leg = p.leg[own]
        crowded = p.first[leg + 1] - p.first[leg] > 1
        contact, own, leg = contact[crowded], own[crowded], leg[crowded]
        which, other = expand(p.first[leg], p.first[leg + 1] - p.first[leg])
        apart = other != own[which]
        which, other = which[apart], other[apart]
        return contact[which], own[which], other

    def better_spells(self, owner: Ints, one: Ints, other: Ints) -> tuple[Ints, Ints, Floats, Floats]:
        """Find when ``other`` is better than the serving site ``one`` by the ratio, joined over legs.

        Returns:
            Owner, a pass of the other site, begin and end in seconds of each unbroken spell.
        """
        p = self.passes
        ratio2, height2 = self.event.distance_ratio**2, self.event.height_m**2
        c = ratio2 * (p.start_d2[other] + height2) - (p.start_d2[one] + height2)
        c_end = ratio2 * (p.end_d2[other] + height2) - (p.end_d2[one] + height2)
        a = (ratio2 - 1.0) * p.length2[one]
        b = ratio2 * p.slope[other] - p.slope[one]
        at_start, at_end = c < 0, c_end < 0
        found = at_start | at_end | dips_below_zero(a, b, c)
        owner, one, other = owner[found], one[found], other[found]
        at_start, at_end = at_start[found], at_end[found]
        begin, until = span_below_zero(a[found], b[found], c[found], at_start, at_end)
        begin = np.maximum(begin, np.maximum(p.u_in[one], p.u_in[other]))
        until = np.minimum(until, np.minimum(p.u_out[one], p.u_out[other]))
        joins_last = at_start & p.from_start[one] & p.from_start[other]
        real = until > begin
        owner, other, joins_last = owner[real], other[real], joins_last[real]
        leg = p.leg[other]
        order = np.lexsort((leg, p.site[other], owner))
        owner, other, leg, joins_last = owner[order], other[order], leg[order], joins_last[order]
        begin_s = self.stretch.time(leg, begin[real][order])
        until_s = self.stretch.time(leg, until[real][order])
        opens = np.ones(len(owner), dtype=bool)
        opens[1:] = ~joins_last[1:] | (owner[1:] != owner[:-1]) | (leg[1:] != leg[:-1] + 1)
        opens[1:] |= p.site[other[1:]] != p.site[other[:-1]]
        first = np.flatnonzero(opens)
        last = np.append(first[1:], len(opens))[: len(first)] - 1
        return owner[first], other[first], begin_s[first], until_s[last]

    def nearest_of(self, owner: Ints, other: Ints, t_s: Floats) -> Ints:
        """Return, for each owner, the row whose site is nearest at ``t_s``."""
        starts = group_starts(owner)
        if len(starts) == len(owner):
            return starts
        p = self.passes
        leg = self.stretch.leg_at(p.leg[other], p.last_leg[p.visit[other]], t_s)
        row = p.row[p.rank[other] + (leg - p.leg[other])]
        share = self.stretch.share(leg, t_s)
        order = np.lexsort((p.site[other], p.distance2(row, share), owner))
        return order[group_starts(owner[order])]
