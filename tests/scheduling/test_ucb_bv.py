"""Facts about UCB-BV1."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from fleetlora.rng import stream
from fleetlora.scheduling import UcbBv
from fleetlora.testing import check_policy
from tests.scheduling.fleet import context, feedback, offers, play


def _taught(**options: object) -> UcbBv:
    """Return a policy of one class and two arms: 4 pulls of 0.4 for 0.2, and 5 pulls of 0.6 for 0.4."""
    policy = UcbBv(context(9, np.array([2, 4]), devices=1), UcbBv.Options(**options))
    rank = np.repeat([2, 4], [4, 5])
    policy.update(feedback(range(9), rank, np.where(rank == 2, 0.4, 0.6), np.where(rank == 2, 10.0, 20.0)))
    return policy


def test_the_index_worked_out_by_hand() -> None:
    index, bounded = _taught(exploration=0.1).index()
    # ln 9 = 2.19722; eps = 0.1 · sqrt(2.19722 / 4) = 0.074115 and 0.1 · sqrt(2.19722 / 5) = 0.066291
    # lambda = 0.2, the least mean cost
    # 0.4/0.2 + (1 + 1/0.2) · 0.074115 / (0.2 − 0.074115) = 2.0 + 6 · 0.588752 = 5.53251
    # 0.6/0.4 + (1 + 1/0.2) · 0.066291 / (0.2 − 0.066291) = 1.5 + 6 · 0.495786 = 4.47472
    np.testing.assert_allclose(index, [[5.53251, 4.47472]], atol=1e-4)
    assert bounded.all()


def test_a_known_least_cost_takes_the_place_of_the_learned_one() -> None:
    index, _ = _taught(exploration=0.1, least_cost=0.1).index()
    # 2.0 + (1 + 10) · 0.074115 / (0.1 − 0.074115) = 2.0 + 11 · 2.86324 = 33.4957
    # 1.5 + (1 + 10) · 0.066291 / (0.1 − 0.066291) = 1.5 + 11 · 1.96656 = 23.1322
    np.testing.assert_allclose(index, [[33.4957, 23.1322]], rtol=1e-3)


def test_without_exploration_the_ratio_decides() -> None:
    policy = _taught(exploration=0.0)
    assert (policy.select(offers(policy.context), stream(0)) == 2).all()
    barred = offers(policy.context, feasible=np.tile([False, True], (9, 1)))
    assert (policy.select(barred, stream(0)) == 4).all()


def test_arms_without_a_finite_bound_go_first_and_in_turn() -> None:
    policy = _taught(exploration=0.29)  # eps = 0.215 and 0.192 against lambda = 0.2: only the first is open
    assert (policy.select(offers(policy.context), stream(0)) == 2).all()
    policy = _taught(exploration=1.0)
    assert policy.select(offers(policy.context), stream(0)).tolist() == [2, 4, 2, 4, 2, 4, 2, 4, 2]


def test_free_updates_are_no_division_by_zero() -> None:
    policy = UcbBv(context(2, np.array([2, 4]), devices=1), UcbBv.Options())
    policy.update(feedback([0, 1], [2, 4], [0.5, 0.0], [0.0, 0.0]))
    index, _ = policy.index()
    assert np.isfinite(index).all()


@pytest.mark.parametrize("options", [{"pooled": False}, {"discount": 0.9}, {"exploration": 1.0}])
def test_it_keeps_the_contract_with_other_options(options: dict[str, object]) -> None:
    check_policy(UcbBv, **options)


@pytest.mark.parametrize("options", [{"least_cost": 0.0}, {"exploration": -1.0}, {"discount": 0.0}])
def test_options_outside_their_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        UcbBv.Options(**options)


def test_it_comes_to_play_the_best_ratio_of_every_class() -> None:
    # reward / cost: 0.30/0.15 = 2 in the first class, 0.50/0.30 = 1.67, 0.80/0.50 = 1.6 in the third
    pulls = sum(
        play(UcbBv(context(), UcbBv.Options()), np.inf, rounds=150, seed=seed, last=50).pulls
        for seed in range(3)
    )
    # the bound shrinks like 1/sqrt(n): an arm whose ratio is near is still tried now and then
    best = pulls[[0, 1, 2], [0, 1, 3]] / pulls.sum(axis=1)
    assert (best > 0.85).all(), best
