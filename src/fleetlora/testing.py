"""Checkers for components that users write themselves."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from fleetlora.errors import InputError
from fleetlora.rng import stream
from fleetlora.scheduling import Account, Feedback, Offers, Policy, PolicyContext, checked_ranks

__all__ = ["check_policy", "example_context", "example_offers"]


def example_context(n_vehicles: int = 40, ranks: tuple[int, ...] = (2, 4, 8, 16)) -> PolicyContext:
    """Return a small, valid context: ``n_vehicles`` of three device classes, costs rising with rank."""
    arms = np.asarray(ranks, dtype=np.int64)
    return PolicyContext(
        task="example",
        ranks=arms,
        n_vehicles=n_vehicles,
        device=np.arange(n_vehicles, dtype=np.int64) % 3,
        device_names=("small", "medium", "large"),
        device_flops_per_s=np.array([15e9, 70e9, 380e9]),
        reference_j=np.asarray(4.0 + 0.5 * arms, dtype=np.float64),
        scale_j=float(2.0 * (4.0 + 0.5 * arms[-1])),
        deadline_s=30.0,
    )


def example_offers(context: PolicyContext, n: int, seed: int = 0, feasible_share: float = 0.8) -> Offers:
    """Return valid offers to ``n`` distinct vehicles; the arrays are read-only: a policy must not write."""
    rng = stream(seed, "example offers", n)
    arms = len(context.ranks)
    vehicle = np.sort(rng.choice(context.n_vehicles, size=n, replace=False)).astype(np.int64)
    predicted_j = context.reference_j * rng.uniform(0.5, 2.0, size=(n, 1))
    offers = Offers(
        round=seed,
        time_s=30.0 * seed,
        vehicle=vehicle,
        rsu=rng.integers(0, 5, size=n),
        device=context.device[vehicle],
        feasible=rng.random((n, arms)) < feasible_share,
        predicted_j=predicted_j,
        predicted_s=predicted_j,
        residence_s=rng.uniform(5.0, 300.0, size=n),
        rate_bps=rng.uniform(1e6, 3e7, size=n),
    )
    for field in fields(offers):
        value = getattr(offers, field.name)
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return offers


def _feedback(policy: Policy, offers: Offers, ranks: np.ndarray, seed: int) -> Feedback:
    rng = stream(seed, "example feedback")
    rows = np.flatnonzero(ranks)
    arm = np.searchsorted(policy.context.ranks, ranks[rows])
    delivered = rng.random(len(rows)) < 0.8
    return Feedback(
        round=offers.round,
        vehicle=offers.vehicle[rows],
        rank=ranks[rows],
        reward=np.where(delivered, rng.random(len(rows)), 0.0),
        joules=offers.predicted_j[rows, arm],
        latency_s=offers.predicted_s[rows, arm],
        delivered=delivered,
    )


def _play(policy: Policy, seeds: range, n: int = 30) -> list[np.ndarray]:
    """Play the rounds ``seeds`` and return what the policy chose in each."""
    chosen = []
    total_j = 0.0
    for seed in seeds:
        offers = example_offers(policy.context, n, seed)
        ranks = checked_ranks(policy, policy.select(offers, stream(seed, "play")), offers)
        feedback = _feedback(policy, offers, ranks, seed)
        policy.update(feedback)
        spent_j = float(feedback.joules.sum())
        total_j += spent_j
        policy.settle(Account(spent_j, 100.0, total_j, 1000.0, (seed + 1) / 10))
        if not np.isfinite(policy.price) or policy.price < 0:
            raise InputError(
                f"price is {policy.price}",
                where=f"policy {type(policy).__name__}",
                mend="keep it finite and not negative",
            )
        chosen.append(ranks)
    return chosen


def _same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def check_policy(cls: type[Policy], **options: Any) -> None:
    """Check that a policy keeps the contract of :class:`~fleetlora.scheduling.Policy`.

    It plays rounds with many, one and no vehicles, with one arm, and with no feasible arm; then it checks
    that equal seeds give equal choices, and that a policy restored from ``state_dict`` goes on as the
    original would.

    Args:
        cls: The policy class.
        **options: Values of its ``Options``.

    Raises:
        InputError: The contract is broken; the message names the policy and the mend.
    """
    who = f"policy {cls.__name__}"

    def make(context: PolicyContext | None = None) -> Policy:
        return cls(context or example_context(), cls.Options(**options))

    for n in (0, 1, 30):
        _play(make(), range(2), n)
    if not options:
        _play(make(example_context(ranks=(4,))), range(2))
    policy = make()
    offers = example_offers(policy.context, 10)
    barred = replace(offers, feasible=np.zeros_like(offers.feasible))
    checked_ranks(policy, policy.select(barred, stream(0, "barred")), barred)

    if not _same(_play(make(), range(6)), _play(make(), range(6))):
        raise InputError(
            "equal seeds gave different choices",
            where=who,
            mend="draw only from the rng that select is given, and keep no global state",
        )
    original, restored = make(), make()
    _play(original, range(4))
    restored.load_state_dict(original.state_dict())
    if not _same(_play(original, range(4, 8)), _play(restored, range(4, 8))):
        raise InputError(
            "a copy restored from state_dict chose differently",
            where=who,
            mend="put everything the policy has learned into state_dict",
        )
