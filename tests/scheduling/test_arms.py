"""Facts about the steps over rows of arms, and about the pace of a budget."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.scheduling import Account
from fleetlora.scheduling.arms import at_or_below, best_arm, first_pulls, ranks_of, take_turns
from fleetlora.scheduling.pace import Pace

YES, NO = True, False


def test_an_infeasible_arm_falls_to_the_next_lower_feasible_one() -> None:
    feasible = np.array([[YES, YES, NO, YES], [NO, NO, YES, YES], [YES, YES, YES, YES], [YES, NO, NO, NO]])
    assert at_or_below(feasible, np.array([2, 1, 2, -1])).tolist() == [1, -1, 2, -1]


def test_no_arm_has_rank_zero() -> None:
    assert ranks_of(np.array([2, 4, 8]), np.array([2, -1, 0])).tolist() == [8, 0, 2]


def test_the_best_arm_is_feasible_and_the_lowest_of_equals() -> None:
    score = np.array([[0.5, 0.9, 0.5], [0.1, 0.1, 0.1], [1.0, 2.0, 3.0]])
    feasible = np.array([[YES, NO, YES], [YES, YES, YES], [NO, NO, NO]])
    assert best_arm(score, feasible).tolist() == [0, 0, -1]


def test_members_of_a_row_take_turns() -> None:
    row = np.array([7, 3, 7, 7, 3, 7])
    mask = np.array([[YES, NO, YES]] * 5 + [[NO, NO, NO]])
    assert take_turns(row, mask).tolist() == [0, 0, 2, 0, 2, -1]


def test_each_new_arm_is_tried_by_one_member_while_the_others_use_what_is_known() -> None:
    row = np.zeros(4, dtype=np.int64)
    feasible = np.ones((4, 3), dtype=np.bool_)
    assert first_pulls(row, feasible, np.tile([0.0, 5.0, 0.0], (4, 1))).tolist() == [0, 2, -1, -1]
    assert first_pulls(row, feasible, np.zeros((4, 3))).tolist() == [0, 1, 2, 0]


def test_empty_rounds_pass() -> None:
    none, table = np.empty(0, dtype=np.int64), np.empty((0, 3))
    mask = np.empty((0, 3), dtype=np.bool_)
    for chosen in (
        at_or_below(mask, none),
        best_arm(table, mask),
        take_turns(none, mask),
        first_pulls(none, mask, table),
    ):
        assert chosen.shape == (0,)


def test_the_pace_is_inferred_from_the_part_that_is_over() -> None:
    pace = Pace(scale_j=50.0)
    assert (pace.overall, pace.left) == (np.inf, np.inf)
    pace.count(30)
    pace.count(10)
    # 40 decisions in a quarter of the horizon: 160 in all, 120 to come; 8000 J are 160, 6800 J are 136 costs
    pace.settle(Account(1200.0, 2000.0, 1200.0, 8000.0, 0.25))
    assert (pace.decisions, pace.recent) == (40, 0)
    assert pace.overall == pytest.approx(1.0)
    assert pace.left == pytest.approx(136 / 120)


def test_the_pace_is_infinite_without_a_budget_without_decisions_and_at_the_end() -> None:
    pace = Pace(scale_j=50.0)
    pace.settle(Account(0.0, 100.0, 0.0, 1000.0, 0.5))
    assert (pace.overall, pace.left) == (np.inf, np.inf)
    pace.count(10)
    pace.settle(Account(0.0, np.inf, 500.0, np.inf, 0.5))
    assert (pace.overall, pace.left) == (np.inf, np.inf)
    pace.settle(Account(0.0, 100.0, 500.0, 1000.0, 1.0))
    assert (pace.overall, pace.left) == (2.0, np.inf)


def test_a_spent_budget_leaves_nothing_a_decision() -> None:
    pace = Pace(scale_j=50.0)
    pace.count(10)
    pace.settle(Account(0.0, 100.0, 1000.0, 1000.0, 0.5))
    assert pace.left == 0.0
