"""Updates that come twice, late or stamped by a wrong clock, as their RSU takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fleetlora.faults import FaultSettings
from fleetlora.federation.flight import Flight, Started, fly
from fleetlora.federation.inbox import FaultyInbox, Inbox, inbox_of
from fleetlora.federation.world import World

from .test_flight import start

NOW_S, CLOSES_S = 100.0, 130.0


@pytest.fixture
def through(street: World) -> tuple[Started, Flight]:
    here = street.observe(NOW_S)
    vehicle = np.flatnonzero((here.rsu >= 0) & (here.leaves_s > NOW_S + 15.0))
    begun = start(here, vehicle, compute_s=np.full(len(vehicle), 2.0))
    flight = fly(street, begun, here)
    assert flight.arrived.sum() >= 4
    return begun, flight


def inbox(street: World, **kinds: Any) -> Inbox:
    return inbox_of(FaultSettings(**kinds), street.tracks.n_vehicles, seed=1)


def test_without_faults_a_flight_is_taken_as_it_is(street: World, through: tuple[Started, Flight]) -> None:
    begun, flight = through
    taken, events = inbox(street).take(0, NOW_S, CLOSES_S, begun, flight)
    assert taken is flight
    assert not len(events)


def test_copies_change_nothing_and_are_counted(street: World, through: tuple[Started, Flight]) -> None:
    begun, flight = through
    twice = inbox(street, delivery={"duplicate": 1.0, "late": 0.0})
    taken, events = twice.take(0, NOW_S, CLOSES_S, begun, flight)
    np.testing.assert_array_equal(taken.end_s, flight.end_s)
    np.testing.assert_array_equal(taken.outcome, flight.outcome)
    assert events.kind.tolist() == ["duplicate"] * int(flight.arrived.sum())
    assert set(events.vehicle) == set(begun.vehicle[flight.arrived])


def test_what_comes_after_the_round_is_refused_and_costs_what_it_cost(
    street: World, through: tuple[Started, Flight]
) -> None:
    begun, flight = through
    late = inbox(street, delivery={"duplicate": 0.0, "late": 1.0, "delay_s": 1e6})
    taken, events = late.take(0, NOW_S, CLOSES_S, begun, flight)
    assert (taken.outcome[flight.arrived] == "lost").all()
    assert (taken.end_s[flight.arrived] == CLOSES_S).all()
    assert set(events.kind) == {"late"}
    assert taken.spent is flight.spent


def test_what_is_held_up_within_the_round_is_taken_when_it_comes(
    street: World, through: tuple[Started, Flight]
) -> None:
    begun, flight = through
    held = inbox(street, delivery={"duplicate": 0.0, "late": 1.0, "delay_s": 2.0})
    taken, events = held.take(0, NOW_S, CLOSES_S, begun, flight)
    np.testing.assert_array_equal(taken.outcome, flight.outcome)
    assert (taken.end_s > flight.end_s)[flight.arrived].all()
    assert "reordered" in events.kind.tolist()
    again, _ = held.take(0, NOW_S, CLOSES_S, begun, flight)
    np.testing.assert_array_equal(again.end_s, taken.end_s)
    other, _ = held.take(1, NOW_S, CLOSES_S, begun, flight)
    assert (other.end_s != taken.end_s).any(), "every round draws anew"


def test_a_stamp_near_the_rsus_clock_is_believed_and_any_other_mended(
    street: World, through: tuple[Started, Flight]
) -> None:
    begun, flight = through
    skewed = inbox(street, clock_skew={"offset_s": 0.0, "rate_ppm": 0.0, "tolerance_s": 1.0})
    assert isinstance(skewed, FaultyInbox)
    one, two, three = begun.vehicle[flight.arrived][:3]
    skewed.offset_s[[one, two, three]] = [0.5, -0.5, 1.5]
    taken, events = skewed.take(0, NOW_S, CLOSES_S, begun, flight)
    rows = np.searchsorted(begun.vehicle, [one, two, three])
    np.testing.assert_allclose(taken.stamp_s[rows] - flight.end_s[rows], [0.5, -0.5, 0.0])
    np.testing.assert_array_equal(taken.end_s, flight.end_s)
    assert events.vehicle.tolist() == [three]
    assert events.value.tolist() == pytest.approx([1.5])


def test_a_clock_that_runs_fast_is_further_ahead_later(street: World) -> None:
    skewed = inbox(street, clock_skew={"offset_s": 0.0, "rate_ppm": 100.0})
    assert isinstance(skewed, FaultyInbox)
    early, late = (skewed.skew_s(np.arange(30), np.full(30, t)) for t in (10.0, 1000.0))
    np.testing.assert_allclose(late, 100 * early)
    assert np.std(late) == pytest.approx(0.1, rel=0.4)  # 100 ppm of 1000 s


def test_no_stamp_makes_an_update_take_less_than_nothing(
    street: World, through: tuple[Started, Flight]
) -> None:
    begun, flight = through
    wild = inbox(street, clock_skew={"offset_s": 50.0, "tolerance_s": 1e9})
    taken, _ = wild.take(0, NOW_S, CLOSES_S, begun, flight)
    assert (taken.stamp_s >= NOW_S).all()
    assert (taken.stamp_s <= CLOSES_S).all()
