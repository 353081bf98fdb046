"""Dividing joules among tasks: shares by hand, floors, roll-over, and caps that hold."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.errors import ConfigError
from fleetlora.federation.budgets import BUDGET_RULES, Dividing, Equal, Feedback, Paper, TaskReport, floored
from fleetlora.federation.settings import BudgetSettings


def report(gain: list[float], joules: list[float]) -> TaskReport:
    made = TaskReport(len(gain))
    for k, (g, j) in enumerate(zip(gain, joules, strict=True)):
        made.add(k, g, j)
    return made


def test_feedback_moves_towards_gain_per_joule_by_hand() -> None:
    # 4 and 1 of gain for 10 J each: efficiencies 0.4 and 0.1, shares 0.8 and 0.2; half way from 0.5 and 0.5
    got = Feedback(smoothing=0.5, floor=0.0).shares(report([4, 1], [10, 10]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(got, [0.65, 0.35])


def test_feedback_never_starves_a_task() -> None:
    shares = np.full(4, 0.25)
    for _ in range(50):
        shares = Feedback(smoothing=1.0, floor=0.4).shares(report([1, 0, 0, 0], [1, 1, 1, 1]), shares)
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.1, 0.1])


def test_a_task_that_spent_nothing_counts_as_average() -> None:
    got = Feedback(smoothing=1.0, floor=0.0).shares(report([2, 0, 4], [1, 0, 1]), np.full(3, 1 / 3))
    np.testing.assert_allclose(got, [2 / 9, 3 / 9, 4 / 9])


def test_the_papers_rule_by_hand() -> None:
    # gains 3 : 1 and joules 1 : 1: factors (1 + 0.75)·0.5 and (1 + 0.25)·0.5
    got = Paper().shares(report([3, 1], [5, 5]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(got, [1.75 / 3, 1.25 / 3])


def test_floored_shares_sum_to_one_and_keep_their_order() -> None:
    got = floored(np.array([0.9, 0.06, 0.04]), 0.1)
    np.testing.assert_allclose(got, [0.8, 0.1, 0.1])


@pytest.mark.parametrize("name", BUDGET_RULES.names())
def test_every_rule_keeps_the_total_and_takes_back_no_joule_spent(name: str) -> None:
    rng = np.random.default_rng(1)
    dividing = Dividing(BUDGET_RULES.get(name)(), [0.2, 0.3, 0.5])
    budget, spent = 1000.0 * np.array([0.2, 0.3, 0.5]), np.zeros(3)
    for _ in range(30):
        step = rng.random(3) * (budget - spent) * 0.2
        spent = spent + step
        for k in range(3):
            dividing.report.add(k, float(rng.random()), float(step[k]))
        budget = dividing.divide(spent, budget)
        assert budget.sum() == pytest.approx(1000.0)
        assert (budget >= spent - 1e-9).all()


def test_unspent_joules_return_to_the_pool() -> None:
    dividing = Dividing(Feedback(smoothing=1.0, floor=0.0), [0.5, 0.5])
    dividing.report.add(0, 1.0, 10.0)
    dividing.report.add(1, 3.0, 10.0)
    # 80 J are left; a quarter to the first, three quarters to the second, on top of what each has spent
    got = dividing.divide(np.array([10.0, 10.0]), np.array([50.0, 50.0]))
    np.testing.assert_allclose(got, [30.0, 70.0])


def test_the_equal_rule_leaves_budgets_alone() -> None:
    budget = np.array([30.0, 70.0])
    assert Dividing(Equal(), [0.3, 0.7]).divide(np.array([1.0, 69.0]), budget) is budget


def test_a_restored_division_goes_on_as_the_original() -> None:
    one, two = (Dividing(Feedback(), [0.5, 0.5]) for _ in range(2))
    for k, gain in enumerate((1.0, 2.0)):
        one.report.add(k, gain, 10.0)
    two.load_state_dict(one.state_dict())
    spent, budget = np.array([10.0, 10.0]), np.array([50.0, 50.0])
    np.testing.assert_array_equal(one.divide(spent, budget), two.divide(spent, budget))


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"rule": "fair"}, "budget.rule"),
        ({"rule": "feedback", "rule_options": {"flor": 1}}, "budget.rule_options.flor"),
        ({"rule": "feedback", "rule_options": {"floor": 2}}, "budget.rule_options.floor"),
    ],
)
def test_a_wrong_rule_or_option_is_named(values: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BudgetSettings.model_validate(values)
    assert caught.value.where == where
