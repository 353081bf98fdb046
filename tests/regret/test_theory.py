"""The inequalities of the proof in docs/theory.md, step by step, on the policy as it is implemented."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fleetlora.federation.reward import reward
from fleetlora.regret import INSTANCES, play
from fleetlora.rng import stream
from fleetlora.scheduling import Account, Offers, UcbDual
from fleetlora.scheduling.estimates import Estimates
from fleetlora.testing import example_context, example_offers
from tests.scheduling.fleet import context, offers

PAPER = {"skip": False, "pooled": False, "foresight": False}


class Watched(UcbDual):
    """UCB-DUAL that notes prices, excesses, and the width of every index it chose by."""

    def __init__(self, context: Any, options: Any) -> None:
        super().__init__(context, options)
        self.prices: list[float] = []
        self.excesses: list[float] = []
        self.widths = 0.0

    def select(self, offers: Offers, rng: np.random.Generator) -> Any:
        self.prices.append(self.price)
        ranks = super().select(offers, rng)
        row = self._row[offers.vehicle]
        pulls = self.table.count[row, np.searchsorted(self.context.ranks, ranks)]
        total = np.maximum(self.table.count[row].sum(axis=1), 1.0)
        bonus = self.options.bonus * np.sqrt(2 * np.log(total) / np.maximum(pulls, 1.0))
        self.widths += np.minimum(1.0, 2 * np.where(pulls > 0, bonus, 1.0)).sum()
        return ranks

    def settle(self, account: Account) -> None:
        self.excesses.append(account.excess)
        super().settle(account)


def watch(name: str, rounds: int, **options: Any) -> tuple[Watched, Any]:
    instance = INSTANCES[name]
    policy = Watched(instance.context(rounds), Watched.Options(**options))
    return policy, play(policy, instance, rounds, seed=1)


@pytest.mark.parametrize("step", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("most", [1.5, 6.0])
def test_step_1_the_price_regrets_no_other_price(step: float, most: float) -> None:
    policy, _ = watch("stationary", 2000, bonus=0.75, step=step, price_max=most, **PAPER)
    prices, excesses = np.array(policy.prices), np.array(policy.excesses)
    rounds = np.arange(1, len(prices) + 1)
    steepest = max(1.0, 1 / 0.4 - 1.0)
    bound = np.sqrt(rounds) * (most**2 / (2 * step) + step * steepest**2)
    for other in (0.0, 0.5, most):
        assert (((other - prices) * excesses).cumsum() <= bound).all()


@pytest.mark.parametrize("pooled", [False, True])
def test_step_2_a_lucky_index_is_optimistic_and_no_wider_than_its_bonus(pooled: bool) -> None:
    context = example_context()
    options: dict[str, Any] = {**PAPER, "pooled": pooled, "bonus": 0.75}
    rng = stream(0, "step 2")
    offers = example_offers(context, 30)
    shape = (30, len(context.ranks))
    for price in (0.0, 0.7, 20.0):
        policy = UcbDual(context, UcbDual.Options(price_start=price, **options))
        count = rng.integers(0 if pooled else 1, 60, shape).astype(float)
        total = np.maximum(count.sum(axis=1, keepdims=True), 1.0)
        bonus = np.where(count > 0, 0.75 * np.sqrt(2 * np.log(total) / np.maximum(count, 1.0)), 1.0)
        reward, cost = rng.random(shape), rng.random(shape)
        off = rng.uniform(-1.0, 1.0, (2, *shape)) * bonus  # lucky: within the bonus
        seen = [
            np.where(count > 0, np.clip(x + o, 0.0, 1.0), 0.0)
            for x, o in zip((reward, cost), off, strict=True)
        ]
        index = policy.index(Estimates(count, *seen), offers)
        true = reward - price * cost
        assert (index >= true - 1e-12).all()
        assert (index <= true + (1 + price) * np.minimum(1.0, 2 * bonus) + 1e-12).all()


@pytest.mark.parametrize(("pooled", "rows", "most"), [(False, 8, 1), (True, 1, 8)])
def test_step_3_widths_add_up_to_a_root(pooled: bool, rows: int, most: int) -> None:
    options = {**PAPER, "pooled": pooled, "lean": 0.0}
    policy, _ = watch("stationary", 2000, bonus=0.75, **options)
    pulls, arms = 2000 * 8, 5
    bound = 8 * 0.75 * np.sqrt(arms * rows * pulls * np.log(pulls)) + 2 * arms * most * rows
    assert 0 < policy.widths <= bound


def test_foresight_prefers_by_gain_less_latency_and_not_by_what_is_paid() -> None:
    # rank 2 gains 0.1 always and takes a quarter of the deadline; rank 4 gains 0.5 in a fifth of all rounds
    # and takes half: paid 0.1 − 0.05 = 0.05 and 0.2 · (0.5 − 0.1) = 0.08, foreseen 0.05 and 0.1 − 0.1 = 0
    about = context(1, np.array([2, 4]), devices=1)
    deadline_s, latency_s = about.deadline_s, about.deadline_s * np.array([0.25, 0.5])
    gains = np.column_stack([np.full(5, 0.1), [0.5, 0.0, 0.0, 0.0, 0.0]])
    paid = reward(gains, latency_s, np.ones_like(gains, dtype=np.bool_), 0.2, deadline_s).mean(axis=0)
    assert paid == pytest.approx([0.05, 0.08])
    policy = UcbDual(about, UcbDual.Options(bonus=0.0, latency_weight=0.2))
    known = Estimates(np.full((1, 2), 1e9), gains.mean(axis=0)[None], np.zeros((1, 2)))
    index = policy.index(known, replace(offers(about), predicted_s=latency_s[None]))
    assert index[0] == pytest.approx([0.05, 0.0])
    assert (index[0] < paid + 1e-12).all(), "not optimistic, however much is known"


def test_leaning_narrows_the_width_below_theory_until_thirty_pulls() -> None:
    def narrowed(pulls: int) -> float:
        own = Estimates(np.array([[float(pulls)]]), np.zeros((1, 1)), np.zeros((1, 1)))
        return float(0.75 * np.sqrt(pulls / own.leaning_on(own.leaning_on(own, 4.0), 4.0).count[0, 0]))

    assert narrowed(25) < np.sqrt(0.5) < narrowed(30)


def test_step_6_overspending_is_what_moved_the_price() -> None:
    policy, curve = watch("stationary", 2000, bonus=0.75, **PAPER)
    assert 8 * 0.4 * sum(policy.excesses) == pytest.approx(curve.overspent[-1])
