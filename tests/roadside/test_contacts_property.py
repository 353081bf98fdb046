"""Contacts on random tracks against the rules, against a ticking clock, and against themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from fleetlora.roadside import Contacts, association, find_contacts
from tests.roadside.ticking import inspect, rows_of, tick
from tests.roadside.worlds import World, worlds

quick = settings(max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])


def contacts_of(world: World, **more: int) -> Contacts:
    return find_contacts(world.tracks, world.sites, **world.options(), **more)


def sequence(contacts: Contacts) -> list[tuple[int, int, bool, int]]:
    return [(row[0], row[1], row[4], row[5]) for row in rows_of(contacts)]


@quick
@given(worlds())
def test_contacts_on_random_tracks_keep_every_rule(world: World) -> None:
    inspect(world, contacts_of(world))


@quick
@given(worlds())
def test_a_ticking_clock_finds_the_same_contacts_within_its_tick(world: World) -> None:
    step = 0.02
    exact = contacts_of(world)
    # Where a hair's breadth decides what happens, a clock that ticks may decide otherwise: leave those out.
    legs = world.tracks.legs()
    fastest = float(np.hypot(legs.vx_mps, legs.vy_mps).max())
    for change in (
        {"coverage_m": world.coverage_m + 2 * step * fastest},
        {"coverage_m": world.coverage_m - 2 * step * fastest},
        {"trigger_s": world.trigger_s + 2 * step},
        {"trigger_s": max(0.0, world.trigger_s - 2 * step)},
        {"ratio": world.ratio * 1.01},
        {"ratio": max(1.0, world.ratio / 1.01)},
    ):
        assume(sequence(contacts_of(replace(world, **change))) == sequence(exact))
    assume((exact.dwell_s > 10 * step).all())
    ticked = tick(world, step)
    assert [(row[0], row[1], row[4], row[5]) for row in ticked] == sequence(exact)
    times = np.array([row[2:4] for row in ticked]).reshape(-1, 2)
    np.testing.assert_allclose(times[:, 0], exact.t_in_s, atol=2.5 * step)
    np.testing.assert_allclose(times[:, 1], exact.t_out_s, atol=2.5 * step)


@quick
@given(worlds())
def test_the_answer_does_not_depend_on_how_the_work_is_cut(world: World) -> None:
    whole = contacts_of(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(association, "_ROWS", 1)
        assert contacts_of(world, stretch_fixes=1).to_arrow() == whole.to_arrow()
    assert contacts_of(world, stretch_fixes=7).to_arrow() == whole.to_arrow()


@quick
@given(worlds())
def test_contacts_of_a_vehicle_never_overlap_and_handoffs_adjoin(world: World) -> None:
    contacts = contacts_of(world)
    same = contacts.vehicle[1:] == contacts.vehicle[:-1]
    assert (contacts.t_in_s[1:] >= contacts.t_out_s[:-1])[same].all()
    assert not contacts.handoff[:1].any()
    joins = np.flatnonzero(contacts.handoff)
    assert (contacts.t_in_s[joins] == contacts.t_out_s[joins - 1]).all()
    assert (contacts.vehicle[joins] == contacts.vehicle[joins - 1]).all()
    assert np.array_equal(np.flatnonzero(contacts.end == 1) + 1, joins)
    assert (np.diff(contacts.vehicle) >= 0).all()
