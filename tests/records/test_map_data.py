from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from fleetlora.errors import FleetLoraError, InputError
from fleetlora.records import MapData, read_map, street_lines, write_map


def sample(n_vehicles: int = 4, n_frames: int = 5, reach_m: float = 3_000.0) -> MapData:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-reach_m, reach_m, (2, n_vehicles, n_frames))
    x[0, 0] = y[0, 0] = np.nan
    return MapData(
        t_s=10.0 + 5.0 * np.arange(n_frames),
        x_m=x + 500_000,
        y_m=y + 5_800_000,
        serving=rng.integers(-1, 2, (n_vehicles, n_frames)),
        vehicle_ids=[f"bus {v}" for v in range(n_vehicles)],
        rsu_names=["Świętokrzyska", "Centrum"],
        rsu_x_m=np.array([500_000.0, 500_400.0]),
        rsu_y_m=np.array([5_800_000.0, 5_800_400.0]),
        coverage_m=220.0,
        handoff_t_s=np.array([12.5]),
        handoff_vehicle=np.array([1]),
        handoff_from=np.array([0]),
        handoff_to=np.array([1]),
        handoff_x_m=np.array([500_200.0]),
        handoff_y_m=np.array([5_800_200.0]),
        street_x_m=np.array([500_000.0, 500_100.0, np.nan]),
        street_y_m=np.array([5_800_000.0, 5_800_000.0, np.nan]),
    )


@pytest.mark.parametrize(("reach_m", "within_m"), [(3_000.0, 0.06), (30_000.0, 0.5), (500_000.0, 8.0)])
def test_a_map_comes_back_to_the_nearest_step(tmp_path: Path, reach_m: float, within_m: float) -> None:
    data = sample(reach_m=reach_m)
    write_map(data, tmp_path / "figures" / "map.json")
    back = read_map(tmp_path / "figures" / "map.json")
    for name in ("x_m", "y_m", "handoff_x_m", "street_x_m", "street_y_m"):
        np.testing.assert_allclose(getattr(back, name), getattr(data, name), atol=within_m)
    np.testing.assert_allclose(back.t_s, data.t_s)
    there = ~np.isnan(data.x_m)
    np.testing.assert_array_equal(back.serving[there], data.serving[there])
    assert back.serving[0, 0] == -1
    assert tuple(back.rsu_names) == ("Świętokrzyska", "Centrum")
    np.testing.assert_array_equal(back.rsu_x_m, data.rsu_x_m)
    np.testing.assert_array_equal(back.handoff_t_s, data.handoff_t_s)
    assert back.handoff_to.tolist() == [1]


def test_a_large_fleet_stays_small_on_disk(tmp_path: Path) -> None:
    write_map(sample(1_400, 140, 20_000.0), tmp_path / "map.json")
    assert (tmp_path / "map.json").stat().st_size < 2_000_000


def test_a_map_without_frames_handoffs_or_streets_is_a_map(tmp_path: Path) -> None:
    nothing, none = np.empty((0, 0)), np.empty(0)
    handoffs = {f"handoff_{c}": none for c in ("t_s", "vehicle", "from", "to", "x_m", "y_m")}
    empty = dataclasses.replace(
        sample(), t_s=none, x_m=nothing, y_m=nothing, serving=nothing, vehicle_ids=[], **handoffs,
        street_x_m=none, street_y_m=none, rsu_names=[], rsu_x_m=none, rsu_y_m=none,
    )  # fmt: skip
    write_map(empty, tmp_path / "map.json")
    assert read_map(tmp_path / "map.json").x_m.shape == (0, 0)


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for wrong in (
        {"serving": np.zeros((2, 2))},
        {"t_s": np.array([0.0, 1.0, 2.0, 4.0, 5.0])},
        {"handoff_t_s": np.empty(0)},
        {"vehicle_ids": ["one"]},
    ):
        with pytest.raises(FleetLoraError, match="map"):
            write_map(dataclasses.replace(sample(), **wrong), tmp_path / "map.json")
    assert not (tmp_path / "map.json").exists()


def test_a_damaged_or_newer_map_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    for content in ("", "[]", '{"schema": 1}', '{"schema": "x"}'):
        path.write_text(content)
        with pytest.raises(InputError, match=r"map\.json.*(broken JSON|damaged)"):
            read_map(path)
    write_map(sample(), path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"x": document["x"][:-8]}))
    with pytest.raises(InputError, match="no map can be read"):
        read_map(path)
    path.write_text(json.dumps(document | {"schema": 2}))
    with pytest.raises(InputError, match="newer fleetlora"):
        read_map(path)


def test_streets_are_driven_legs_drawn_once() -> None:
    x = np.array([0.0, 100.0, 0.0, 5_000.0, 5_000.0, 5_000.0])
    y = np.zeros(6)
    new_piece = np.array([True, False, False, False, False, True])
    lines_x, lines_y = street_lines(x, y, new_piece, cell_m=10.0)
    # there and back is one leg; 5 km is no street; standing still is none
    assert lines_x[:2].tolist() == [0.0, 100.0]
    assert len(lines_x) == len(lines_y) == 3
    assert np.isnan(lines_x[2])


def test_the_most_driven_streets_are_kept() -> None:
    x = np.array([0.0, 100.0, 0.0, 100.0, 200.0])
    lines_x, _ = street_lines(x, np.zeros(5), np.array([True, False, False, False, False]), most=1)
    assert lines_x[:2].tolist() == [0.0, 100.0]


def test_streets_that_are_cut_for_number_are_cut_everywhere_alike() -> None:
    x = np.arange(0.0, 100_000.0, 100.0)
    lines_x, _ = street_lines(x, np.zeros(len(x)), np.arange(len(x)) == 0, cell_m=10.0, most=100)
    kept = np.histogram(lines_x[::3], bins=4, range=(0, 100_000))[0]
    assert kept.sum() == 100
    assert kept.min() > 10
