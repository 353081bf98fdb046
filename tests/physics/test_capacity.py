"""Bits along a track, against rates whose integral is known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from fleetlora.physics import Capacity, Link, Sampling, ShadowField, Umi, capacity_along

Floats = NDArray[np.float64]


class Falling:
    """A channel whose rate falls linearly with x: 10 Mbit/s − 20 kbit/s per metre, uplink half of it."""

    def rates_bps(self, site: object, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        rate = 10e6 - 20e3 * x
        return rate, rate / 2


def _driving(speed_mps: Floats):
    return lambda t: (speed_mps[:, None] * t, np.zeros_like(t))


def test_a_linear_rate_integrates_exactly() -> None:
    # At 15 m/s the rate after t seconds is 10 − 0.3 t Mbit/s; from 2 s to 12 s that is
    # 10·10 − 0.3·(144 − 4)/2 = 79 Mbit.
    capacity = capacity_along(_driving(np.array([15.0])), Falling(), [0], [2.0], [12.0])
    assert capacity.down_bits[0, -1] == pytest.approx(79e6)
    assert capacity.up_bits[0, -1] == pytest.approx(39.5e6)
    assert (capacity.t_s[0, 0], capacity.t_s[0, -1]) == (2.0, 12.0)


def test_knots_lie_at_most_the_spacing_apart_along_the_path() -> None:
    def stop_and_go(t: Floats) -> tuple[Floats, Floats]:
        # 14 m/s, a stop from 10 s to 30 s, then around a corner at 7 m/s.
        x = 14 * np.minimum(t, 10.0)
        return x, 7 * np.maximum(t - 30.0, 0.0)

    capacity = capacity_along(stop_and_go, Falling(), [0], [0.0], [40.0], Sampling(knot_spacing_m=2.5))
    x, y = stop_and_go(capacity.t_s)
    steps = np.hypot(np.diff(x), np.diff(y))
    assert steps.max() <= 2.5 + 1e-9
    assert np.diff(capacity.t_s).max() <= 2.0 + 1e-9
    assert capacity.t_s.shape[1] == (140 + 70) / 2.5 + 40 / 2.0 + 1
    # 0 to 10 s: 10·10 − 0.28·100/2 = 86 Mbit; then at x = 140 m 7.2 Mbit/s for 30 s, 216 Mbit. The knot
    # interval in which it comes to a stop is not linear: nearly, not exactly.
    assert capacity.down_bits[0, -1] == pytest.approx(302e6, rel=2e-4)


def test_standing_and_instant_rows_ride_along() -> None:
    speed, t0, t1 = np.array([0.0, 10.0, 10.0]), np.zeros(3), np.array([20.0, 20.0, 0.0])
    capacity = capacity_along(_driving(speed), Falling(), np.zeros(3, int), t0, t1)
    assert capacity.down_bits[:, -1] == pytest.approx([200e6, 200e6 - 0.2e6 * 200, 0.0])
    assert np.array_equal(capacity.t_s[:, -1], t1)


def test_no_vehicles_give_an_empty_capacity() -> None:
    capacity = capacity_along(_driving(np.empty(0)), Falling(), np.empty(0, int), np.empty(0), np.empty(0))
    assert capacity.t_s.shape == (0, 2)


def test_finer_knots_hardly_change_the_integral_of_a_real_channel() -> None:
    radio = Umi()
    link = Link(radio, ShadowField(radio, 60, seed=1), np.zeros(60), np.zeros(60))
    speed = np.linspace(3, 15, 60)

    def passing(t: Floats) -> tuple[Floats, Floats]:
        return -200 + speed[:, None] * t, np.full_like(t, 12.0)

    coarse, fine = (
        capacity_along(
            passing, link, np.arange(60), np.zeros(60), np.full(60, 30.0), Sampling(knot_spacing_m=s)
        )
        for s in (2.5, 0.25)
    )
    error = coarse.up_bits[:, -1] / fine.up_bits[:, -1] - 1
    assert np.abs(error).max() < 0.05
    assert abs(error.mean()) < 0.005


def test_constant_rates_grow_straight() -> None:
    capacity = Capacity.constant([1.0, 1.0], 5.0, 2e6, [1e6, 0.0])
    assert capacity.down_bits.tolist() == [[0.0, 8e6], [0.0, 8e6]]
    assert capacity.up_bits.tolist() == [[0.0, 4e6], [0.0, 0.0]]


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(ValueError, match="before t0_s"):
        capacity_along(_driving(np.array([1.0])), Falling(), [0], [2.0], [1.0])


def test_a_vehicle_without_a_position_is_refused() -> None:
    with pytest.raises(ValueError, match="no position"):
        capacity_along(_driving(np.array([np.nan])), Falling(), [0], [0.0], [9.0])


@pytest.mark.parametrize(
    ("t", "down", "message"),
    [
        ([[0.0, 1.0]], [[1.0, 0.0]], "down_bits .* must not fall"),
        ([[1.0, 0.0]], [[0.0, 1.0]], "t_s .* must not fall"),
        ([[0.0, np.nan]], [[0.0, 1.0]], "t_s must be finite"),
        ([[0.0]], [[0.0]], "K of at least 2"),
        ([[0.0, 1.0]], [[0.0, 1.0, 2.0]], "one shape"),
    ],
)
def test_tables_that_are_not_cumulative_are_refused(t: list, down: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Capacity(np.array(t), np.array(down), np.array(t))


@pytest.mark.parametrize("key", ["knot_spacing_m", "knot_spacing_s", "probe_s"])
def test_spacings_must_be_positive(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        Sampling(**{key: 0.0})
