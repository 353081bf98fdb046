"""Facts about every registered policy, and about the checker that users run on their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fleetlora.errors import ConfigError, InputError
from fleetlora.rng import stream
from fleetlora.scheduling import POLICIES, Fixed, Offers, Policy, UniformRandom, checked_ranks
from fleetlora.testing import check_policy, example_context, example_offers


@pytest.mark.parametrize("name", POLICIES.names())
def test_every_registered_policy_keeps_the_contract(name: str) -> None:
    check_policy(POLICIES.get(name))


def test_fixed_sits_out_where_its_rank_is_not_feasible() -> None:
    context = example_context()
    policy = Fixed(context, Fixed.Options(rank=8))
    offers = example_offers(context, 30)
    ranks = policy.select(offers, stream(0))
    feasible = offers.feasible[:, list(context.ranks).index(8)]
    assert (ranks[feasible] == 8).all()
    assert (ranks[~feasible] == 0).all()


def test_fixed_defaults_to_the_largest_arm() -> None:
    assert Fixed(example_context(ranks=(1, 5, 9)), Fixed.Options()).rank == 9


def test_fixed_refuses_a_rank_that_is_not_an_arm() -> None:
    with pytest.raises(ConfigError, match=r"policy\.rank.*not one of the arms \[2, 4, 8, 16\]"):
        Fixed(example_context(), Fixed.Options(rank=5))


def test_random_draws_every_feasible_arm_alike() -> None:
    context = example_context(n_vehicles=20_000)
    policy = UniformRandom(context, UniformRandom.Options())
    offers = example_offers(context, 20_000, feasible_share=1.0)
    counts = np.bincount(policy.select(offers, stream(1)), minlength=17)[context.ranks]
    # 4 arms, 5,000 expected each; four standard deviations are 4·sqrt(20000·¼·¾) ≈ 245
    assert np.abs(counts - 5_000).max() < 245


class _Broken(Policy):
    returned: Any = None

    def select(self, offers: Offers, rng: np.random.Generator) -> Any:
        return self.returned(offers)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda o: np.full(len(o), 3), "rank 3, which is not an arm"),
        (lambda o: np.full(len(o), 99), "rank 99, which is not an arm"),
        (lambda o: np.full(len(o), -2), "rank -2, which is not an arm"),
        (lambda o: np.full(len(o) + 1, 2), "shape"),
        (lambda o: np.full(len(o), 2.0), "float64"),
        (lambda o: np.full(len(o), 16), "not feasible"),
    ],
)
def test_a_choice_outside_the_contract_is_refused_by_name(returned: Any, message: str) -> None:
    context = example_context()
    policy = _Broken(context, _Broken.Options())
    policy.returned = returned
    offers = example_offers(context, 30)
    with pytest.raises(InputError, match=message) as caught:
        checked_ranks(policy, policy.select(offers, stream(0)), offers)
    assert "_Broken" in str(caught.value)


def _first_or_last(offers: Offers, ranks: Any, last: bool) -> Any:
    feasible = offers.feasible[:, ::-1] if last else offers.feasible
    arms = ranks[::-1] if last else ranks
    return np.where(feasible.any(axis=1), arms[feasible.argmax(axis=1)], 0)


class _Forgetful(UniformRandom):
    """Learns, but forgets to save what it has learned."""

    rounds = 0

    def select(self, offers: Offers, rng: np.random.Generator) -> Any:
        self.rounds += 1
        return _first_or_last(offers, self.context.ranks, last=self.rounds > 5)


def test_the_checker_finds_state_that_is_not_saved() -> None:
    with pytest.raises(InputError, match="restored from state_dict chose differently"):
        check_policy(_Forgetful)


class _Global(UniformRandom):
    calls = iter(range(10**9))

    def select(self, offers: Offers, rng: np.random.Generator) -> Any:
        return _first_or_last(offers, self.context.ranks, last=next(self.calls) % 5 == 0)


def test_the_checker_finds_choices_that_depend_on_global_state() -> None:
    with pytest.raises(InputError, match="equal seeds gave different choices"):
        check_policy(_Global)


class _Free(UniformRandom):
    @property
    def price(self) -> float:
        return float("nan")


def test_the_checker_finds_a_price_that_is_not_a_number() -> None:
    with pytest.raises(InputError, match="price is nan"):
        check_policy(_Free)


def test_a_policy_without_state_refuses_a_foreign_state() -> None:
    policy = UniformRandom(example_context(), UniformRandom.Options())
    with pytest.raises(InputError, match="keeps no state"):
        policy.load_state_dict({"pulls": np.zeros(3)})


def test_an_unknown_policy_suggests_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'random'"):
        POLICIES.get("randon")
