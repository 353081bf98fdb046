"""Device classes, their shares and their columns; computing time and backhaul."""

import numpy as np
import pytest
from pydantic import ValidationError

from fleetlora.errors import ConfigError
from fleetlora.physics import (
    DEFAULT_DEVICES,
    Backhaul,
    DeviceClass,
    DeviceColumns,
    assign_devices,
    check_devices,
    compute_seconds,
)


def _device(**values: object) -> DeviceClass:
    base = {"name": "one", "share": 1.0, "flops_per_s": 1e9, "power_compute_w": 2.0}
    return DeviceClass(**{**base, "power_idle_w": 1.0, "frequency_hz": 1e9, **values})


def test_the_default_table_is_whole_and_grows_in_speed_and_power() -> None:
    check_devices(DEFAULT_DEVICES)
    rates = [device.flops_per_s for device in DEFAULT_DEVICES]
    watts = [device.power_compute_w for device in DEFAULT_DEVICES]
    assert (rates, watts) == (sorted(rates), sorted(watts))
    assert len(DEFAULT_DEVICES) == 4


def test_shares_are_kept_exactly_and_in_random_order() -> None:
    # 0.25, 0.35, 0.25, 0.15 of 200 vehicles: 50, 70, 50, 30.
    assigned = assign_devices(200, DEFAULT_DEVICES, np.random.default_rng(0))
    assert np.bincount(assigned).tolist() == [50, 70, 50, 30]
    assert not np.array_equal(assigned, np.sort(assigned))


def test_leftover_vehicles_go_to_the_largest_remainders() -> None:
    # 9 vehicles: 2.25, 3.15, 2.25, 1.35 → 2, 3, 2, 1 and one more for the remainder 0.35.
    assert np.bincount(assign_devices(9, DEFAULT_DEVICES, np.random.default_rng(0))).tolist() == [2, 3, 2, 2]
    assert assign_devices(0, DEFAULT_DEVICES, np.random.default_rng(0)).shape == (0,)


def test_the_same_generator_state_assigns_the_same_devices() -> None:
    one, two = (assign_devices(50, DEFAULT_DEVICES, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "empty"),
        ([_device(share=0.6), _device(name="two", share=0.6)], r"sum to 1.2, not 1(.|\n)*one, two"),
        ([_device(share=0.5), _device(share=0.5)], "'one' appears twice"),
    ],
)
def test_a_table_that_is_not_a_fleet_is_refused(classes: list[DeviceClass], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        assign_devices(10, classes, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("share", -0.1),
        ("share", 1.1),
        ("flops_per_s", 0.0),
        ("power_tx_w", -1.0),
        ("name", ""),
        ("kappa", 0.0),
    ],
)
def test_impossible_devices_are_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        _device(**{key: value})


def test_switching_power_is_kappa_f_cubed_and_matches_the_watts_by_default() -> None:
    # 1e-28 · (2e9)³ = 1e-28 · 8e27 = 0.8 W
    assert _device(kappa=1e-28, frequency_hz=2e9).switching_power_w == pytest.approx(0.8)
    assert _device().switching_power_w == 2.0


def test_columns_follow_the_assignment() -> None:
    assigned = np.array([3, 0, 0])
    columns = DeviceColumns.of(DEFAULT_DEVICES, assigned)
    assert columns.flops_per_s.tolist() == [1.6e12, 15e9, 15e9]
    assert columns.take(np.array([1])).power_compute_w.tolist() == [3.5]


def test_computing_takes_flops_over_rate() -> None:
    # 150 GFLOP at 15 GFLOP/s take 10 s.
    assert compute_seconds([150e9, 0.0], 15e9).tolist() == [10.0, 0.0]
    with pytest.raises(ValueError, match="positive rate"):
        compute_seconds(1.0, 0.0)
    with pytest.raises(ValueError, match="at least 0"):
        compute_seconds(-1.0, 1.0)


def test_backhaul_takes_latency_and_bits_over_rate() -> None:
    # 1 MB = 8 Mbit at 1 Gbit/s take 8 ms, and the latency is 10 ms.
    assert Backhaul().seconds([1e6, 0.0]) == pytest.approx([0.018, 0.0])
    with pytest.raises(ValueError, match="negative"):
        Backhaul().seconds(-1)
    with pytest.raises(ValidationError, match="rate_bps"):
        Backhaul(rate_bps=0)
