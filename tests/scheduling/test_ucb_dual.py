"""UCB-DUAL against indices and prices worked out by hand, and each of its additions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from fleetlora.rng import stream
from fleetlora.scheduling import Account, Feedback, Offers, PolicyContext, UcbDual
from fleetlora.scheduling.contexts import Contexts
from fleetlora.testing import check_policy, example_context, example_offers

PAPER = {"skip": False, "pooled": False, "foresight": False}


def make(context: PolicyContext | None = None, **options: Any) -> UcbDual:
    return UcbDual(context or one_vehicle(), UcbDual.Options(**options))


def one_vehicle(**changes: Any) -> PolicyContext:
    """Return a context of one vehicle with arms 2 and 8, whose costs are joules / 10."""
    return replace(example_context(n_vehicles=1, ranks=(2, 8)), **{"scale_j": 10.0, **changes})


def offer(context: PolicyContext, **changes: Any) -> Offers:
    everything = replace(example_offers(context, 1), feasible=np.ones((1, len(context.ranks)), dtype=bool))
    return replace(everything, **changes)


def saw(
    rank: int, reward: float, joules: float = 1.0, latency_s: float = 3.0, gain: float | None = None
) -> Feedback:
    return Feedback(
        round=0,
        vehicle=np.array([0]),
        rank=np.array([rank]),
        reward=np.array([reward]),
        joules=np.array([joules]),
        latency_s=np.array([latency_s]),
        delivered=np.array([True]),
        gain=None if gain is None else np.array([gain]),
    )


def pull(policy: UcbDual, *seen: Feedback) -> None:
    for feedback in seen:
        policy.select(offer(policy.context), stream(0))
        policy.update(feedback)


def overspent(excess: float) -> Account:
    return Account(spent_j=10 * (1 + excess), allotted_j=10.0, total_j=0.0, budget_j=100.0, progress=0.5)


def test_each_arm_is_tried_once_first_lowest_rank_first() -> None:
    policy = make(**PAPER)
    for expected in (2, 8):
        assert policy.select(offer(policy.context), stream(0)).tolist() == [expected]
        policy.update(saw(expected, 0.5))


def test_the_index_is_that_of_the_formula() -> None:
    policy = make(**PAPER, bonus=0.3, price_start=2.0)
    pull(policy, saw(2, 0.5, 2.0), saw(8, 0.9, 8.0), saw(2, 0.3, 4.0))
    got = policy.index(policy._estimates(np.array([0])), offer(policy.context))[0]
    # t = 3; rank 2: n = 2, means 0.4 and 0.3; rank 8: n = 1, means 0.9 and 0.8
    wide2, wide8 = 0.3 * math.sqrt(2 * math.log(3) / 2), 0.3 * math.sqrt(2 * math.log(3))
    by_hand = [
        min(1, 0.4 + wide2) - 2 * max(0, 0.3 - wide2),
        min(1, 0.9 + wide8) - 2 * max(0, 0.8 - wide8),
    ]
    np.testing.assert_allclose(got, by_hand)


def test_a_high_price_makes_the_cheap_rank_win() -> None:
    seen = (saw(2, 0.4, 1.0), saw(8, 0.8, 9.0))
    cheap, dear = make(**PAPER, bonus=0.0), make(**PAPER, bonus=0.0, price_start=5.0)
    for policy in (cheap, dear):
        pull(policy, *seen)
    assert cheap.select(offer(cheap.context), stream(0)).tolist() == [8]
    assert dear.select(offer(dear.context), stream(0)).tolist() == [2]


def test_the_price_steps_as_the_formula_says() -> None:
    policy = make(step=0.5, price_max=0.6)
    policy.settle(overspent(0.4))
    assert policy.price == pytest.approx(0.5 * 0.4)
    policy.settle(overspent(1.0))
    assert policy.price == pytest.approx(0.2 + 0.5 / math.sqrt(2))
    policy.settle(overspent(3.0))
    assert policy.price == 0.6
    for _ in range(20):
        policy.settle(overspent(-1.0))
    assert policy.price == 0.0


def test_without_a_budget_the_price_stays() -> None:
    policy = make(price_start=0.3)
    policy.settle(Account(5.0, math.inf, 5.0, math.inf, 0.5))
    assert policy.price == 0.3


def test_tightened_aims_below_the_allotment() -> None:
    policy = make(step=1.0, tightened=0.2)
    policy.settle(overspent(0.0))  # aims at 8 J of the 10 it spent
    assert policy.price == pytest.approx(10 / 8 - 1)


def test_skip_sits_out_when_nothing_is_worth_its_price() -> None:
    sits, plays = make(bonus=0.0, price_start=9.0), make(bonus=0.0, price_start=9.0, skip=False)
    for policy in (sits, plays):
        pull(policy, saw(2, 0.4), saw(8, 0.4))
    assert sits.select(offer(sits.context, predicted_j=np.array([[1.0, 2.0]])), stream(0)).tolist() == [0]
    assert plays.select(offer(plays.context, predicted_j=np.array([[1.0, 2.0]])), stream(0)).tolist() == [2]


def test_foresight_charges_what_the_vehicle_foresees() -> None:
    policy = make(one_vehicle(latency_weight=0.5, deadline_s=30.0), bonus=0.0, price_start=2.0, lean=0.0)
    policy.table.add(np.zeros(2, np.int64), np.array([0, 1]), np.array([0.4, 0.6]), np.zeros(2))
    offers = offer(policy.context, predicted_s=np.array([[3.0, 12.0]]), predicted_j=np.array([[1.0, 4.0]]))
    got = policy.index(policy._estimates(np.zeros(1, np.int64)), offers)[0]
    np.testing.assert_allclose(got, [0.4 - 0.5 * 3 / 30 - 2 * 0.1, 0.6 - 0.5 * 12 / 30 - 2 * 0.4])


def test_a_second_costs_gains_where_time_will_be_over_before_the_rounds() -> None:
    policy = make(one_vehicle(latency_weight=0.5, deadline_s=30.0), bonus=0.0, lean=0.0, gain_time_s=3.0)
    pull(policy, saw(2, 0.4), saw(8, 0.6))
    offers = offer(policy.context, predicted_s=np.array([[1.5, 3.0]]))
    by_beta = policy.index(policy._estimates(policy._row), offers)[0]
    np.testing.assert_allclose(by_beta, [0.4 - 0.5 * 1.5 / 30, 0.6 - 0.5 * 3 / 30])
    policy.settle(replace(overspent(0.0), time_binds=True))
    # the mean gain is 0.5, and 3 s cost one of it
    by_gains = policy.index(policy._estimates(policy._row), offers)[0]
    np.testing.assert_allclose(by_gains, [0.4 - 0.25, 0.6 - 0.5])


def test_a_second_costs_by_what_latencies_are_typical() -> None:
    context = example_context(n_vehicles=2, ranks=(2, 8))
    base = replace(example_offers(context, 2, feasible_share=1.0), vehicle=np.arange(2))
    slow, fast = (
        replace(base, predicted_s=factor * np.array([[1.0, 3.0], [4.0, 8.0]])) for factor in (2.0, 0.5)
    )
    prices = {}
    for offers in (slow, fast):
        policy = make(context, bonus=0.0, gain_latencies=1.5)
        policy.select(offers, stream(0))
        policy.update(replace(saw(2, 0.5), vehicle=np.array([0])))
        policy.settle(replace(overspent(0.0), time_binds=True))
        prices[float(offers.predicted_s[0, 0])] = policy._latency_price
        restored = make(context, bonus=0.0, gain_latencies=1.5)
        restored.load_state_dict(policy.state_dict())
        assert restored._latency_price == policy._latency_price
    # sqrt(2 · 8) = 4 s and sqrt(0.5 · 2) = 1 s are typical of the lowest rank; the mean gain is 0.5
    assert prices == {2.0: pytest.approx(0.5 / 6.0), 0.5: pytest.approx(0.5 / 1.5)}


def test_who_could_not_begin_has_no_say_in_what_is_typical() -> None:
    context = example_context(n_vehicles=3, ranks=(2, 8))
    offers = replace(
        example_offers(context, 3),
        vehicle=np.arange(3),
        predicted_s=np.array([[1.0, 3.0], [4.0, 8.0], [100.0, 200.0]]),
        feasible=np.array([[True, True], [True, False], [False, False]]),
    )
    policy = make(context, bonus=0.0, gain_latencies=1.5)
    policy.select(offers, stream(0))
    policy.update(replace(saw(2, 0.5), vehicle=np.array([0])))
    policy.settle(replace(overspent(0.0), time_binds=True))
    assert policy._latency_price == pytest.approx(0.5 / (1.5 * 2.0))  # sqrt(1 · 4) = 2 s are typical


def test_the_price_of_a_second_knows_nothing_of_the_offers_it_is_used_on() -> None:
    context = example_context(n_vehicles=8, ranks=(2, 8))
    offers = replace(
        example_offers(context, 8, feasible_share=1.0),
        vehicle=np.arange(8),
        predicted_s=np.array([[2.0, 3.0]] + 7 * [[20.0, 30.0]]),
    )
    chosen = []
    for whom in (slice(0, 1), slice(0, 8)):  # alone, and while seven slow ones are asked elsewhere
        policy = make(context, bonus=0.0, lean=0.0, gain_latencies=1.0)
        policy.select(offers.part(slice(0, 1)), stream(0))
        policy.update(saw(2, 0.5))
        policy.settle(replace(overspent(0.0), time_binds=True))
        chosen.append(policy.select(offers.part(whom), stream(0))[0])
        assert policy._feasible == 1 + len(offers.part(whom)), "they count from the next round on"
    assert chosen[0] == chosen[1]


def test_an_update_that_was_lost_has_used_no_data() -> None:
    context = example_context(n_vehicles=3, ranks=(2, 8))
    policy = make(context, freshness=1.0)
    policy.select(replace(example_offers(context, 3), vehicle=np.arange(3)), stream(0))
    seen = replace(saw(2, 0.4), vehicle=np.array([0]))
    policy.update(seen)
    policy.update(replace(seen, vehicle=np.array([1]), delivered=np.array([False]), reward=np.array([0.0])))
    assert policy._updates.tolist() == [1, 0, 0]


def test_a_vehicle_that_has_sent_more_than_the_mean_counts_less() -> None:
    context = example_context(n_vehicles=3, ranks=(2, 8))
    offers = replace(example_offers(context, 3, feasible_share=1.0), vehicle=np.arange(3))
    policy = make(context, bonus=0.0, lean=0.0, freshness=0.5, latency_weight=0.0)
    plain = make(context, bonus=0.0, lean=0.0, latency_weight=0.0)
    policy.select(offers, stream(0))
    for vehicle in (0, 0, 0, 0, 0, 1):
        policy.update(replace(saw(2, 0.4), vehicle=np.array([vehicle])))
    plain.table = policy.table
    known = policy._estimates(policy._row)
    # 5 and 1 updates: the mean vehicle that has sent any sent 3, so the first counts (4/6)^(1/2)
    got, whole = policy.index(known, offers), plain.index(known, offers)
    np.testing.assert_allclose(got, whole * np.array([[(4 / 6) ** 0.5], [1.0], [1.0]]))
    assert whole.any()


@pytest.mark.parametrize("edges", [(12e6, 5e6), (-1.0, 5e6), (5e6, 5e6)])
def test_edges_of_buckets_must_ascend(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match="positive and ascending"):
        UcbDual.Options(link_edges_bps=edges)


def test_a_context_is_device_times_link_times_residence() -> None:
    contexts = Contexts(2, link_edges_bps=(5e6, 12e6), residence_edges=(0.5, 2.0), deadline_s=30.0)
    assert contexts.shape == (2, 3, 3)
    rows = [  # device, bit/s, s of residence: edges of 15 and 60 s, an edge belongs to the bucket above
        ((0, 1e6, 1.0), 0),
        ((0, 1e6, 15.0), 1),
        ((0, 1e6, 59.9), 1),
        ((0, 1e6, 60.0), 2),
        ((0, 5e6, 1.0), 3),
        ((0, 11.9e6, 1.0), 3),
        ((0, 12e6, 60.0), 8),
        ((1, 1e6, 1.0), 9),
        ((1, 99e6, 999.0), 17),
    ]
    device, rate_bps, residence_s = map(np.array, zip(*(row for row, _ in rows), strict=True))
    offers = replace(
        example_offers(example_context(), len(rows)),
        device=device,
        rate_bps=rate_bps,
        residence_s=residence_s,
    )
    found = contexts.of(offers)
    assert found.tolist() == [context for _, context in rows]
    assert contexts.device(found).tolist() == device.tolist()


def test_a_price_of_a_second_in_seconds_goes_before_one_in_latencies() -> None:
    both, seconds = (
        make(one_vehicle(), bonus=0.0, **options)
        for options in ({"gain_time_s": 4.0, "gain_latencies": 1.0}, {"gain_time_s": 4.0})
    )
    for policy in (both, seconds):
        policy.settle(Account(0.0, np.inf, 0.0, np.inf, 0.5, time_binds=True))
        pull(policy, saw(2, 0.5, gain=0.5))
    assert both._latency_price == seconds._latency_price == pytest.approx(0.5 / 4.0)


def test_foresight_learns_the_gain_without_its_latency() -> None:
    policy = make(one_vehicle(latency_weight=0.5, deadline_s=30.0))
    pull(policy, saw(2, 0.0, latency_s=24.0, gain=0.3))  # its latency took all of its reward
    assert policy.table.reward_sum.sum() == pytest.approx(0.3)


def test_a_newcomer_starts_from_what_others_learned() -> None:
    context = example_context(n_vehicles=2, ranks=(2, 8))
    offers = example_offers(context, 2, feasible_share=1.0)
    alike = replace(
        offers, device=np.zeros(2, np.int64), rate_bps=np.full(2, 1e6), residence_s=np.full(2, 9.0)
    )
    policy = UcbDual(context, UcbDual.Options(bonus=0.0, foresight=False))
    first = [replace(alike, **{f: getattr(alike, f)[:1] for f in ROWS}) for _ in range(2)]
    for one, feedback in zip(first, (saw(2, 0.1), saw(8, 0.9)), strict=True):
        policy.select(one, stream(0))
        policy.update(replace(feedback, vehicle=one.vehicle))
    newcomer = replace(alike, **{f: getattr(alike, f)[1:] for f in ROWS})
    assert policy.select(newcomer, stream(0)).tolist() == [8]


ROWS = ("vehicle", "rsu", "device", "feasible", "predicted_j", "predicted_s", "residence_s", "rate_bps")


def test_a_rare_context_leans_on_its_device_class_and_that_on_the_fleet() -> None:
    policy = make(example_context(n_vehicles=4, ranks=(2, 8)), lean=4.0)
    per_device = policy.contexts.shape[1] * policy.contexts.shape[2]
    row = np.array([0, 1, per_device])  # two contexts of the first class, one of the second
    policy.table.add(row, np.zeros(3, np.int64), np.array([0.9, 0.3, 0.0]), np.zeros(3))
    known = policy._estimates(np.array([2]))  # never met, of the first class
    # the class has 2 pulls of mean 0.6, the fleet 3 of mean 0.4; it borrows 4·3/7 pulls of the fleet …
    fleet = 4 * 3 / 7
    class_pulls = 2 + fleet
    class_mean = (2 * 0.6 + fleet * 0.4) / class_pulls
    # … and the context 4·n/(4 + n) of the class
    assert known.count[0, 0] == pytest.approx(4 * class_pulls / (4 + class_pulls))
    assert known.reward[0, 0] == pytest.approx(class_mean)


def test_discounted_observations_fade() -> None:
    policy = make(discount=0.5)
    pull(policy, saw(2, 0.8))
    policy.settle(overspent(0.0))
    assert policy.table.count.sum() == pytest.approx(0.5)


@pytest.mark.parametrize(
    "options",
    [PAPER, {}, {"foresight": False}, {"skip": False}, {"discount": 0.9}, {"tightened": 0.3}, {"lean": 0.0}],
)
def test_every_combination_keeps_the_contract(options: dict[str, Any]) -> None:
    check_policy(UcbDual, **options)


def test_one_arm_only_is_played() -> None:
    policy = make(example_context(n_vehicles=1, ranks=(4,)))
    assert policy.select(offer(policy.context), stream(0)).tolist() == [4]


@pytest.mark.parametrize("options", [{}, PAPER, {"freshness": 0.5}])
def test_a_large_fleet_chooses_as_its_parts_do(options: dict[str, Any]) -> None:
    policy = make(example_context(n_vehicles=5000), **options)
    for round in range(3):
        whole = example_offers(policy.context, 5000, round)
        chosen = policy.select(whole, stream(0))
        parts = [policy.select(whole.part(slice(a, a + 700)), stream(0)) for a in range(0, 5000, 700)]
        assert np.array_equal(chosen, np.concatenate(parts))
        pulled = np.flatnonzero(chosen)
        seen = [saw(int(rank), reward=float(rank == 8)) for rank in chosen[pulled]]
        columns = ("rank", "reward", "joules", "latency_s", "delivered")
        policy.update(
            Feedback(
                0, pulled, **{name: np.concatenate([getattr(s, name) for s in seen]) for name in columns}
            )
        )
