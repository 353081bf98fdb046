"""Where an RSU's aggregator takes updates from: at once and each once, or as faulty delivery brings them.

Vehicles stamp an update with their own clock when it is through. A round is over by the RSU's clock, and an
update belongs to the round whose number it carries, whatever the stamp says. The stamp tells only how long
the update took, which lowers its vehicle's reward; an RSU believes one that lies in the round and near its
own clock, and puts its own time in the place of any other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fleetlora.faults import Delivery, Events, FaultSettings, Mail, take_once
from fleetlora.faults.settings import ClockSkew
from fleetlora.federation.flight import Flight, Started
from fleetlora.rng import stream

__all__ = ["FaultyInbox", "Inbox", "inbox_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Inbox:
    """Takes every update that is through, at once."""

    def take(
        self, round: int, begins_s: float, closes_s: float, started: Started, flight: Flight
    ) -> tuple[Flight, Events]:
        """Return what reached the aggregators of a round, and what went wrong on the way.

        Args:
            round: Number of the round.
            begins_s: When it began.
            closes_s: When it is over at the latest.
            started: The updates.
            flight: What became of them on the road.
        """
        return flight, Events.none()


class FaultyInbox(Inbox):
    """Takes updates once that come twice, refuses late ones, and mends stamps.

    Args:
        delivery: How updates are delivered; at once if not given.
        clocks: How vehicles' clocks are off; not at all if not given.
        n_vehicles: Number of vehicles.
        seed: The experiment's seed.
    """

    def __init__(
        self, delivery: Delivery | None, clocks: ClockSkew | None, n_vehicles: int, seed: int
    ) -> None:
        self.delivery, self.clocks, self.seed = delivery, clocks, seed
        draws = stream(seed, "faults", "clock_skew").standard_normal((2, n_vehicles))
        self.offset_s = draws[0] * (clocks.offset_s if clocks else 0.0)
        self.rate = draws[1] * (1e-6 * clocks.rate_ppm if clocks else 0.0)

    def take(
        self, round: int, begins_s: float, closes_s: float, started: Started, flight: Flight
    ) -> tuple[Flight, Events]:
        """Return what reached the aggregators of a round, and what went wrong on the way."""
        stamped_s = flight.end_s + self.skew_s(started.vehicle, flight.end_s)
        flight, delivered = self._delivered(round, closes_s, started, flight)
        flight, mended = self._stamped(begins_s, closes_s, stamped_s, started, flight)
        return flight, Events.joined([delivered, mended])

    def skew_s(self, vehicle: Ints, at_s: Floats) -> Floats:
        """Return (n,) how far ahead the vehicles' clocks are."""
        return np.asarray(self.offset_s[vehicle] + self.rate[vehicle] * at_s)

    def _delivered(
        self, round: int, closes_s: float, started: Started, flight: Flight
    ) -> tuple[Flight, Events]:
        """Return the flight as the aggregators see it: updates held up beyond the round are lost."""
        through = np.flatnonzero(flight.arrived)
        if self.delivery is None or not len(through):
            return flight, Events.none()
        sent_s = flight.end_s[through]
        mail = Mail.drawn(sent_s, self.delivery, stream(self.seed, "faults", "delivery", round))
        # a hand-off over a slow backhaul may be through when the round should be over: the round waits for it
        taken = take_once(mail, len(through), max(closes_s, float(sent_s.max())))
        end_s, outcome = flight.end_s.copy(), flight.outcome.copy()
        came = np.isfinite(taken.comes_s)
        end_s[through] = np.where(came, taken.comes_s, np.maximum(closes_s, sent_s))
        outcome[through[~came]] = "lost"
        events = [
            _of_updates(
                kind, started, through[mail.update[rows]], sent_s[mail.update[rows]], mail.comes_s[rows]
            )
            for kind, rows in (("duplicate", taken.duplicate), ("late", taken.late))
        ]
        passed = _overtaken(sent_s, taken.comes_s)
        events.append(
            _of_updates("reordered", started, through[passed], sent_s[passed], taken.comes_s[passed])
        )
        return replace(flight, end_s=end_s, outcome=outcome), Events.joined(events)

    def _stamped(
        self, begins_s: float, closes_s: float, stamped_s: Floats, started: Started, flight: Flight
    ) -> tuple[Flight, Events]:
        """Return the flight with the stamps that the RSUs believe, and their own time for the others."""
        if self.clocks is None:
            return replace(flight, stamp_s=flight.end_s), Events.none()
        skew_s = stamped_s - flight.end_s
        believed = (
            (stamped_s >= begins_s) & (stamped_s <= closes_s) & (np.abs(skew_s) <= self.clocks.tolerance_s)
        )
        mended = np.flatnonzero(flight.arrived & ~believed)
        events = _of_updates("clock_skew", started, mended, flight.end_s[mended], flight.end_s[mended])
        stamp_s = np.where(believed & flight.arrived, stamped_s, flight.end_s)
        return replace(flight, stamp_s=stamp_s), replace(events, value=skew_s[mended])


def inbox_of(faults: FaultSettings, n_vehicles: int, seed: int) -> Inbox:
    """Return where updates are taken from under these faults."""
    if faults.delivery is None and faults.clock_skew is None:
        return Inbox()
    return FaultyInbox(faults.delivery, faults.clock_skew, n_vehicles, seed)


def _overtaken(sent_s: Floats, comes_s: Floats) -> Ints:
    """Return which updates were taken after one that was sent later."""
    order = np.argsort(sent_s, kind="stable")
    soonest = np.minimum.accumulate(comes_s[order][::-1])[::-1]  # of this one and all sent later
    passed = np.isfinite(comes_s[order]) & (comes_s[order] > soonest)
    return np.sort(order[passed])


def _of_updates(kind: str, started: Started, rows: Ints, begin_s: Floats, end_s: Floats) -> Events:
    """Return events of some updates; their value is how long they took, seconds."""
    return Events.of(
        kind,
        begin_s,
        end_s,
        rsu=started.rsu[rows],
        vehicle=started.vehicle[rows],
        task=started.task[rows],
        value=end_s - begin_s,
    )
