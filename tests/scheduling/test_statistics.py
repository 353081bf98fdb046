"""Facts about the table of arms."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.errors import InputError
from fleetlora.scheduling.statistics import ArmTable


def _table(discount: float = 1.0) -> ArmTable:
    table = ArmTable(rows=2, arms=3, discount=discount)
    rows, arm = np.array([0, 0, 1, 0]), np.array([2, 2, 0, 1])
    table.add(rows, arm, np.array([0.5, 1.0, 0.25, 0.75]), np.array([0.125, 0.375, 0.5, 1.0]))
    return table


def test_repeated_pairs_in_one_call_all_count() -> None:
    table = _table()
    assert table.count.tolist() == [[0, 1, 2], [1, 0, 0]]
    assert table.mean_reward.tolist() == [[0, 0.75, 0.75], [0.25, 0, 0]]
    assert table.mean_cost.tolist() == [[0, 1.0, 0.25], [0.5, 0, 0]]


def test_the_order_of_observations_does_not_matter() -> None:
    forward, backward = _table(), ArmTable(2, 3)
    rows, arm = np.array([0, 1, 0, 0]), np.array([1, 0, 2, 2])
    for row, column, reward, cost in zip(
        rows, arm, [0.75, 0.25, 1.0, 0.5], [1.0, 0.5, 0.375, 0.125], strict=True
    ):
        backward.add(np.array([row]), np.array([column]), np.array([reward]), np.array([cost]))
    assert np.array_equal(forward.mean_reward, backward.mean_reward)
    assert np.array_equal(forward.mean_cost, backward.mean_cost)


def test_nothing_observed_leaves_the_table_as_it_was() -> None:
    table = _table()
    none = np.empty(0, dtype=np.int64)
    table.add(none, none, np.empty(0), np.empty(0))
    assert table.count.sum() == 4


def test_decay_weighs_the_past_and_keeps_means() -> None:
    table = _table(discount=0.5)
    table.decay()
    assert table.count[0, 2] == 1.0
    assert table.mean_reward[0, 2] == 0.75
    table.add(np.array([0]), np.array([2]), np.array([0.25]), np.array([0.75]))
    # (1·0.75 + 1·0.25) / 2 = 0.5 and (1·0.25 + 1·0.75) / 2 = 0.5
    assert (table.mean_reward[0, 2], table.mean_cost[0, 2]) == (0.5, 0.5)


def test_what_has_faded_altogether_is_forgotten() -> None:
    table = _table(discount=0.1)
    for _ in range(9):
        table.decay()
    assert table.count[0, 2] == pytest.approx(2e-9)
    table.decay()
    assert (table.count == 0).all()
    assert (table.mean_reward == 0).all()


def test_without_discount_nothing_decays() -> None:
    table = _table()
    table.decay()
    assert table.count[0, 2] == 2.0


def test_state_is_a_copy_that_restores() -> None:
    table, other = _table(), ArmTable(2, 3)
    state = table.state_dict()
    table.add(np.array([1]), np.array([1]), np.array([1.0]), np.array([1.0]))
    other.load_state_dict(state)
    assert other.count[1, 1] == 0.0
    assert np.array_equal(other.reward_sum, _table().reward_sum)
    other.count[0, 0] = 9.0
    assert state["count"][0, 0] == 0.0


def test_a_state_of_another_shape_or_with_a_missing_column_is_refused() -> None:
    with pytest.raises(InputError, match=r"'count' has shape \(2, 3\), this table \(3, 3\)"):
        ArmTable(3, 3).load_state_dict(_table().state_dict())
    state = _table().state_dict()
    del state["cost_sum"]
    with pytest.raises(InputError, match="'cost_sum'"):
        ArmTable(2, 3).load_state_dict(state)


@pytest.mark.parametrize("discount", [0.0, -0.5, 1.5, float("nan")])
def test_a_discount_outside_its_range_is_refused(discount: float) -> None:
    with pytest.raises(InputError, match="discount"):
        ArmTable(1, 1, discount)
