"""Facts about PrimalDualBwK."""

from __future__ import annotations

from math import exp, log, log1p, sqrt

import numpy as np
import pytest

from fleetlora.rng import stream
from fleetlora.scheduling import Account, PrimalDualBwk
from fleetlora.scheduling.primal_dual_bwk import best_ratio_price, confidence_radius
from fleetlora.testing import check_policy
from tests.scheduling.fleet import context, feedback, offers, optimum, play


def _taught(budget_j: float, **options: object) -> PrimalDualBwk:
    """Return a policy after a round of 8 decisions: 4 of 0.4 for cost 0.1, 4 of 0.9 for cost 0.4."""
    policy = PrimalDualBwk(context(8, np.array([2, 4]), devices=1), PrimalDualBwk.Options(**options))
    rank = policy.select(offers(policy.context), stream(0))
    assert rank.tolist() == [2, 4] * 4
    policy.update(feedback(range(8), rank, np.where(rank == 2, 0.4, 0.9), np.where(rank == 2, 5.0, 20.0)))
    policy.settle(Account(100.0, budget_j / 4, 100.0, budget_j, 0.25))
    return policy


def test_the_confidence_radius_worked_out_by_hand() -> None:
    # sqrt(0.04 · 0.4 / 4) + 0.04 / 4 = 0.063246 + 0.01
    radius = confidence_radius(np.array([0.4, 0.0, 0.4]), np.array([4.0, 4.0, 0.0]), 0.04)
    np.testing.assert_allclose(radius, [0.073246, 0.01, np.inf], atol=1e-6)


def test_bounds_stay_within_their_ranges() -> None:
    upper, lower = _taught(800.0, confidence=0.04).bounds()
    # 0.4 + 0.073246; 0.9 + sqrt(0.04 · 0.9 / 4) + 0.01 = 1.004868 -> 1
    np.testing.assert_allclose(upper, [[0.473246, 1.0]], atol=1e-6)
    # 0.1 − sqrt(0.04 · 0.1 / 4) − 0.01 = 0.058377; 0.4 − 0.073246 = 0.326754
    np.testing.assert_allclose(lower, [[0.058377, 0.326754]], atol=1e-6)


def test_weights_and_price_of_the_first_round_worked_out_by_hand() -> None:
    policy = _taught(800.0, confidence=0.0)
    # B = 800 / 50 = 16; T = 8 / 0.25 = 32; B/T = 0.5. What was pulled had no known cost, so L = 0.
    # ln(v_joules / v_time) = ln(1 + sqrt(ln 2 / 16)) · (0 − 8 · 0.5) = 0.189082 · −4 = −0.756327
    log_weight = log1p(sqrt(log(2) / 16)) * -4.0
    y = 1 / (1 + exp(-log_weight))
    assert y == pytest.approx(0.31944, abs=1e-5)
    assert policy.joule_weight == pytest.approx(y)
    # the higher rank: 0.9 / (0.31944 · 0.4 + 0.68056 · 0.5) = 0.9 / 0.468056 = 1.92285; lambda = 1.92285 · y
    assert policy.price == pytest.approx(0.61424, abs=1e-4)
    # 0.9 − 0.61424 · 0.4 = 0.654 is more than 0.4 − 0.61424 · 0.1 = 0.339
    assert (policy.select(offers(policy.context), stream(0)) == 4).all()


def test_the_second_round_moves_the_weights_by_the_costs_known_before_it() -> None:
    policy = _taught(800.0, confidence=0.0)
    before = log(policy.joule_weight / (1 - policy.joule_weight))
    policy.select(offers(policy.context), stream(0))
    policy.update(feedback(range(8), np.full(8, 4), np.full(8, 0.9), np.full(8, 50.0)))
    policy.settle(Account(400.0, 200.0, 500.0, 800.0, 0.5))
    # L was 0.4 for each of the 8 pulls, though they cost 1 each: 8 · 0.4 − 8 · 0.5 = −0.8
    after = log(policy.joule_weight / (1 - policy.joule_weight))
    assert after - before == pytest.approx(-0.8 * log1p(sqrt(log(2) / 16)))


def test_a_class_that_is_not_worth_the_price_sits_out() -> None:
    reward, cost, share = np.array([[0.8], [0.2]]), np.array([[0.2], [0.8]]), np.array([0.5, 0.5])
    # joules alone count: both classes earn 0.5 for 0.5, the first alone 0.4 for 0.1, a ratio of 4
    assert best_ratio_price(reward, cost, share, weight=1.0, pace=0.5) == pytest.approx(4.0)
    # time alone counts: everybody plays, and joules have no price
    assert best_ratio_price(reward, cost, share, weight=0.0, pace=0.5) == 0.0
    # both: all for (0.5 · 0.5 + 0.5 · 0.5) = 0.5 is 1; the first for (0.5 · 0.1 + 0.25) = 0.3 is 1.333
    assert best_ratio_price(reward, cost, share, weight=0.5, pace=0.5) == pytest.approx(4 / 3 * 0.5)


def test_the_ratio_is_the_best_of_all_maps() -> None:
    rng = stream(0, "maps")
    for _ in range(50):
        reward, cost, share = rng.random((2, 3)), rng.random((2, 3)), rng.dirichlet(np.ones(2))
        y, pace = rng.uniform(0.05, 0.95), rng.uniform(0.05, 1.0)
        u, c = np.pad(reward, ((0, 0), (1, 0))), np.pad(cost, ((0, 0), (1, 0)))
        ratios = [
            (share @ [u[0, i], u[1, j]]) / (y * (share @ [c[0, i], c[1, j]]) + (1 - y) * pace)
            for i in range(4)
            for j in range(4)
        ]
        assert best_ratio_price(reward, cost, share, y, pace) == pytest.approx(max(ratios) * y)


def test_nothing_known_has_a_finite_price() -> None:
    zero = np.zeros((2, 3))
    assert best_ratio_price(zero, zero, np.array([0.5, 0.5]), 0.5, 0.5) == 0.0
    assert np.isfinite(best_ratio_price(zero + 1.0, zero, np.array([0.5, 0.5]), 1.0, 0.0))


def test_without_a_budget_joules_are_free() -> None:
    policy = _taught(np.inf, confidence=0.0)
    assert policy.price == 0.0
    assert (policy.select(offers(policy.context), stream(0)) == 4).all()


def test_a_budget_of_nothing_is_survived() -> None:
    policy = _taught(0.0)
    assert np.isfinite(policy.price)


@pytest.mark.parametrize("options", [{"pooled": False}, {"discount": 0.9}, {"confidence": 3.0}])
def test_it_keeps_the_contract_with_other_options(options: dict[str, object]) -> None:
    check_policy(PrimalDualBwk, **options)


@pytest.mark.parametrize("pace", [0.15, 0.3, 0.5])
def test_it_comes_near_the_best_stationary_policy(pace: float) -> None:
    about = context()
    runs = [play(PrimalDualBwk(about, PrimalDualBwk.Options()), pace, 200, seed) for seed in range(3)]
    share = np.mean([run.reward for run in runs]) / optimum(about, pace).value
    # learning included; blind draws come to 0.62 … 0.69 and the largest rank to 0.56 … 0.76
    assert 0.90 < share < 1.02, share
