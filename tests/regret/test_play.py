"""Plays: the account is right, the means are what was promised, and the seed decides."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from fleetlora.errors import ConfigError, InputError
from fleetlora.regret import INSTANCES, Curve, Instance, play
from fleetlora.regret.contenders import CONTENDERS, find_contender
from fleetlora.regret.play import _blocks, _draw, grid
from fleetlora.rng import stream
from fleetlora.scheduling import Account, Feedback, Fixed, Offers, Policy

STATIONARY = INSTANCES["stationary"]


class Alternating(Policy):
    """Rank 4 and rank 16 in turns, which is the stationary optimum; notes what it is told."""

    def __init__(self, context: Any, options: Any) -> None:
        super().__init__(context, options)
        self.feedbacks: list[Feedback] = []
        self.accounts: list[Account] = []

    def select(self, offers: Offers, rng: np.random.Generator) -> Any:
        return np.full(len(offers), 4 if offers.round % 2 == 0 else 16)

    def update(self, feedback: Feedback) -> None:
        self.feedbacks.append(feedback)

    def settle(self, account: Account) -> None:
        self.accounts.append(account)


def make(cls: type[Policy], instance: Instance, horizon: int, **options: Any) -> Any:
    return cls(instance.context(horizon), cls.Options(**options))


def test_the_optimal_mix_has_no_regret_and_spends_the_budget() -> None:
    curve = play(make(Alternating, STATIONARY, 200), STATIONARY, 200, seed=0)
    assert curve.regret[-1] == pytest.approx(0.0, abs=1e-9)
    assert curve.excess[-1] == pytest.approx(0.0, abs=1e-9)
    assert 0 < abs(curve.overspent[-1]) < 4 * 0.11 * np.sqrt(1600)  # four standard deviations


@pytest.mark.parametrize("name", ["stationary", "newcomers"])
def test_the_oracle_is_told_the_means_and_has_no_regret(name: str) -> None:
    instance, rounds = INSTANCES[name], 4000
    curve = play(find_contender("oracle-lp").make(instance, rounds), instance, rounds, seed=0)
    # it draws its mix: 32,000 decisions with standard deviations of means below 0.25
    chance = 4 * 0.25 * np.sqrt(8 * rounds)
    assert abs(curve.regret[-1]) < chance
    assert abs(curve.excess[-1]) < chance
    assert curve.price[-1] == instance.optima[0].price


def test_the_oracle_is_refused_where_the_means_change() -> None:
    with pytest.raises(ConfigError, match="the means of 'drifting' change") as told:
        find_contender("oracle-lp").make(INSTANCES["drifting"], 100)
    assert "stationary, newcomers" in str(told.value.mend)


def test_the_grid_is_read_at_its_rounds() -> None:
    curve = play(make(Fixed, STATIONARY, 2500, rank=32), STATIONARY, 2500, seed=0)
    rounds = grid(2500)
    # a decision loses 0.7 − 0.7 and overspends by 0.9 − 0.4
    assert curve.regret == pytest.approx(np.zeros(len(rounds)), abs=1e-6)
    assert curve.excess == pytest.approx(8 * 0.5 * rounds)
    assert rounds[0] == 10
    assert rounds[-1] == 2500


def test_sitting_out_earns_and_costs_nothing() -> None:
    class Idle(Policy):
        def select(self, offers: Offers, rng: np.random.Generator) -> Any:
            return np.zeros(len(offers), dtype=np.int64)

    curve = play(make(Idle, STATIONARY, 100), STATIONARY, 100, seed=0)
    assert curve.regret[-1] == pytest.approx(8 * 0.7 * 100)
    assert curve.excess[-1] == pytest.approx(-8 * 0.4 * 100)
    assert curve.overspent[-1] == pytest.approx(-8 * 0.4 * 100)


def test_a_play_until_the_budget_is_spent_ends_then_and_loses_the_rest() -> None:
    greedy = make(Fixed, STATIONARY, 900, rank=32)
    curve = play(greedy, STATIONARY, 900, seed=0, until_spent=True)
    # rank 32 costs 0.9 of 0.4 and earns 0.7, as the optimum does: after 400 of 900 rounds nothing is left
    assert curve.regret[-1] == pytest.approx(8 * 0.7 * 500, rel=0.02)
    assert 0 <= curve.overspent[-1] < 8, "within the last round"
    assert play(make(Fixed, STATIONARY, 900, rank=32), STATIONARY, 900, seed=0).overspent[-1] > 3500


def test_regret_after_a_change_is_against_what_the_optimum_plays_then() -> None:
    drifting = INSTANCES["drifting"]
    curve = play(make(Fixed, drifting, 300, rank=16), drifting, 300, seed=0)
    lost = [
        (mix.value - piece.reward[0, 3]) for mix, piece in zip(drifting.optima, drifting.pieces, strict=True)
    ]
    assert curve.regret[-1] == pytest.approx(8 * 100 * sum(lost))


def test_the_policy_is_told_what_it_spent_and_was_allotted() -> None:
    policy = make(Alternating, STATIONARY, 150)
    curve = play(policy, STATIONARY, 150, seed=3)
    assert len(policy.accounts) == 150
    spent_j = sum(feedback.joules.sum() for feedback in policy.feedbacks)
    last = policy.accounts[-1]
    assert last.total_j == pytest.approx(spent_j)
    assert last.allotted_j == pytest.approx(0.4 * 8 * STATIONARY.context(1).scale_j)
    assert last.budget_j == pytest.approx(150 * last.allotted_j)
    assert last.progress == 1.0
    assert curve.overspent[-1] == pytest.approx((last.total_j - last.budget_j) / 10)


def test_rewards_and_costs_have_the_instances_means() -> None:
    newcomers = INSTANCES["newcomers"]
    reward, cost = _draw(newcomers, 0, 20_000, stream(5))
    assert set(np.unique(reward)) == {0.0, 1.0}
    assert (cost >= 0).all()
    assert (cost <= 1).all()
    # standard errors are below 0.5/√20000 = 0.0035 and 0.11/√20000 = 0.0008
    assert reward.mean(axis=0) == pytest.approx(newcomers.pieces[0].reward[newcomers.device], abs=0.015)
    assert cost.mean(axis=0) == pytest.approx(newcomers.pieces[0].cost[newcomers.device], abs=0.004)


def test_blocks_cover_every_round_once_and_stay_within_a_piece() -> None:
    blocks = list(_blocks(INSTANCES["drifting"], 7_000))
    assert [first for first, _, _ in blocks[1:]] == [last for _, last, _ in blocks[:-1]]
    assert (blocks[0][0], blocks[-1][1]) == (0, 7_000)
    changes = [after[0] for before, after in pairwise(blocks) if before[2] != after[2]]
    assert changes == [2333, 4667]


def same(a: Curve, b: Curve) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        (name, instance)
        for name in (*CONTENDERS, "random")
        for instance in INSTANCES
        if (name, instance) != ("oracle-lp", "drifting")
    ],
)
def test_the_seed_decides_everything(name: str, instance: str) -> None:
    contender, problem = find_contender(name), INSTANCES[instance]

    def once(seed: int) -> Curve:
        return play(contender.make(problem, 120), problem, 120, seed)

    assert same(once(1), once(1))
    assert not same(once(1), once(2))


def test_a_policy_that_breaks_its_contract_is_named() -> None:
    class Wrong(Policy):
        def select(self, offers: Offers, rng: np.random.Generator) -> Any:
            return np.full(len(offers), 3)

    with pytest.raises(InputError, match=r"Wrong.*rank 3, which is not an arm"):
        play(make(Wrong, STATIONARY, 100), STATIONARY, 100, seed=0)


def test_a_play_can_be_given_up() -> None:
    with pytest.raises(KeyboardInterrupt):
        play(make(Alternating, STATIONARY, 100), STATIONARY, 100, seed=0, stopped=lambda: True)
