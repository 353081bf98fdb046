"""How long vehicles are thought to stay: geometry by hand, past dwell by hand, and learning from mistakes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fleetlora.federation.residence import (
    PRIOR_WEIGHT,
    Residence,
    ResidencePredictor,
    crossing_s,
    neighbours,
    past_dwell_s,
)
from fleetlora.federation.world import World
from fleetlora.roadside import Sites


def crossing(x: float, v: float, site: float, ratio: float = 2.0, height: float = 0.0) -> float:
    """Return the crossing of a vehicle at ``x`` on a line, its RSU at 0 and a neighbour at ``site``."""
    return float(
        crossing_s(
            np.array([[x, 0.0]]), np.array([[v, 0.0]]), np.array([[[site, 0.0]]]), ratio, height, 1000.0
        )[0, 0]
    )


def test_a_neighbour_takes_over_where_it_is_half_as_far() -> None:
    # the RSU at 0, a neighbour at 300 m: at x = 200 the distances are 200 and 100
    assert crossing(0.0, 10.0, 300.0) == pytest.approx(20.0)


def test_a_neighbour_that_is_better_already_takes_over_at_once() -> None:
    assert crossing(250.0, 10.0, 300.0) == 0.0


def test_a_vehicle_that_drives_away_from_a_neighbour_never_crosses() -> None:
    assert crossing(0.0, -10.0, 300.0) == np.inf


def test_a_standing_vehicle_never_crosses() -> None:
    assert crossing(100.0, 0.0, 300.0) == np.inf


def test_antenna_heights_delay_the_crossing() -> None:
    # (200 + e)² + h² = 4·((100 − e)² + h²) with h = 20: 3e² − 1200 e + 1200 = 0, e = 1.0025 …
    e = (1200 - np.sqrt(1200**2 - 4 * 3 * 1200)) / 6
    assert crossing(0.0, 10.0, 300.0, height=20.0) == pytest.approx((200 + e) / 10)


def test_a_neighbour_out_of_its_own_coverage_does_not_take_over() -> None:
    far = crossing_s(np.zeros((1, 2)), np.array([[10.0, 0.0]]), np.array([[[300.0, 0.0]]]), 2.0, 0.0, 99.0)
    assert far[0, 0] == np.inf


def test_past_dwell_is_the_mean_of_those_who_stayed_longer(street: World) -> None:
    contacts = street.contacts
    now_s = 150.0
    here = street.observe(now_s)
    vehicle = np.flatnonzero(here.rsu >= 0)
    got = past_dwell_s(street, here, vehicle, 600.0)
    for i, v in enumerate(vehicle):
        elapsed = now_s - contacts.t_in_s[here.contact[v]]
        ended = (contacts.rsu == here.rsu[v]) & (contacts.t_out_s <= now_s) & (contacts.dwell_s > elapsed)
        if ended.any():
            assert got[i] == pytest.approx(contacts.dwell_s[ended].mean() - elapsed)
        else:
            assert np.isnan(got[i])


def test_predictions_do_not_see_contacts_that_have_not_ended(street: World) -> None:
    """Change when present and future contacts end: what is predicted now stays the same."""
    later = np.where(
        street.contacts.t_out_s > 100.0, street.contacts.t_out_s + 1000.0, street.contacts.t_out_s
    )
    other = replace(street, contacts=replace(street.contacts, t_out_s=later))
    predicted = []
    for world in (street, other):
        predictor = ResidencePredictor(world, 600.0)
        for time_s in (50.0, 75.0, 100.0):
            here = street.observe(time_s)
            residence = predictor.predict(here, np.flatnonzero(here.rsu >= 0))
        predicted.append(residence.seconds)
    np.testing.assert_array_equal(*predicted)


def test_on_a_straight_street_the_kinematic_prediction_comes_true(street: World) -> None:
    predictor = ResidencePredictor(street, 600.0)
    here = street.observe(100.0)
    vehicle = np.flatnonzero(here.rsu >= 0)
    residence = predictor.predict(here, vehicle)
    true_s = here.leaves_s[vehicle] - 100.0
    handed_off = residence.next_rsu >= 0
    assert handed_off.any()
    # handoffs wait out the time to trigger, 0.16 s here, after the neighbour has become better
    np.testing.assert_allclose(
        predictor._kinematic_s(here, vehicle)[0][handed_off] + 0.16, true_s[handed_off], atol=0.05
    )


def test_the_predictors_are_blended_in_the_logarithm_by_the_inverse_of_their_errors(street: World) -> None:
    predictor, here = ResidencePredictor(street, 600.0), street.observe(150.0)
    vehicle = np.flatnonzero(here.rsu >= 0)
    kinematic_s = predictor._kinematic_s(here, vehicle)[0]
    dwell_s = past_dwell_s(street, here, vehicle, 600.0)
    known = np.isfinite(dwell_s) & (kinematic_s > 1) & (dwell_s > 1)
    assert known.any()
    assert (np.abs(np.log(kinematic_s[known] / dwell_s[known])) > 0.1).any()
    predictor._error[:2] = [1.0, 9.0]  # weights of 9/10 and 1/10
    got = predictor.predict(here, vehicle).seconds
    by_hand = np.exp((9 * np.log(kinematic_s[known]) + np.log(dwell_s[known])) / 10)
    np.testing.assert_allclose(got[known], np.minimum(by_hand, 600.0))
    alone = np.isnan(dwell_s) & (kinematic_s > 1)
    np.testing.assert_allclose(got[alone], kinematic_s[alone])


def test_the_spread_shrinks_when_predictions_come_true(street: World) -> None:
    predictor = ResidencePredictor(street, 600.0)
    before = predictor.spread
    for time_s in np.arange(50.0, 250.0, 10.0):
        here = street.observe(float(time_s))
        predictor.predict(here, np.flatnonzero(here.rsu >= 0))
    assert predictor.spread < 0.6 * before


def test_neighbours_are_the_sites_within_twice_the_coverage() -> None:
    sites = Sites(np.array(["a", "b", "c", "d"]), np.array([0.0, 150.0, 320.0, 900.0]), np.zeros(4))
    near = neighbours(sites, 100.0)
    assert near.tolist() == [[0, 1, 0], [0, 1, 2], [1, 2, 2], [3, 3, 3]]


def test_handoffs_are_foreseen_as_if_every_site_was_looked_at(street: World) -> None:
    """Also from positions that drifted out of coverage, where any site may seem to be the better one."""
    rng = np.random.default_rng(3)
    sites = Sites(np.arange(60).astype(np.str_), *rng.uniform(0, 4000, (2, 60)))
    world = replace(street, sites=sites)
    here = street.observe(100.0)
    n = len(here.rsu)
    rsu, angle, far = rng.integers(0, 60, n), rng.uniform(0, 2 * np.pi, n), rng.uniform(0, 1.5, n)
    east_mps, north_mps = rng.uniform(-15, 15, (2, n))
    here = replace(
        here,
        rsu=rsu,
        east_m=far * world.coverage_m * np.cos(angle),
        north_m=far * world.coverage_m * np.sin(angle),
        east_mps=east_mps,
        north_mps=north_mps,
    )
    near, every = ResidencePredictor(world, 600.0), ResidencePredictor(world, 600.0)
    every._near = every._all
    assert near._near.shape[1] < 60
    for got, wanted in zip(
        near._kinematic_s(here, np.arange(n)), every._kinematic_s(here, np.arange(n)), strict=True
    ):
        np.testing.assert_array_equal(got, wanted)


def test_a_prediction_waits_until_its_contacts_have_ended(street: World) -> None:
    predictor = ResidencePredictor(street, 600.0)
    here = street.observe(50.0)
    vehicle = np.flatnonzero(here.rsu >= 0)
    ends_s = np.sort(here.leaves_s[vehicle])
    predictor.predict(here, vehicle)
    nobody = np.empty(0, dtype=np.int64)
    for time_s, compared in ((ends_s[0] - 0.1, 0), (ends_s[0], 1), (ends_s[-1], len(ends_s))):
        predictor.predict(street.observe(float(time_s)), nobody)
        assert predictor.state_dict()["seen"] == PRIOR_WEIGHT + compared
    assert predictor.state_dict()["open"] == []


def test_an_oracle_knows_when_each_leaves_and_who_serves_it_next(street: World) -> None:
    contacts, now_s = street.contacts, 150.0
    here = street.observe(now_s)
    vehicle = np.flatnonzero(here.contact >= 0)
    known = Residence.known(street, here, vehicle)
    assert known.spread == 0.0
    handed_off = 0
    for row, v in enumerate(vehicle):
        later = (contacts.vehicle == v) & (contacts.t_in_s > now_s)
        ends_s = contacts.t_out_s[here.contact[v]]
        assert known.seconds[row] == ends_s - now_s
        after = np.flatnonzero(later & contacts.handoff & np.isclose(contacts.t_in_s, ends_s))
        assert known.next_rsu[row] == (contacts.rsu[after[0]] if len(after) else -1)
        handed_off += len(after)
    assert 0 < handed_off < len(vehicle)
