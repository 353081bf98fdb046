"""Whole cities in miniature: what is played, and that an update costs no more in a large one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleetlora.bench import BENCHES
from fleetlora.bench.city import TASKS, City
from fleetlora.bench.scale import Scale, exponent, play
from fleetlora.bench.taxis import drawn_taxis
from fleetlora.console import Quiet
from fleetlora.errors import FleetLoraError


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """Two cities, played in this process."""
    done = {}
    for vehicles in (1000, 4000):
        folder = tmp_path_factory.mktemp("city")
        City(vehicles=vehicles, rounds=15).make(folder)
        done[vehicles] = play(folder)
    return done


def test_an_update_costs_no_more_in_a_large_city(played: dict[int, dict[str, Any]]) -> None:
    """Fixed costs of a round make it much cheaper: it took 0.4 times as long when this was written."""
    assert played[4000]["us_per_update"] < played[1000]["us_per_update"]


def test_books_are_right_and_budgets_are_kept(played: dict[int, dict[str, Any]]) -> None:
    for vehicles, row in played.items():
        assert row["rounds"] == 15
        assert row["rsus"] == vehicles // 100
        assert row["handoffs"] > 0
        assert 0 < row["updates"]["arrived"] <= row["updates"]["started"]
        assert row["overdraw_j"] == 0.0
        assert row["ledger_error_j"] < 1e-9
        assert row["build_s"] + row["rounds_s"] <= row["cpu_s"]


def test_larger_cities_have_more_updates_in_proportion(played: dict[int, dict[str, Any]]) -> None:
    ratio = played[4000]["updates"]["started"] / played[1000]["updates"]["started"]
    assert 2.5 < ratio < 6.0


def test_the_curve_says_that_it_was_fitted_to_nothing(tmp_path: Path) -> None:
    City(vehicles=100, rounds=1).make(tmp_path)
    curve = json.loads((tmp_path / "curve.json").read_text("utf-8"))
    assert curve["synthetic"].startswith("fitted to no run")
    assert set(curve["error_points"]) == set(TASKS)


def test_the_bench_measures_each_size_in_a_process_of_its_own() -> None:
    bench = Scale(vehicles=(300,), rounds=5)
    assert BENCHES.get("scale") is Scale
    measured = bench.measure(Quiet())
    assert len(list(bench.lines(measured))) == 2
    assert measured["tasks"] == 3
    assert measured["sizes"][0]["peak_mib"] > 50
    assert measured["exponents"] == {"cpu_s": None, "peak_mib": None}


def test_exponents_are_those_of_powers() -> None:
    assert exponent([10, 100, 1000], [2.0 * n**1.5 for n in (10, 100, 1000)]) == pytest.approx(1.5)
    assert exponent([10, 10], [1.0, 2.0]) is None


def test_a_city_without_vehicles_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 100"):
        Scale(vehicles=(10,))


def test_a_process_that_dies_is_told_of(tmp_path: Path) -> None:
    from fleetlora.bench.scale import _alone

    with pytest.raises(FleetLoraError, match="died"):
        _alone(_dies, tmp_path)


def _dies(folder: Path) -> None:
    import os

    os._exit(1)


def test_drawn_taxis_stay_in_a_city_of_any_size() -> None:
    tracks = drawn_taxis(20, 400, 3600.0, seed=2, city_m=500.0)
    assert (np.stack([tracks.x_m, tracks.y_m]) >= 0).all()
    assert 400 < tracks.x_m.max() <= 500.0
