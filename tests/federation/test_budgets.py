"""Dividing joules among tasks: shares by hand, floors, roll-over, and caps that hold."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.errors import ConfigError
from fleetlora.federation.budgets import BUDGET_RULES, Dividing, Equal, Feedback, Paper, TaskReport, floored
from fleetlora.federation.settings import BudgetSettings


def report(gain: list[float], joules: list[float]) -> TaskReport:
    """What was heard of tasks that gained ``gain`` for ``joules``."""
    made = TaskReport(len(gain))
    for k, (g, j) in enumerate(zip(gain, joules, strict=True)):
        made.add(k, j, g, np.array([0.5]))
    return made


def on_curves(slopes: list[float], joules: float) -> TaskReport:
    """What was heard of tasks whose accuracies lie on b ln(1 + joules), before and after ``joules``."""
    made = TaskReport(len(slopes))
    for k, b in enumerate(slopes):
        for spent in (joules, 0.0):
            made.add(k, spent, 0.0, np.full(2, b * np.log1p(made.spent_j[k])))
    return made


def test_slopes_of_exact_curves_are_found() -> None:
    np.testing.assert_allclose(on_curves([2.0, 0.5], 30.0).slopes(lean=1e-9), [2.0, 0.5])


def test_slopes_lean_on_the_common_one_while_little_was_heard() -> None:
    # 4 reports each at ln 1 and ln 31: sum of squares about the mean is ln(31)², half and half
    heard, var = on_curves([2.0, 0.5], 30.0), np.log(31.0) ** 2
    expected = (var * np.array([2.0, 0.5]) + 3.0 * 1.25) / (var + 3.0)
    np.testing.assert_allclose(heard.slopes(lean=3.0), expected)
    np.testing.assert_allclose(heard.slopes(lean=1e12), [1.25, 1.25])


def test_a_report_without_held_out_samples_adds_joules_alone() -> None:
    heard = on_curves([2.0, 0.5], 30.0)
    before = heard.slopes(1.0)
    heard.add(0, 10.0, 0.0, np.array([np.nan]))
    np.testing.assert_array_equal(heard.slopes(1.0), before)
    np.testing.assert_allclose(heard.spent_j, [40.0, 30.0])


def test_feedback_leads_to_joules_in_proportion_to_the_slopes_by_hand() -> None:
    # slopes 3 : 1 of 200 J are 150 and 50; 30 J each are spent, so 120 and 20 of the 140 that are left
    got = Feedback(lean=1e-9, floor=0.0).shares(on_curves([3.0, 1.0], 30.0), np.array([0.5, 0.5]), 140.0)
    np.testing.assert_allclose(got, [120 / 140, 20 / 140])


def test_feedback_gives_nothing_more_to_a_task_that_has_had_too_much() -> None:
    got = Feedback(lean=1e-9, floor=0.0).shares(on_curves([9.0, 1.0], 30.0), np.array([0.5, 0.5]), 60.0)
    np.testing.assert_allclose(got, [1.0, 0.0])


def test_feedback_never_starves_a_task() -> None:
    # a slope of nothing still leads to f/K = 1/5 of 400 J: 80, of which 30 are spent
    got = Feedback(lean=1e-9, floor=0.4).shares(on_curves([1.0, 0.0], 30.0), np.array([0.5, 0.5]), 340.0)
    np.testing.assert_allclose(got, [290 / 340, 50 / 340])


def test_feedback_waits_until_accuracies_grow() -> None:
    was = np.array([0.3, 0.7])
    assert Feedback().shares(TaskReport(2), was, 10.0) is was
    assert Feedback().shares(on_curves([-1.0, -1.0], 30.0), was, 10.0) is was


def test_the_papers_rule_by_hand() -> None:
    # gains 3 : 1 and joules 1 : 1: factors (1 + 0.75)·0.5 and (1 + 0.25)·0.5
    got = Paper().shares(report([3, 1], [5, 5]), np.array([0.5, 0.5]), 10.0)
    np.testing.assert_allclose(got, [1.75 / 3, 1.25 / 3])


def test_a_quiet_task_keeps_its_share_under_the_papers_rule() -> None:
    # two tasks were busy and move within the 0.8 they had; the third one could not begin
    got = Paper().shares(report([3, 1, 0], [5, 5, 0]), np.array([0.4, 0.4, 0.2]), 10.0)
    np.testing.assert_allclose(got, [0.8 * 1.75 / 3, 0.8 * 1.25 / 3, 0.2])


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
            dividing.report.add(k, float(step[k]), rng.random(), rng.random(4))
        budget = dividing.divide(spent, budget)
        assert budget.sum() == pytest.approx(1000.0)
        assert (budget >= spent - 1e-9).all()


def test_unspent_joules_return_to_the_pool() -> None:
    dividing = Dividing(Feedback(lean=1e-9, floor=0.0), [0.5, 0.5])
    dividing.report = on_curves([1.0, 3.0], 10.0)
    # slopes 1 : 3 of 100 J, of which 10 each are spent: 15 and 65 more
    got = dividing.divide(np.array([10.0, 10.0]), np.array([50.0, 50.0]))
    np.testing.assert_allclose(got, [25.0, 75.0])


def test_shares_that_leave_something_over_lose_no_joule_when_divided_anew() -> None:
    dividing = Dividing(BUDGET_RULES.get("paper")(), [0.3, 0.3])
    budget_j = np.array([30.0, 30.0])
    for round in range(1, 4):
        for task in (0, 1):
            dividing.report.add(task, 1.0, 0.5, np.array([0.5]))
        budget_j = dividing.divide(np.full(2, float(round)), budget_j)
        assert budget_j.sum() == pytest.approx(60.0)


def test_the_equal_rule_leaves_budgets_alone() -> None:
    budget = np.array([30.0, 70.0])
    assert Dividing(Equal(), [0.3, 0.7]).divide(np.array([1.0, 69.0]), budget) is budget


@pytest.mark.parametrize("name", BUDGET_RULES.names())
def test_a_restored_division_goes_on_as_the_original(name: str) -> None:
    one, two = (Dividing(BUDGET_RULES.get(name)(), [0.5, 0.5]) for _ in range(2))
    one.report = on_curves([1.0, 2.0], 10.0)
    two.load_state_dict(one.state_dict())
    spent, budget = np.array([10.0, 10.0]), np.array([50.0, 50.0])
    for _ in range(2):
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
