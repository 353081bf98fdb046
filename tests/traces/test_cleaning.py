"""Cleaning: each kind of dirt, and the account of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from fleetlora.errors import InputError
from fleetlora.traces import Cleaning, RawFixes, clean
from fleetlora.traces.project import utm_zone
from tests.traces.making import LENIENT, line, raw, raw_fixes, same_tracks

GOOD = line("a", [0, 10, 20, 30], [0, 100, 200, 300])


def drops(fixes: RawFixes, cleaning: Cleaning | None = None) -> dict[str, int]:
    """Return the reasons for which something was dropped, with their counts."""
    return {reason: n for reason, n in clean(fixes, cleaning)[1].dropped.items() if n}


def test_good_fixes_are_all_kept_and_start_at_zero() -> None:
    tracks, account = clean(raw(line("a", [100, 110, 120], [0, 100, 200])))
    np.testing.assert_array_equal(tracks.t_s, [0, 10, 20])
    np.testing.assert_array_equal(tracks.x_m, [0, 100, 200])
    assert (tracks.epoch_s, tracks.crs, tracks.name) == (100.0, "local", "made")
    assert (account.kept, account.rows_read, account.vehicles_kept) == (3, 3, 1)


def test_vehicles_are_sorted_by_name_and_their_fixes_by_time() -> None:
    rows = [*line("b", [20, 0, 10], [2, 0, 1]), *line("a", [10, 0, 20], [1, 0, 2])]
    tracks, account = clean(raw(rows))
    assert tracks.vehicle_ids.tolist() == ["a", "b"]
    np.testing.assert_array_equal(tracks.x_m, [0, 1, 2, 0, 1, 2])
    assert account.unsorted == 2


def test_repeated_fixes_are_dropped() -> None:
    assert drops(raw([*GOOD, *GOOD[1:3]])) == {"repeated": 2}


def test_of_two_places_at_one_time_one_is_kept() -> None:
    assert drops(raw([*GOOD, ("a", 10.0, 101.0, 0.0)])) == {"same vehicle and time, other place": 1}


def test_fixes_without_a_number_are_dropped() -> None:
    rows = [*GOOD, ("a", np.nan, 0.0, 0.0), ("a", 40.0, np.inf, 0.0), ("a", 50.0, 0.0, -np.inf)]
    assert drops(raw(rows)) == {"not a finite number": 3}


def test_places_that_do_not_exist_are_dropped() -> None:
    rows = [("a", 10.0 * i, 21.0 + 1e-3 * i, 52.0) for i in range(5)]
    rows += [
        ("a", 60.0, 181.0, 52.0),
        ("a", 61.0, 21.0, -91.0),
        ("a", 62.0, 0.0, 0.0),
        ("a", 63.0, 26.0, 52.0),
    ]
    assert drops(raw(rows, "EPSG:4326")) == {
        "latitude or longitude out of range": 2,
        "at latitude 0, longitude 0": 1,
        "over 150 km from the median position": 1,
    }


def test_what_lies_out_of_bounds_is_dropped() -> None:
    assert drops(raw(GOOD), Cleaning(bounds=(0, -1, 250, 1))) == {"out of bounds": 1}


def test_bounds_must_be_in_order() -> None:
    with pytest.raises(ValidationError, match="west, south, east, north"):
        Cleaning(bounds=(1, 0, 0, 1))


def test_one_wild_fix_is_dropped_and_the_rest_stays_whole() -> None:
    for wild in range(6):
        x = [100.0 * i for i in range(6)]
        x[wild] = 9e4
        tracks, account = clean(raw(line("a", [10.0 * i for i in range(6)], x)))
        assert {r: n for r, n in account.dropped.items() if n} == {"faster than 40 m/s": 1}
        assert tracks.new_piece.sum() == 1


def test_a_gap_splits_a_track() -> None:
    tracks, account = clean(raw(line("a", [0, 10, 20, 400, 410], [0, 0, 0, 500, 500])))
    np.testing.assert_array_equal(tracks.new_piece, [True, False, False, True, False])
    assert (account.gaps, account.pieces) == (1, 2)


def test_a_jump_between_two_long_stretches_splits_a_track() -> None:
    tracks, account = clean(raw(line("a", [10.0 * i for i in range(20)], [0.0] * 10 + [1e5] * 10)))
    assert np.flatnonzero(tracks.new_piece).tolist() == [0, 10]
    assert (account.jumps, account.kept) == (1, 20)


def test_borders_of_the_source_split_a_track() -> None:
    tracks, account = clean(raw(GOOD, piece=[1, 1, 2, 2]))
    assert np.flatnonzero(tracks.new_piece).tolist() == [0, 2]
    assert account.borders == 1


def test_a_fix_alone_between_gaps_is_dropped() -> None:
    rows = [*line("a", [0, 10, 20], [0, 0, 0]), ("a", 500.0, 0.0, 0.0), *line("a", [1000, 1010], [0, 0])]
    assert drops(raw(rows)) == {"alone between two gaps": 1}


def test_vehicles_with_too_few_fixes_are_dropped() -> None:
    tracks, account = clean(raw([*GOOD, *line("b", [0, 10], [0, 0])]))
    assert account.dropped["vehicle has fewer than 3 fixes"] == 2
    assert (account.vehicles_read, account.vehicles_kept) == (2, 1)
    assert tracks.vehicle_ids.tolist() == ["a"]


def test_parked_vehicles_are_marked_not_dropped() -> None:
    rows = line("a", [0, 100, 200, 300, 400, 410], [0, 1, 2, 1, 0, 300])
    tracks, account = clean(raw(rows))
    np.testing.assert_array_equal(tracks.parked, [True, True, True, True, False, False])
    assert account.parked_share == pytest.approx(400 / 410)


def test_degrees_become_metres_of_the_zone_where_most_fixes_lie() -> None:
    rows = [("a", 60.0 * i, 21.0, 52.0 + i / 600) for i in range(4)]  # 185.4 m north each minute
    tracks, _ = clean(raw(rows, "EPSG:4326"))
    assert tracks.crs == "EPSG:32634"
    np.testing.assert_allclose(tracks.x_m, 500_000.0, atol=1e-6)  # the central meridian
    np.testing.assert_allclose(np.diff(tracks.y_m), 185.4 * 0.9996, atol=0.1)  # scale of UTM there
    lon, lat = tracks.lonlat()
    np.testing.assert_allclose(lon, 21.0, atol=1e-9)
    np.testing.assert_allclose(lat, [row[3] for row in rows], atol=1e-9)


@pytest.mark.parametrize(
    ("lon", "lat", "zone"),
    [
        (21.0, 52.2, 32634),
        (-122.4, 37.8, 32610),
        (116.4, 39.9, 32650),
        (18.4, -33.9, 32734),
        (180.0, 0.0, 32660),
    ],
)
def test_utm_zones_are_those_of_the_map(lon: float, lat: float, zone: int) -> None:
    assert utm_zone(lon, lat) == f"EPSG:{zone}"


def test_the_poles_are_out_of_reach() -> None:
    with pytest.raises(InputError, match="exchanged"):
        utm_zone(52.0, 85.0)


@pytest.mark.parametrize(
    ("rows", "crs", "problem", "mend"),
    [
        ([], "local", "it holds no fixes", "check the file"),
        ([("a", i, 100.0, 152.0) for i in range(3)], "EPSG:4326", "out of range", "exchanged"),
        ([("a", i, 0.0, 0.0) for i in range(3)], "EPSG:4326", "at latitude 0", "no position"),
        ([("a", 5, 0, 0)] * 4, "local", "3 repeated", "times differ"),
        (
            [("a", i / 1000, 1e5 * i, 0) for i in range(4)],
            "local",
            "3 faster than",
            "unit and format of the times",
        ),
        ([("a", 1e4 * i, 0, 0) for i in range(4)], "local", "4 alone between", "cleaning.gap_s"),
        ([("a", 0, 0, 0)], "local", "1 vehicle has fewer", "a track needs two fixes"),
        ([("a", 0, 0, 0), ("a", 1, 0, 0)], "local", "fewer than 3", "cleaning.min_fixes"),
    ],
)
def test_if_nothing_is_left_the_error_says_why(
    rows: list[tuple[str, float, float, float]], crs: str, problem: str, mend: str
) -> None:
    with pytest.raises(InputError) as caught:
        clean(raw(rows, crs))
    assert problem in caught.value.problem
    assert mend in (caught.value.mend or "")
    assert caught.value.where == "made"


def test_the_account_counts_every_row_once_and_reads_well() -> None:
    rows = [*GOOD, GOOD[0], ("a", 40.0, 1e6, 0.0), *line("b", [0], [0])]
    fixes = replace(raw(rows), dropped={"row with a bad value": 2})
    _, account = clean(fixes)
    assert account.rows_read == len(rows) + 2
    assert account.kept == 4
    assert str(account).splitlines()[0] == "made: kept 4 of 9 fixes (44.4 %), 1 of 2 vehicles"
    assert "  dropped           2  row with a bad value" in str(account).splitlines()
    assert json.loads(json.dumps(account.as_dict()))["dropped"]["faster than 40 m/s"] == 1


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(InputError, match="column x has shape"):
        replace(raw(GOOD), x=np.zeros(1))


@settings(max_examples=60)
@given(raw_fixes())
def test_cleaning_what_is_clean_changes_nothing(fixes: RawFixes) -> None:
    try:
        tracks, _ = clean(fixes)
    except InputError:
        return
    again, account = clean(tracks.fixes())
    assert same_tracks(again, tracks)
    assert sum(account.dropped.values()) == 0


@settings(max_examples=60)
@given(raw_fixes())
def test_the_order_of_the_rows_does_not_matter(fixes: RawFixes) -> None:
    shuffled = fixes.take(np.random.default_rng(3).permutation(len(fixes)))
    try:
        tracks, account = clean(fixes)
    except InputError as error:
        with pytest.raises(InputError, match=re.escape(str(error))):
            clean(shuffled)
        return
    again, other = clean(shuffled)
    assert same_tracks(again, tracks)
    assert replace(other, unsorted=0) == replace(account, unsorted=0)


@settings(max_examples=60)
@given(raw_fixes())
def test_tracks_keep_what_cleaning_promises(fixes: RawFixes) -> None:
    try:
        tracks, account = clean(fixes)
    except InputError:
        return
    legs = tracks.legs()
    assert np.hypot(legs.vx_mps, legs.vy_mps).max() <= 40.0 + 1e-9
    assert (legs.t1_s - legs.t0_s).max() <= 300.0
    assert np.diff(tracks.offsets).min() >= 3
    assert account.kept == tracks.n_fixes
    assert len(np.unique(legs.piece)) == account.pieces == tracks.new_piece.sum()


@settings(max_examples=40)
@given(raw_fixes())
def test_lenient_cleaning_keeps_every_distinct_fix(fixes: RawFixes) -> None:
    places = {(v, t) for v, t in zip(fixes.vehicle.tolist(), fixes.t_s.tolist(), strict=True)}
    lonely = {v for v, _ in places if sum(1 for w, _ in places if w == v) < 2}
    try:
        tracks, _ = clean(fixes, LENIENT)
    except InputError:
        assert len({v for v, _ in places}) == len(lonely)
        return
    assert tracks.n_fixes == sum(1 for v, _ in places if v not in lonely)


@pytest.mark.slow
def test_millions_of_fixes_with_long_names_are_cleaned() -> None:
    n = 3_000_000
    fixes = RawFixes(
        np.full(n, "taxi 20000589"), np.arange(n) * 1.0, np.zeros(n), np.zeros(n), "local", "made"
    )
    tracks, account = clean(fixes)
    assert (tracks.n_fixes, account.parked_share) == (n, 1.0)
