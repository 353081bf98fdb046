"""Contacts and handoffs calculated by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fleetlora.roadside import Contacts, Sites, find_contacts
from fleetlora.traces import Tracks
from tests.roadside.ticking import rows_of
from tests.roadside.worlds import sites_at, tracks_of


def drive(x0: float, x1: float, speed: float = 10.0, y: float = 0.0, stops: int = 1) -> Tracks:
    """One vehicle along the x axis, its way cut into ``stops`` legs."""
    x = np.linspace(x0, x1, stops + 1)
    return tracks_of([[(abs(p - x0) / speed, float(p), y) for p in x]])


def rows(
    tracks: Tracks,
    sites: Sites,
    coverage: float,
    ratio: float = 1.2,
    trigger: float = 0.5,
    height: float = 0.0,
) -> list[tuple[int, float, float, bool, int]]:
    found = find_contacts(tracks, sites, coverage, ratio, trigger, height)
    return [row[1:] for row in rows_of(found)]


def approx(*expected: tuple[int, float, float, bool, int]) -> list[object]:
    return [(r, pytest.approx(a, abs=1e-9), pytest.approx(b, abs=1e-9), h, e) for r, a, b, h, e in expected]


def test_a_straight_drive_past_a_site_is_in_contact_between_the_two_crossings_of_its_circle() -> None:
    # Circle of 500 m around (0, 300): the x axis crosses it at x = ±400, that is after 60 s and 140 s.
    assert rows(drive(-1000, 1000), sites_at((0, 300)), 500) == approx((0, 60.0, 140.0, False, 0))


@pytest.mark.parametrize("stops", [1, 2, 7, 400])
def test_more_fixes_on_a_straight_drive_change_nothing(stops: int) -> None:
    found = rows(drive(-1000, 1000, stops=stops), sites_at((0, 300)), 500)
    assert found == approx((0, 60.0, 140.0, False, 0))


def test_handoff_comes_where_the_distances_have_the_ratio_plus_the_time_to_trigger() -> None:
    # d0 = x, d1 = 1000 − x; d0 = 1.5·d1 at x = 600, after 160 s; site 1 is left at x = 1700.
    found = rows(drive(-1000, 2000), sites_at((0, 0), (1000, 0)), 700, ratio=1.5, trigger=0.5)
    assert found == approx((0, 30.0, 160.5, False, 1), (1, 160.5, 270.0, True, 0))


@pytest.mark.parametrize("stops", [3, 50])
def test_the_time_to_trigger_runs_on_across_fixes(stops: int) -> None:
    found = rows(drive(-1000, 2000, stops=stops), sites_at((0, 0), (1000, 0)), 700, ratio=1.5, trigger=5.0)
    assert found == approx((0, 30.0, 165.0, False, 1), (1, 165.0, 270.0, True, 0))


def test_height_moves_the_handoff_onto_the_apollonius_circle_of_the_slant_distances() -> None:
    # x² + h² = 1.5²·((1000 − x)² + h²) with h = 60, the root between the sites.
    a, b, c = 1 - 2.25, 2 * 2.25 * 1000, 60**2 - 2.25 * (1000**2 + 60**2)
    x = (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a)
    found = rows(drive(-1000, 2000), sites_at((0, 0), (1000, 0)), 700, ratio=1.5, trigger=0.0, height=60)
    assert found == approx((0, 30.0, 100 + x / 10, False, 1), (1, 100 + x / 10, 270.0, True, 0))


def test_without_hysteresis_the_handoff_is_on_the_bisector() -> None:
    found = rows(drive(-1000, 2000), sites_at((0, 0), (1000, 0)), 700, ratio=1.0, trigger=0.0)
    assert found == approx((0, 30.0, 150.0, False, 1), (1, 150.0, 270.0, True, 0))


def test_a_vehicle_between_two_equal_sites_does_not_flicker() -> None:
    # Along the bisector both sites are always equally far: the first serves to the end.
    along = tracks_of([[(0, 0, -900), (180, 0, 900)]])
    found = rows(along, sites_at((-300, 0), (300, 0)), 500, ratio=1.0, trigger=0.0)
    assert found == approx((0, 50.0, 130.0, False, 0))


def turn_back(trigger: float) -> list[tuple[int, float, float, bool, int]]:
    # d0 = 1.5·d1 at x = 600; driving on to 620 and back again, it is better for 4 s, over two legs.
    there_and_back = tracks_of([[(0, 0, 0), (62, 620, 0), (124, 0, 0)]])
    return rows(there_and_back, sites_at((0, 0), (1000, 0)), 700, ratio=1.5, trigger=trigger)


def test_a_dip_shorter_than_the_time_to_trigger_does_not_hand_off() -> None:
    assert turn_back(4.1) == approx((0, 0.0, 124.0, False, 2))


def test_a_dip_longer_than_the_time_to_trigger_hands_off_there_and_back() -> None:
    # Back: d1 = 1.5·d0 at x = 400, after 84 s.
    expected = approx((0, 0.0, 63.9, False, 1), (1, 63.9, 87.9, True, 1), (0, 87.9, 124.0, True, 2))
    assert turn_back(3.9) == expected


def test_leaving_coverage_goes_on_at_once_with_a_site_that_covers() -> None:
    # Ratio 3 would be met at x = 675, but site 0 ends at x = 500, where site 1 is 400 m away.
    found = rows(drive(-1000, 2000), sites_at((0, 0), (900, 0)), 500, ratio=3.0)
    assert found == approx((0, 50.0, 150.0, False, 1), (1, 150.0, 240.0, True, 0))


def test_leaving_coverage_for_none_ends_the_contact_and_the_next_site_begins_a_new_one() -> None:
    found = rows(drive(-1000, 2000), sites_at((0, 0), (1100, 0)), 500)
    assert found == approx((0, 50.0, 150.0, False, 0), (1, 160.0, 260.0, False, 0))


def test_coverage_that_just_touches_is_a_handoff() -> None:
    found = rows(drive(-1024, 2048, speed=8.0), sites_at((0, 0), (1024, 0)), 512)
    assert found == approx((0, 64.0, 192.0, False, 1), (1, 192.0, 320.0, True, 0))


def test_of_several_sites_at_the_edge_the_nearest_takes_over() -> None:
    # At x = 500 site 1 is 450 m away, site 2 is 420 m; neither is three times nearer before.
    found = rows(drive(-600, 600), sites_at((0, 0), (950, 0), (920, 0)), 500, ratio=3.0)
    assert [row[0] for row in found] == [0, 2]


def test_a_vehicle_that_begins_inside_coverage_begins_in_contact_with_the_nearest() -> None:
    found = rows(drive(0, 100), sites_at((-300, 0), (100, 0), (-90, 0)), 500)
    assert found[0][:2] == (2, 0.0)


def test_a_parked_vehicle_stays_in_contact_to_the_end_of_its_track() -> None:
    parked = tracks_of([[(5, 0, 0), (25, 0, 0), (605, 0, 0)]])
    assert rows(parked, sites_at((100, 0), (300, 0)), 500) == approx((0, 5.0, 605.0, False, 2))


def test_a_parked_vehicle_out_of_coverage_has_no_contact() -> None:
    assert rows(tracks_of([[(0, 0, 0), (600, 0, 0)]]), sites_at((501, 0)), 500) == []


def test_a_gap_in_the_track_ends_a_contact_and_a_new_one_begins_after_it() -> None:
    split = tracks_of([[(0, 0, 0), (10, 50, 0)], [(400, 60, 0), (410, 70, 0)]])
    found = rows(split, sites_at((0, 0)), 500)
    assert found == approx((0, 0.0, 10.0, False, 2), (0, 400.0, 410.0, False, 2))


def test_the_time_to_trigger_does_not_run_on_across_a_gap() -> None:
    # Site 1 is better from x = 600 on: 2 s before the gap and 3 s after it.
    split = tracks_of([[(0, 0, 0), (62, 620, 0)], [(400, 640, 0), (403, 670, 0)]])
    found = rows(split, sites_at((0, 0), (1000, 0)), 700, ratio=1.5, trigger=4.0)
    assert [row[0] for row in found] == [0, 1]
    assert not any(row[3] for row in found)


def test_a_tangent_pass_is_no_contact() -> None:
    assert rows(drive(-1000, 1000), sites_at((0, 500)), 500) == []


def test_a_pass_a_hair_inside_the_tangent_is_a_short_contact() -> None:
    # Half a chord: sqrt(500² − 499.99²) = 3.1622…  m at 10 m/s.
    half = math.sqrt(500**2 - 499.99**2) / 10
    found = rows(drive(-1000, 1000), sites_at((0, 499.99)), 500)
    (_, t_in, t_out, _, _) = found[0]
    assert (t_in, t_out) == (pytest.approx(100 - half, abs=1e-6), pytest.approx(100 + half, abs=1e-6))


def test_the_time_to_trigger_begins_anew_with_each_serving_site() -> None:
    # At 100 m/s from x = −1000, ratio 1.2: site 1 is better than 0 from x = 272.73 and takes over 4 s later,
    # at 672.73. Site 2 is better than 1 since x = 609.09, but its time runs only from the handoff: 1072.73.
    found = rows(drive(-1000, 1650, 100), sites_at((0, 0), (500, 0), (700, 0)), 1000, trigger=4.0)
    first = (1000 + 600 / 2.2) / 100 + 4
    assert found == approx(
        (0, 0.0, first, False, 1), (1, first, first + 4, True, 1), (2, first + 4, 26.5, True, 2)
    )


def test_of_two_sites_ready_at_the_same_moment_the_nearest_takes_over() -> None:
    # As above, with site 3 at 760 better than 1 at the handoff too; at x = 1072.73 it is nearer than site 2.
    sites = sites_at((0, 0), (500, 0), (700, 0), (760, 0))
    found = rows(drive(-1000, 1650, 100), sites, 1000, trigger=4.0)
    assert [row[0] for row in found] == [0, 1, 3]


def test_the_first_site_to_complete_its_time_wins_even_if_another_is_nearer_then() -> None:
    # Ratio 1.2 from site 0: site 1 (at 500) from x = 272.73, site 2 (at 560) from x = 305.45. When site 1 has
    # held 2.9 s, at x = 562.73, site 2 is nearer.
    sites = sites_at((0, 0), (500, 0), (560, 0))
    found = rows(drive(-1000, 565, 100), sites, 1000, trigger=2.9)
    assert [row[0] for row in found] == [0, 1]


def test_coverage_is_horizontal_whatever_the_height() -> None:
    low = rows(drive(-1000, 1000), sites_at((0, 300)), 500, height=0)
    assert rows(drive(-1000, 1000), sites_at((0, 300)), 500, height=25) == low


def test_vehicles_do_not_know_of_each_other() -> None:
    one = [(0.0, -1000.0, 0.0), (200.0, 1000.0, 0.0)]
    other = [(50.0, 0.0, -1000.0), (100.0, 0.0, 1000.0)]
    sites = sites_at((0, 300), (200, 0))
    both = find_contacts(tracks_of([one], [other]), sites, 500, 1.2, 0.5)
    alone = [find_contacts(tracks_of([track]), sites, 500, 1.2, 0.5) for track in (one, other)]
    expected = [row[1:] for found in alone for row in rows_of(found)]
    assert [row[1:] for row in rows_of(both)] == expected
    assert both.vehicle.tolist() == [0] * len(alone[0]) + [1] * len(alone[1])


def test_single_fixes_have_no_contact() -> None:
    assert rows(tracks_of([[(0, 0, 0)]], [[(5, 1, 1)]]), sites_at((0, 0)), 500) == []


def test_places_far_from_the_origin_lose_no_accuracy() -> None:
    east, north = 500_000.0, 5_790_000.0
    moved = tracks_of([[(0, east - 1000, north), (200, east + 1000, north)]])
    found = rows(moved, sites_at((east, north + 300)), 500)
    assert found == [(0, pytest.approx(60, abs=1e-7), pytest.approx(140, abs=1e-7), False, 0)]


def test_a_long_leg_meets_every_site_along_it() -> None:
    sites = sites_at(*((1000.0 * k, 100.0) for k in range(60)))
    found: Contacts = find_contacts(drive(-500, 60_000, 30), sites, 400, 1.2, 0.5)
    assert found.rsu.tolist() == list(range(60))
    assert (found.end == 0).all()
    assert np.allclose(found.dwell_s, 2 * math.sqrt(400**2 - 100**2) / 30)
