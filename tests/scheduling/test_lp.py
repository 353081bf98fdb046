"""Facts about the best mix of arms: hand-worked, against a general solver, and by duality."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from fleetlora.errors import InputError
from fleetlora.rng import stream
from fleetlora.scheduling import Mix, best_mix

Problem = tuple[np.ndarray, np.ndarray, np.ndarray, float]


def _solver(reward: np.ndarray, cost: np.ndarray, share: np.ndarray, budget: float) -> float:
    """Return the optimal value by HiGHS."""
    contexts, arms = reward.shape
    one_arm = np.kron(np.eye(contexts), np.ones(arms))
    found = linprog(
        -(share[:, None] * reward).ravel(),
        A_ub=np.vstack([(share[:, None] * cost).ravel(), one_arm]),
        b_ub=np.concatenate([[budget], np.ones(contexts)]),
        method="highs",
    )
    return float(-found.fun)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Return problems on a coarse grid, so that ties, free arms and dominated arms are common."""
    contexts, arms = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    levels = st.integers(0, 8).map(lambda level: level / 8)
    table = st.lists(levels, min_size=contexts * arms, max_size=contexts * arms)
    reward = np.array(draw(table)).reshape(contexts, arms) - draw(st.sampled_from([0.0, 0.25]))
    cost = np.array(draw(table)).reshape(contexts, arms)
    share = np.array(draw(st.lists(levels, min_size=contexts, max_size=contexts)))
    return reward, cost, share, draw(st.integers(0, 20)) / 16


def test_a_mix_worked_out_by_hand() -> None:
    # First context: (0, 0) -> (0.2, 0.4) with slope 2 -> (0.6, 0.6) with slope 0.5.
    # Second context: (0, 0) -> (0.4, 0.6) with slope 1.5; the arm (0.2, 0.2) lies below that edge.
    reward, cost = np.array([[0.4, 0.6], [0.2, 0.6]]), np.array([[0.2, 0.6], [0.2, 0.4]])
    # Budget 0.2: the first edge takes 0.5 · 0.2 = 0.1, the next one needs 0.5 · 0.4 = 0.2 and gets half.
    mix = best_mix(reward, cost, np.array([0.5, 0.5]), 0.2)
    np.testing.assert_allclose(mix.probabilities, [[0, 1, 0], [0.5, 0, 0.5]], atol=1e-12)
    assert mix.value == pytest.approx(0.5 * 0.4 + 0.5 * 0.5 * 0.6)  # 0.35
    assert mix.cost == pytest.approx(0.2)
    assert mix.price == pytest.approx(1.5)


def test_an_ample_budget_takes_the_best_arm_and_has_no_price() -> None:
    reward, cost = np.array([[0.4, 0.6, 0.5]]), np.array([[0.2, 0.6, 0.9]])
    for budget in (0.6, 5.0, np.inf):
        mix = best_mix(reward, cost, np.ones(1), budget)
        assert mix.probabilities.tolist() == [[0, 0, 1, 0]]
        assert (mix.value, mix.price) == (0.6, 0.0)


def test_without_a_budget_only_free_arms_are_taken() -> None:
    mix = best_mix(np.array([[0.3, 0.9], [0.5, 0.6]]), np.array([[0.0, 0.5], [0.1, 0.2]]), np.ones(2), 0.0)
    assert mix.probabilities.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert mix.price == pytest.approx(5.0)  # the next unit would go to 0.5 / 0.1


def test_arms_that_earn_nothing_are_sat_out() -> None:
    mix = best_mix(np.array([[0.0, -0.2]]), np.array([[0.1, 0.0]]), np.ones(1), 1.0)
    assert mix.probabilities.tolist() == [[1, 0, 0]]


@settings(max_examples=300)
@given(problems())
def test_the_value_is_that_of_a_general_solver(problem: Problem) -> None:
    mix = best_mix(*problem)
    assert mix.value == pytest.approx(_solver(*problem), abs=1e-9)


@settings(max_examples=300)
@given(problems())
def test_a_mix_is_feasible_and_its_price_proves_it_optimal(problem: Problem) -> None:
    reward, cost, share, budget = problem
    mix = best_mix(*problem)
    assert mix.probabilities.min() >= 0
    np.testing.assert_allclose(mix.probabilities.sum(axis=1), 1.0, atol=1e-12)
    assert mix.cost <= budget + 1e-12
    # strong duality: value = lambda · rho + sum_d w(d) max(0, max_a u − lambda c)
    best = np.maximum(0.0, (reward - mix.price * cost).max(axis=1))
    assert mix.value == pytest.approx(mix.price * budget + share @ best, abs=1e-9)


@settings(max_examples=100)
@given(problems())
def test_at_most_one_context_mixes_two_arms(problem: Problem) -> None:
    used = (best_mix(*problem).probabilities > 1e-12).sum(axis=1)
    assert (used > 1).sum() <= 1
    assert used.max() <= 2


def test_random_instances_of_a_city_match_the_solver() -> None:
    rng = stream(0, "lp")
    for _ in range(50):
        reward, cost = rng.random((12, 6)), rng.random((12, 6))
        share = rng.dirichlet(np.ones(12))
        budget = float(rng.uniform(0, 0.6))
        assert best_mix(reward, cost, share, budget).value == pytest.approx(
            _solver(reward, cost, share, budget), abs=1e-9
        )


def test_a_context_without_a_share_follows_the_price() -> None:
    reward, cost = np.array([[0.4, 0.6], [0.5, 0.55]]), np.array([[0.2, 0.6], [0.2, 0.4]])
    mix = best_mix(reward, cost, np.array([1.0, 0.0]), 0.3)
    assert mix.price == pytest.approx(0.5)
    assert mix.probabilities[1].tolist() == [0, 1, 0]  # slopes 2.5 and 0.25: only the first is worth 0.5


def test_draws_follow_the_probabilities() -> None:
    mix = Mix(np.array([[0.25, 0.0, 0.75], [0.0, 1.0, 0.0]]), 0.0, 0.0, 0.0)
    context = np.repeat([0, 1], 10_000)
    arm = mix.draw(context, stream(0, "draws"))
    assert (arm[context == 1] == 0).all()
    first = arm[context == 0]
    assert set(first.tolist()) == {-1, 1}
    # 2,500 expected; four standard deviations are 4 · sqrt(10000 · 0.25 · 0.75) ≈ 173
    assert abs((first == -1).sum() - 2_500) < 173
    assert len(mix.draw(np.empty(0, dtype=np.int64), stream(0))) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cost": np.array([[0.1]])}, "do not match"),
        ({"share": np.ones(3)}, "do not match"),
        ({"reward": np.empty((1, 0)), "cost": np.empty((1, 0))}, "do not match"),
        ({"reward": np.array([[np.nan, 0.1]])}, "reward is not finite"),
        ({"cost": np.array([[-0.1, 0.1]])}, "cost is negative"),
        ({"share": np.array([-1.0])}, "share is negative"),
        ({"budget_per_decision": -1.0}, r"budget is -1\.0"),
        ({"budget_per_decision": np.nan}, "budget is nan"),
    ],
)
def test_impossible_input_is_refused(change: dict[str, object], message: str) -> None:
    good = {
        "reward": np.array([[0.1, 0.2]]),
        "cost": np.array([[0.1, 0.2]]),
        "share": np.ones(1),
        "budget_per_decision": 1.0,
    }
    with pytest.raises(InputError, match=message):
        best_mix(**(good | change))  # type: ignore[arg-type]
