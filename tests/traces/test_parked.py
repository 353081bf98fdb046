"""Which legs are parked."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.1, 10.0, 100.0, 150.0]), st.sampled_from([-60.0, -20.0, 0.0, 20.0, 50.0])
        ),
        min_size=1,
        max_size=30,
    ),
    st.lists(st.integers(1, 29), max_size=3),
)
def test_stays_are_those_found_fix_by_fix(steps: list[tuple[float, float]], breaks: list[int]) -> None:
    n = len(steps)
    t, x = (np.cumsum(column).tolist() for column in zip(*steps, strict=True))
    cuts = tuple(sorted({b for b in breaks if b < n}))
    expected: set[int] = set()
    for first in range(n):
        piece_end = min([b for b in cuts if b > first], default=n)
        for ahead in range(first + 1, piece_end):
            if abs(x[ahead] - x[first]) > 50.0:
                break
            if t[ahead] - t[first] >= 300.0:
                expected |= set(range(first, ahead))
                break
    assert parked(t, x, cuts) == sorted(expected)
