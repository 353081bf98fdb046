"""Means, intervals and paired differences over seeds, and the Pareto front, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.comparison.front import pareto_front
from fleetlora.comparison.statistics import difference, estimate, is_shown, percent_difference


def test_equal_values_have_an_interval_without_width() -> None:
    got = estimate([0.4, 0.4, 0.4])
    assert (got.value, got.low, got.high, got.n) == (
        pytest.approx(0.4),
        pytest.approx(0.4),
        pytest.approx(0.4),
        3,
    )


def test_two_seeds_span_their_interval() -> None:
    # resamples of two values have means 1, 2, 3 with probabilities 1/4, 1/2, 1/4: the outer 2.5 % are 1 and 3
    got = estimate([1.0, 3.0])
    assert (got.value, got.low, got.high) == (2.0, 1.0, 3.0)


def test_one_seed_has_no_interval() -> None:
    got = estimate([0.7])
    assert got.value == 0.7
    assert (got.low, got.high, got.t_low, got.t_high) == (None, None, None, None)


def test_a_seed_without_a_value_leaves_no_mean() -> None:
    assert estimate([1.0, None]).value is None


def test_a_constant_difference_is_certain_however_much_the_seeds_vary() -> None:
    got = difference([0.5, 0.7, 0.9], [0.4, 0.6, 0.8], scale=100)
    assert got.value == pytest.approx(10.0)
    assert (got.low, got.high) == (pytest.approx(10.0), pytest.approx(10.0))


def test_the_bootstrap_of_three_seeds_is_their_range_and_holds_the_mean_three_times_in_four() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(400, 3))
    found = [estimate(list(row)) for row in drawn]
    assert np.allclose([(one.low, one.high) for one in found], np.stack([drawn.min(1), drawn.max(1)], 1))
    held = np.mean([one.low < 0 < one.high for one in found])
    assert held == pytest.approx(0.75, abs=0.05)


def test_students_interval_of_three_normal_seeds_holds_the_mean_95_times_in_a_hundred() -> None:
    found = [estimate(list(row)) for row in np.random.default_rng(0).normal(size=(400, 3))]
    assert np.mean([one.t_low < 0 < one.t_high for one in found]) == pytest.approx(0.95, abs=0.025)


def test_students_interval_is_the_one_of_the_tables() -> None:
    # one degree of freedom: 12.706 standard errors, which are sqrt(2) / sqrt(2) = 1
    got = estimate([1.0, 3.0])
    assert (got.t_low, got.t_high) == (
        pytest.approx(2 - 12.706, abs=1e-3),
        pytest.approx(2 + 12.706, abs=1e-3),
    )
    paired = difference([0.5, 0.9], [0.4, 0.6], scale=10)
    assert (paired.t_low, paired.t_high) == (
        pytest.approx(2 - 12.706, abs=1e-3),
        pytest.approx(14.706, abs=1e-3),
    )


def test_students_interval_of_a_ratio_is_that_of_its_logarithm() -> None:
    # ratio 7 / 8; the seeds lie beside the logarithm by 6 / 7 - 1 and 8 / 7 - 1: a standard error of 1 / 7
    got = percent_difference([6.0, 8.0], [8.0, 8.0])
    factor = np.exp(12.7062 / 7)
    assert got.value == pytest.approx(-12.5)
    assert got.t_low == pytest.approx(100 * (7 / 8 / factor - 1), abs=1e-3)
    assert got.t_high == pytest.approx(100 * (7 / 8 * factor - 1), abs=1e-2)
    other = percent_difference([8.0, 8.0], [6.0, 8.0])
    assert 1 + other.t_low / 100 == pytest.approx(1 / (1 + got.t_high / 100))


def test_a_ratio_of_nothing_has_no_students_interval() -> None:
    got = percent_difference([0.0, 0.0], [1.0, 2.0])
    assert (got.value, got.low, got.high, got.t_low) == (-100.0, -100.0, -100.0, None)


def test_a_difference_is_shown_if_no_interval_holds_zero() -> None:
    assert is_shown({"low": 1.0, "high": 2.0, "t_low": 0.5, "t_high": 2.5})
    assert is_shown({"low": -2.0, "high": -1.0, "t_low": -2.5, "t_high": -0.5})
    assert not is_shown({"low": 1.0, "high": 2.0, "t_low": -0.5, "t_high": 3.5})
    assert not is_shown({"low": None, "high": None, "t_low": None, "t_high": None})
    assert is_shown({"low": 1.0, "high": 2.0})  # of a version before


def test_a_percent_difference_is_that_of_the_means() -> None:
    assert percent_difference([6.0, 6.0], [8.0, 8.0]).value == pytest.approx(-25.0)


def test_the_front_holds_those_that_nobody_beats() -> None:
    cost, gain = np.array([1.0, 2.0, 3.0, 2.0, np.nan]), np.array([0.5, 0.8, 0.7, 0.8, 0.9])
    assert pareto_front(cost, gain).tolist() == [True, True, False, True, False]
