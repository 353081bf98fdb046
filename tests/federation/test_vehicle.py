"""What vehicles foresee, against calculations by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.federation.costs import UpdateCosts
from fleetlora.federation.residence import coverage_exit_s
from fleetlora.federation.reward import gain, reward
from fleetlora.federation.vehicle import forecast
from fleetlora.physics import DEFAULT_DEVICES, DeviceColumns, EnergyModel


def deadline(foreseen_s: np.ndarray) -> np.ndarray:
    return np.full_like(foreseen_s, 30.0)


def residence(x: float, y: float, vx: float, vy: float, radius: float = 100.0, cap: float = 600.0) -> float:
    columns = [np.array([value]) for value in (x, y, vx, vy)]
    return float(coverage_exit_s(*columns, radius, cap)[0])


def test_a_vehicle_at_the_centre_leaves_after_one_radius() -> None:
    assert residence(0, 0, 10, 0) == pytest.approx(10.0)


def test_a_vehicle_that_enters_drives_through_the_whole_chord() -> None:
    # enters at x = -80 on the line y = 60 of a circle of 100 m: the chord is 160 m long
    assert residence(-80, 60, 20, 0) == pytest.approx(8.0)


def test_a_vehicle_that_drives_outwards_at_the_edge_leaves_at_once() -> None:
    assert residence(100, 0, 10, 0) == pytest.approx(0.0)


def test_a_standing_vehicle_stays_for_the_cap() -> None:
    assert residence(30, 0, 0, 0, cap=600) == 600


def test_a_slow_vehicle_is_not_promised_more_than_the_cap() -> None:
    assert residence(0, 0, 0.01, 0, cap=600) == 600


def test_a_forecast_is_what_a_hand_calculation_gives() -> None:
    costs = UpdateCosts(np.array([4]), np.array([125_000]), np.array([250_000]), np.array([3e9]))
    devices = DeviceColumns.of(DEFAULT_DEVICES, np.array([0]))  # 15 GFLOP/s; 3.5 W, tx 3.5 W, rx 1.8 W
    made = forecast(
        costs, 5, devices, EnergyModel(), np.array([10e6]), np.array([5e6]), np.array([2.0]), deadline
    )
    # 1 Mbit at half of 10 Mbit/s; 15 GFLOP at 15 GFLOP/s; 2 Mbit at half of 5 Mbit/s
    assert made.download_s[0, 0] == pytest.approx(0.2)
    assert made.compute_s[0, 0] == pytest.approx(1.0)
    assert made.upload_s[0, 0] == pytest.approx(0.8)
    assert made.total_s[0, 0] == pytest.approx(2.0)
    assert made.joules[0, 0] == pytest.approx(1.8 * 0.2 + 3.5 * 1.0 + 3.5 * 0.8)
    # at worst the radio sends for all of the 29 s that training leaves
    assert made.worst_j[0, 0] == pytest.approx(3.5 * 1.0 + 3.5 * 29.0)


def test_measuring_the_gain_costs_joules_and_no_time() -> None:
    costs = UpdateCosts(np.array([4]), np.array([125_000]), np.array([250_000]), np.array([3e9]))
    devices = DeviceColumns.of(DEFAULT_DEVICES, np.array([0, 0]))  # 15 GFLOP/s; 3.5 W
    ones = np.ones(2)
    link = (1e7 * ones, 5e6 * ones, ones, deadline)
    made = forecast(costs, 5, devices, EnergyModel(), *link, test_steps=np.array([0.0, 0.75]))
    np.testing.assert_allclose(made.test_s[:, 0], [0.0, 0.75 * 0.2])  # 3 GFLOP a step
    assert made.total_s[0] == made.total_s[1]
    np.testing.assert_allclose(np.diff(made.joules[:, 0]), 3.5 * 0.15)
    np.testing.assert_allclose(np.diff(made.worst_j[:, 0]), 3.5 * 0.15)


def test_a_forecast_has_one_column_a_rank_and_one_row_a_vehicle() -> None:
    ranks = np.array([2, 4, 8])
    costs = UpdateCosts(ranks, 1000 * ranks, 1000 * ranks, 1e9 * ranks)
    devices = DeviceColumns.of(DEFAULT_DEVICES, np.array([0, 1, 2, 3, 0]))
    ones = np.ones(5)
    made = forecast(costs, 4, devices, EnergyModel(), 1e7 * ones, 1e7 * ones, ones, deadline)
    assert made.joules.shape == made.worst_j.shape == made.total_s.shape == (5, 3)
    assert (np.diff(made.joules, axis=1) > 0).all()
    np.testing.assert_array_equal(made.joules[0], made.joules[4])


def test_the_reward_is_gain_less_latency_and_nothing_when_lost() -> None:
    before, after = np.array([2.0, 2.0, 2.0, np.nan]), np.array([1.0, 1.0, 3.0, np.nan])
    delivered = np.array([True, False, True, True])
    gains = gain(before, after, delivered)
    got = reward(gains, np.array([15.0, 15.0, 15.0, 15.0]), delivered, beta=0.2, deadline_s=30.0)
    # half the loss gone, less 0.2 · 15/30; lost; a loss that rose; no held-out samples
    np.testing.assert_allclose(got, [0.4, 0.0, 0.0, 0.0])
