"""Slopes: what is put in comes out, and nothing comes out of what has no logarithm."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.regret.exponents import band, fit_exponent, fitted_from
from fleetlora.rng import stream

ROUNDS = np.geomspace(1e3, 1e5, 17)


@pytest.mark.parametrize("power", [0.5, 1.0, -0.25, 0.0])
def test_a_power_of_t_has_that_slope(power: float) -> None:
    curves = np.outer([1.0, 2.0, 3.0], ROUNDS**power)
    found = fit_exponent(ROUNDS, curves, stream(0))
    assert found is not None
    assert found.value == pytest.approx(power)
    assert (found.low, found.high) == pytest.approx((power, power))
    assert found.scale == pytest.approx(2.0)


def test_the_interval_covers_the_slope_of_noisy_curves() -> None:
    covered = 0
    for trial in range(40):
        noise = np.exp(0.3 * stream(trial, "noise").standard_normal((20, len(ROUNDS))))
        found = fit_exponent(ROUNDS, ROUNDS**0.5 * noise, stream(trial))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.5 <= found.high
    assert covered >= 34  # 95 % of 40 is 38; the bootstrap over 20 seeds is a little narrow


@pytest.mark.parametrize("end", [0.0, -3.0])
def test_a_curve_that_touches_zero_has_no_slope(end: float) -> None:
    curves = np.tile(ROUNDS**0.5, (4, 1))
    curves[:, 3] = end
    assert fit_exponent(ROUNDS, curves, stream(0)) is None


def test_an_interval_that_rests_on_few_seeds_is_not_given() -> None:
    curves = np.zeros((5, len(ROUNDS)))
    curves[0] = ROUNDS**0.5  # a third of the resamples lack this seed
    found = fit_exponent(ROUNDS, curves, stream(0))
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert found.low is None
    assert found.high is None


def test_slopes_are_fitted_over_two_fifths_of_the_decades() -> None:
    assert fitted_from(100_000) == pytest.approx(1_000)


def test_the_band_holds_the_mean_and_narrows_with_seeds() -> None:
    noise = stream(1).standard_normal((400, 3))
    few, many = band(noise[:10], stream(2)), band(noise, stream(2))
    for found in (few, many):
        assert (found.low <= found.mean).all()
        assert (found.mean <= found.high).all()
    # 1.96·2/√400 = 0.196
    assert many.high - many.low == pytest.approx(0.196, rel=0.2)
    assert (few.high - few.low > many.high - many.low).all()
