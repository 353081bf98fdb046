from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleetlora.tasks import Metrics

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.floats(0, 9)), max_size=40)


def measured(rows: list[tuple[int, int, float]]) -> Metrics:
    labels, guesses, losses = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return Metrics.of(np.asarray(labels, int), np.asarray(guesses, int), np.asarray(losses, float), 4)


def test_accuracy_loss_and_macro_f1_by_hand() -> None:
    # class 0: 2 of 3 found, predicted 2; class 1: 1 of 1 found, predicted 2; classes 2 and 3 never occur
    found = measured([(0, 0, 1.0), (0, 0, 2.0), (0, 1, 3.0), (1, 1, 4.0)])
    assert (found.correct, found.count) == (3, 4)
    assert found.accuracy == 0.75
    assert found.loss == 2.5
    assert math.isclose(found.macro_f1, (2 * 2 / (2 + 3) + 2 * 1 / (2 + 1)) / 2)


@given(pairs, pairs)
def test_the_sum_of_two_measures_is_the_measure_of_all_rows(
    one: list[tuple[int, int, float]], two: list[tuple[int, int, float]]
) -> None:
    both, whole = measured(one) + measured(two), measured(one + two)
    assert math.isclose(both.loss_sum, whole.loss_sum, abs_tol=1e-9)
    for name in ("hits", "predicted", "actual"):
        assert np.array_equal(getattr(both, name), getattr(whole, name))


def test_no_rows_measure_as_not_a_number_and_add_nothing() -> None:
    none = Metrics.zero(4)
    assert all(math.isnan(value) for value in (none.accuracy, none.loss, none.macro_f1))
    assert (measured([(1, 1, 0.5)]) + none).accuracy == 1.0
