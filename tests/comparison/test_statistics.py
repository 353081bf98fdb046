"""Means, intervals and paired differences over seeds, and the Pareto front, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.comparison.front import pareto_front
from fleetlora.comparison.statistics import difference, estimate, percent_difference


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
    assert got.low is None
    assert got.high is None


def test_a_seed_without_a_value_leaves_no_mean() -> None:
    assert estimate([1.0, None]).value is None


def test_a_constant_difference_is_certain_however_much_the_seeds_vary() -> None:
    got = difference([0.5, 0.7, 0.9], [0.4, 0.6, 0.8], scale=100)
    assert got.value == pytest.approx(10.0)
    assert (got.low, got.high) == (pytest.approx(10.0), pytest.approx(10.0))


def test_a_percent_difference_is_that_of_the_means() -> None:
    assert percent_difference([6.0, 6.0], [8.0, 8.0]).value == pytest.approx(-25.0)


def test_the_front_holds_those_that_nobody_beats() -> None:
    cost, gain = np.array([1.0, 2.0, 3.0, 2.0, np.nan]), np.array([0.5, 0.8, 0.7, 0.8, 0.9])
    assert pareto_front(cost, gain).tolist() == [True, True, False, True, False]
