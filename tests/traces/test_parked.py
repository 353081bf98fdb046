"""Which legs are parked."""

from __future__ import annotations

import numpy as np

from fleetlora.traces.parked import parked_legs


def parked(t: list[float], x: list[float], breaks: tuple[int, ...] = ()) -> list[int]:
    """Return the fixes where a parked leg starts: 50 m, 300 s."""
    new = np.zeros(len(t), dtype=bool)
    new[[0, *breaks]] = True
    return np.flatnonzero(parked_legs(np.array(t), np.array(x), np.zeros(len(t)), new, 50.0, 300.0)).tolist()


def test_a_vehicle_that_stays_for_long_is_parked_until_it_leaves() -> None:
    assert parked([0, 100, 200, 300, 400, 500], [0, 500, 510, 505, 500, 1000]) == [1, 2, 3]
    assert parked([0, 100, 200, 300, 400, 500], [0, 500, 510, 505, 500, 510]) == [1, 2, 3, 4]
    assert parked([0, 400, 500], [0, 20, 900]) == [0]


def test_a_red_light_is_not_parking() -> None:
    assert parked([0, 100, 200, 300], [0, 0, 0, 400]) == []


def test_a_creeping_vehicle_is_not_parked() -> None:
    t = list(range(0, 2000, 60))
    assert parked(t, [0.3 * s for s in t]) == []  # 90 m in 300 s
    assert parked(t, [0.1 * s for s in t]) == list(range(len(t) - 1))  # 30 m in 300 s


def test_a_stay_does_not_reach_over_a_gap() -> None:
    assert parked([0, 200, 1000, 1200], [0, 0, 0, 0], breaks=(2,)) == []


def test_dense_fixes_are_no_hindrance() -> None:
    t = np.arange(0.0, 3600.0, 1.0)
    x = np.where(t < 1800, 0.0, (t - 1800) * 10.0)
    assert parked(t.tolist(), x.tolist())[-1] in range(1799, 1806)
