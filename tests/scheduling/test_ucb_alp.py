"""Facts about UCB-ALP."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest

from fleetlora.rng import stream
from fleetlora.scheduling import Account, UcbAlp
from fleetlora.testing import check_policy
from tests.scheduling.fleet import context, feedback, offers, optimum, play


def _taught(budget_j: float, **options: object) -> UcbAlp:
    """Return a policy after half a run of 16 decisions: 8 of 0.25 for cost 0.2, 8 of 0.75 for cost 0.6."""
    policy = UcbAlp(context(16, np.array([2, 4]), devices=1), UcbAlp.Options(**options))
    rank = policy.select(offers(policy.context), stream(0))
    assert rank.tolist() == [2, 4] * 8
    policy.update(feedback(range(16), rank, np.where(rank == 2, 0.25, 0.75), np.where(rank == 2, 10.0, 30.0)))
    policy.settle(Account(320.0, 280.0, 320.0, budget_j, 0.5))
    return policy


def test_the_mix_worked_out_by_hand() -> None:
    policy = _taught(560.0, exploration=1.0)
    # 560 J − 320 J = 240 J are 4.8 costs for 16 decisions still to come: rho = 0.3
    assert policy.pace.left == pytest.approx(0.3)
    # radius sqrt(ln 16 / (2 · 8)) = 0.416277: U = 0.666277 and min(1, 1.166277) = 1
    # slopes 0.666277 / 0.2 = 3.33 and 0.333723 / 0.4 = 0.834307; of rho the first takes 0.2, the second
    # the 0.1 that is left of the 0.4 it needs
    mix = policy.mix()
    np.testing.assert_allclose(mix.probabilities, [[0.0, 0.75, 0.25]], atol=1e-9)
    assert mix.price == pytest.approx((1 - 0.25 - sqrt(log(16) / 16)) / 0.4)
    assert mix.price == pytest.approx(0.834307, abs=1e-6)


def test_the_radius_grows_with_every_decision_those_to_sit_out_included() -> None:
    policy = _taught(320.0, exploration=1.0, discount=0.5)
    assert (policy.select(offers(policy.context), stream(0)) == 0).all(), "nothing is left"
    policy.settle(Account(0.0, 0.0, 320.0, np.inf, 0.75))
    # 32 decisions, 16 of them pulls; the 8 pulls of an arm, faded twice by half, count as 2
    assert policy.pace.decisions == 32
    assert policy.table.count.tolist() == [[2.0, 2.0]]
    # radius sqrt(ln 32 / (2 · 2)) = 0.93: both U are 1, and the cheaper arm earns as much as the dearer
    np.testing.assert_allclose(policy.mix().probabilities, [[0.0, 1.0, 0.0]])


def test_choices_follow_the_mix_and_what_is_feasible() -> None:
    policy = _taught(560.0, exploration=1.0)
    ranks = np.concatenate([policy.select(offers(policy.context), stream(seed)) for seed in range(200)])
    # 3,200 draws of 0.25: 800 expected, four standard deviations are 4 · sqrt(3200 · 0.25 · 0.75) ≈ 98
    assert abs((ranks == 4).sum() - 800) < 98
    assert (ranks > 0).all()
    low = offers(policy.context, feasible=np.tile([True, False], (16, 1)))
    assert (policy.select(low, stream(0)) == 2).all()
    high = policy.select(offers(policy.context, feasible=np.tile([False, True], (16, 1))), stream(0))
    assert set(high.tolist()) == {0, 4}


def test_a_spent_budget_makes_everyone_sit_out() -> None:
    policy = _taught(320.0)
    assert (policy.select(offers(policy.context), stream(0)) == 0).all()
    assert policy.price > 0


def test_without_a_budget_the_largest_optimistic_reward_is_taken() -> None:
    policy = _taught(np.inf)
    assert (policy.select(offers(policy.context), stream(0)) == 4).all()
    assert policy.price == 0.0


def test_shares_count_only_vehicles_that_have_a_choice() -> None:
    policy = UcbAlp(context(6), UcbAlp.Options())
    feasible = np.ones((6, 4), dtype=np.bool_)
    feasible[[0, 4]] = False
    policy.select(offers(policy.context, feasible=feasible), stream(0))
    assert policy.pace.recent == 4
    assert policy.state_dict()["seen"].tolist() == [1, 1, 2]


@pytest.mark.parametrize("options", [{"pooled": False}, {"discount": 0.9}, {"exploration": 1.0}])
def test_it_keeps_the_contract_with_other_options(options: dict[str, object]) -> None:
    check_policy(UcbAlp, **options)


@pytest.mark.parametrize("pace", [0.15, 0.3, 0.5])
def test_it_comes_near_the_best_stationary_policy(pace: float) -> None:
    about = context()
    runs = [play(UcbAlp(about, UcbAlp.Options()), pace, 200, seed) for seed in range(3)]
    share = np.mean([run.reward for run in runs]) / optimum(about, pace).value
    # learning included; blind draws come to 0.62 … 0.69 and the largest rank to 0.56 … 0.76
    assert 0.94 < share < 1.02, share
