"""Tracks: interpolation, cutting, choosing, and their Parquet file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlora.errors import InputError
from fleetlora.traces import Tracks
from tests.traces.making import same_tracks, tracks


def two_buses() -> Tracks:
    """Return bus a, 0 to 100 m in 10 s, at rest to 20 s, gap, on from 30 to 40 s; and bus b, 5 to 15 s."""
    return Tracks(
        vehicle_ids=np.array(["a", "b"]),
        offsets=np.array([0, 5, 7]),
        t_s=np.array([0.0, 10.0, 20.0, 30.0, 40.0, 5.0, 15.0]),
        x_m=np.array([0.0, 100.0, 100.0, 500.0, 600.0, 0.0, 0.0]),
        y_m=np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -50.0]),
        new_piece=np.array([1, 0, 0, 1, 0, 1, 0], dtype=bool),
        parked=np.array([0, 1, 0, 0, 0, 0, 0], dtype=bool),
        epoch_s=1_600_000_000.0,
        crs="EPSG:32634",
        name="two buses",
    )


def test_position_is_linear_between_fixes_and_absent_in_gaps() -> None:
    state = two_buses().at(np.array([[-1.0, 0.0, 5.0, 15.0, 25.0, 35.0, 40.0, 41.0]]), [0])
    np.testing.assert_array_equal(state.present[0], [False, True, True, True, False, True, True, False])
    np.testing.assert_array_equal(state.x_m[0], [np.nan, 0, 50, 100, np.nan, 550, 600, np.nan])
    np.testing.assert_array_equal(state.speed_mps[0], [np.nan, 10, 10, 0, np.nan, 10, 10, np.nan])
    np.testing.assert_array_equal(state.parked[0], [False, False, False, True, False, False, False, False])


def test_one_time_asks_all_vehicles_and_a_list_pairs_with_vehicles() -> None:
    tracks = two_buses()
    everyone = tracks.at(10.0)
    np.testing.assert_array_equal(everyone.y_m, [0.0, -25.0])
    np.testing.assert_array_equal(everyone.heading_rad, [0.0, -np.pi / 2])
    paired = tracks.at([10.0, 35.0], [1, 0])
    np.testing.assert_array_equal(paired.x_m, [0.0, 550.0])
    grid = tracks.at(np.full((2, 3), 10.0), [1, 0])
    assert grid.x_m.shape == (2, 3)


def test_at_the_end_of_a_piece_the_vehicle_is_still_there() -> None:
    state = two_buses().at([20.0, 15.0], [0, 1])
    assert state.present.all()
    np.testing.assert_array_equal(state.y_m, [0.0, -50.0])


def test_legs_join_only_fixes_of_the_same_piece() -> None:
    legs = two_buses().legs()
    np.testing.assert_array_equal(legs.vehicle, [0, 0, 0, 1])
    np.testing.assert_array_equal(legs.piece, [0, 0, 1, 2])
    np.testing.assert_array_equal(legs.t0_s, [0, 10, 30, 5])
    np.testing.assert_array_equal(legs.t1_s, [10, 20, 40, 15])
    np.testing.assert_array_equal(legs.vx_mps, [10, 0, 10, 0])
    np.testing.assert_array_equal(legs.vy_mps, [0, 0, 0, -5])
    assert len(legs) == 4


def test_window_cuts_exactly_and_moves_zero() -> None:
    cut = two_buses().window(5.0, 35.0)
    assert cut.epoch_s == 1_600_000_005.0
    np.testing.assert_array_equal(cut.t_s, [0, 5, 15, 25, 30, 0, 10])
    np.testing.assert_array_equal(cut.x_m, [50, 100, 100, 500, 550, 0, 0])
    np.testing.assert_array_equal(cut.new_piece, [True, False, False, True, False, True, False])


def test_window_leaves_out_vehicles_that_are_not_there() -> None:
    cut = two_buses().window(30.0, 100.0)
    assert cut.vehicle_ids.tolist() == ["a"]
    assert cut.duration_s == 10.0


def test_a_window_without_vehicles_is_refused() -> None:
    with pytest.raises(InputError, match="no vehicle is there between 21 s and 29 s"):
        two_buses().window(21.0, 29.0)
    with pytest.raises(InputError, match="not after its start"):
        two_buses().window(5.0, 5.0)


def test_crop_cuts_legs_at_the_edges_and_splits_a_track_that_leaves() -> None:
    tracks = replace(
        two_buses(),
        x_m=np.array([0.0, 100.0, 0.0, 0.0, 40.0, 0.0, 0.0]),
        new_piece=np.array([1, 0, 0, 0, 0, 1, 0], dtype=bool),
    )
    cut = tracks.crop(-1.0, -1.0, 80.0, 1.0)
    assert cut.vehicle_ids.tolist() == ["a", "b"]
    np.testing.assert_allclose(cut.t_s[:6], [0, 8, 12, 20, 30, 40])
    np.testing.assert_allclose(cut.x_m[:6], [0, 80, 80, 0, 0, 40])
    np.testing.assert_array_equal(cut.new_piece[:6], [True, False, True, False, False, False])
    np.testing.assert_allclose(cut.t_s[6:], [5.0, 5.2])
    with pytest.raises(InputError, match="no vehicle is ever in"):
        tracks.crop(1e6, 1e6, 2e6, 2e6)


def test_select_takes_vehicles_in_the_order_asked() -> None:
    chosen = two_buses().select([1, 0])
    assert chosen.vehicle_ids.tolist() == ["b", "a"]
    np.testing.assert_array_equal(chosen.t_s, [5, 15, 0, 10, 20, 30, 40])
    assert same_tracks(two_buses().select(np.array([False, True])), two_buses().select([1]))


def test_degrees_come_back_from_metres() -> None:
    tracks = two_buses()
    east = replace(tracks, x_m=tracks.x_m + 500_000.0, y_m=tracks.y_m + 5_788_000.0)
    lon, lat = east.lonlat()
    assert lon[0] == pytest.approx(21.0)  # the central meridian of zone 34
    assert lat[0] == pytest.approx(52.24, abs=0.01)
    with pytest.raises(InputError, match="no longitude and latitude"):
        replace(tracks, crs="local").lonlat()


@given(tracks())
def test_at_the_fixes_interpolation_is_exact(drawn: Tracks) -> None:
    legs = drawn.legs()
    for fix in (legs.fix, legs.fix + 1):
        state = drawn.at(drawn.t_s[fix], drawn.vehicle[fix])
        assert state.present.all()
        np.testing.assert_array_equal(state.x_m, drawn.x_m[fix])
        np.testing.assert_array_equal(state.y_m, drawn.y_m[fix])


@given(tracks(), st.floats(0.0, 100.0), st.floats(0.1, 200.0), st.lists(st.floats(0.01, 0.99), min_size=1))
def test_a_window_says_the_same_as_the_whole(
    drawn: Tracks, start: float, length: float, shares: list[float]
) -> None:
    times = start + length * np.array(shares)
    whole = drawn.at(np.tile(times, (drawn.n_vehicles, 1)))
    try:
        cut = drawn.window(start, start + length)
    except InputError:
        assert (~whole.present | _near_break(drawn, times)).all()
        return
    rows = np.searchsorted(drawn.vehicle_ids, cut.vehicle_ids)
    part = cut.at(np.tile(times - start, (cut.n_vehicles, 1)))
    near_break = _near_break(drawn, times)[rows]
    agrees = part.present == whole.present[rows]
    assert (agrees | near_break).all()
    both = part.present & whole.present[rows] & ~near_break
    np.testing.assert_allclose(part.x_m[both], whole.x_m[rows][both], rtol=0, atol=1e-3)
    absent = np.setdiff1d(np.arange(drawn.n_vehicles), rows)
    assert (~whole.present[absent] | _near_break(drawn, times)[absent]).all()


def _near_break(drawn: Tracks, times: np.ndarray) -> np.ndarray:
    """Return (V, K) whether a time is so near a fix of the vehicle that rounding decides the leg."""
    near = np.abs(drawn.t_s[:, None] - times) < 1e-6
    return np.logical_or.reduceat(near, drawn.offsets[:-1], axis=0)


@given(tracks(), st.floats(-1e4, 9e3), st.floats(1.0, 1e4))
def test_a_crop_holds_nothing_outside_the_box(drawn: Tracks, low: float, size: float) -> None:
    try:
        cut = drawn.crop(low, low, low + size, low + size)
    except InputError:
        return
    for column in (cut.x_m, cut.y_m):
        assert column.min() >= low - 1e-6
        assert column.max() <= low + size + 1e-6
    assert cut.n_vehicles <= drawn.n_vehicles


@given(drawn=tracks())
def test_saved_tracks_load_as_they_were(tmp_path_factory: pytest.TempPathFactory, drawn: Tracks) -> None:
    path = drawn.save(tmp_path_factory.mktemp("tracks") / "drawn.parquet")
    assert same_tracks(Tracks.load(path), drawn)
    assert [file.name for file in path.parent.iterdir()] == ["drawn.parquet"]


def test_equal_tracks_make_equal_files(tmp_path: Path) -> None:
    one, two = two_buses().save(tmp_path / "1"), two_buses().save(tmp_path / "2")
    assert one.read_bytes() == two.read_bytes()


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="cannot write"):
        two_buses().save(tmp_path / "file" / "tracks.parquet")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        two_buses().save(tmp_path / "folder")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]


def test_damaged_and_foreign_files_are_refused_by_name(tmp_path: Path) -> None:
    import polars as pl

    good = two_buses().save(tmp_path / "good.parquet")
    cut_short, foreign = tmp_path / "short.parquet", tmp_path / "foreign.parquet"
    cut_short.write_bytes(good.read_bytes()[:-100])
    pl.DataFrame({"a": [1]}).write_parquet(foreign)
    with pytest.raises(InputError, match=r"short\.parquet: damaged Parquet: .*\n.*traces convert"):
        Tracks.load(cut_short)
    with pytest.raises(InputError, match=r"foreign\.parquet: a Parquet file, but not one of tracks"):
        Tracks.load(foreign)
    with pytest.raises(InputError, match="no such file"):
        Tracks.load(tmp_path / "absent.parquet")


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("format", 99, "newer than"),
        ("format", "x", "damaged"),
        ("epoch_s", None, "damaged"),
        ("epoch_s", float("nan"), "NaN"),
        ("epoch_s", 10**399, "damaged"),
        ("epoch_s", 1e18, r"tracks\.parquet: they begin 1e\+18 s from 1970"),
        ("epoch_s", -1e11, "from 1970"),
    ],
)
def test_metadata_is_checked(tmp_path: Path, key: str, value: object, problem: str) -> None:
    import pyarrow.parquet as pq

    path = two_buses().save(tmp_path / "tracks.parquet")
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"fleetlora.tracks"])
    changed = json.dumps({**about, key: value})
    pq.write_table(table.replace_schema_metadata({"fleetlora.tracks": changed}), path)
    with pytest.raises(InputError, match=problem):
        Tracks.load(path)


def test_columns_of_a_saved_file_are_checked(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = two_buses().save(tmp_path / "tracks.parquet")
    table = pq.read_table(path)
    index = table.column_names.index("x_m")
    for column, problem in (
        (pa.array(["?"] * 7), "wrong kind"),
        (pa.array([None] * 7, pa.float64()), "finite"),
    ):
        pq.write_table(table.set_column(index, "x_m", column), path)
        with pytest.raises(InputError, match=problem):
            Tracks.load(path)
    pq.write_table(table.drop_columns("x_m"), path)
    with pytest.raises(InputError, match="column 'x_m' is missing"):
        Tracks.load(path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"x_m": np.zeros(3)}, "differ in length"),
        ({"offsets": np.array([0, 5])}, "do not span"),
        ({"offsets": np.array([0, 7, 7])}, "has no fix"),
        ({"vehicle_ids": np.array(["a", "a"])}, "same id"),
        ({"y_m": np.full(7, np.nan)}, "not a finite number"),
        ({"new_piece": np.zeros(7, dtype=bool)}, "begin a piece"),
        ({"t_s": np.zeros(7)}, "do not increase"),
    ],
)
def test_tracks_refuse_columns_that_contradict(change: dict[str, np.ndarray], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        replace(two_buses(), **change)
