"""Piecewise linear rows against NumPy's own interpolation."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fleetlora.physics.piecewise import first_reach, value_at

steps = st.floats(0, 10).map(lambda v: round(v, 2))


@given(
    data=st.data(),
    shape=st.tuples(st.integers(1, 4), st.integers(2, 9)),
    x=hnp.arrays(float, 5, elements=steps),
)
def test_reading_and_inverting_agree_with_interpolation(
    data: st.DataObject, shape: tuple[int, int], x
) -> None:
    # Times rise strictly; values rise, with flat stretches.
    t = np.cumsum(data.draw(hnp.arrays(float, shape, elements=steps)) + 0.01, axis=1)
    v = np.cumsum(data.draw(hnp.arrays(float, shape, elements=steps)), axis=1)
    for row in range(shape[0]):
        rows = np.full(5, row)
        assert np.allclose(value_at(t, v, rows, x), np.interp(x, t[row], v[row]))
        reached = first_reach(t, v, rows, x)
        never = x > v[row, -1]
        assert np.array_equal(np.isinf(reached), never)
        at = reached[~never]
        assert np.allclose(np.interp(at, t[row], v[row]), np.maximum(x[~never], v[row, 0]))
        assert (np.interp(at - 1e-3, t[row], v[row]) < x[~never])[at > t[row, 0]].all()


def test_a_flat_stretch_is_reached_at_its_start() -> None:
    t, v = np.array([[0.0, 1.0, 2.0, 3.0]]), np.array([[0.0, 5.0, 5.0, 8.0]])
    assert first_reach(t, v, np.array([0, 0, 0]), np.array([5.0, 0.0, 5.5])).tolist() == [
        1.0,
        0.0,
        2.0 + 0.5 / 3,
    ]


def test_knots_may_coincide() -> None:
    t, v = np.array([[2.0, 2.0]]), np.array([[0.0, 0.0]])
    assert value_at(t, v, np.array([0, 0]), np.array([1.0, 2.0])).tolist() == [0.0, 0.0]
    assert first_reach(t, v, np.array([0, 0]), np.array([0.0, 1.0])).tolist() == [2.0, np.inf]
