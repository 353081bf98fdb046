"""Facts about what all policies learn from, and how the bandit rivals learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fleetlora.errors import InputError
from fleetlora.rng import stream
from fleetlora.scheduling import Account, PrimalDualBwk, UcbAlp, UcbBv
from fleetlora.scheduling.learning import Learning
from tests.scheduling.fleet import context, feedback, offers

RIVALS = (PrimalDualBwk, UcbAlp, UcbBv)


@pytest.mark.parametrize(
    ("reward", "joules", "message"),
    [
        (np.nan, 1.0, r"feedback\.reward: vehicle 7 reports reward nan"),
        (1.5, 1.0, r"vehicle 7 reports reward 1\.5"),
        (-0.1, 1.0, r"vehicle 7 reports reward -0\.1"),
        (0.5, np.nan, r"feedback\.joules: vehicle 7 reports joules nan"),
        (0.5, -1.0, r"vehicle 7 reports joules -1\.0"),
        (0.5, np.inf, "vehicle 7 reports joules inf"),
    ],
)
def test_feedback_that_no_update_can_give_is_refused(reward: float, joules: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        feedback([3, 7], [2, 2], [0.5, reward], [1.0, joules])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spent_j": np.nan}, r"account\.spent_j: the account says nan"),
        ({"total_j": -5.0}, r"account\.total_j: the account says -5\.0"),
        ({"total_j": np.inf}, "the account says inf"),
        ({"allotted_j": np.nan}, r"account\.allotted_j: the account says nan"),
    ],
)
def test_an_account_that_no_round_can_have_is_refused(change: dict[str, float], message: str) -> None:
    good = {"spent_j": 1.0, "allotted_j": np.inf, "total_j": 5.0, "budget_j": np.inf, "progress": 0.5}
    Account(**good)
    with pytest.raises(InputError, match=message):
        Account(**{**good, **change})


@pytest.mark.parametrize("kind", RIVALS)
def test_the_first_round_tries_every_rank_in_every_class(kind: type[Learning]) -> None:
    about = context()
    ranks = kind(about, kind.Options()).select(offers(about), stream(0))
    for device in range(3):
        counts = np.bincount(ranks[about.device == device], minlength=17)[about.ranks]
        assert counts.tolist() == [3, 3, 2, 2]


@pytest.mark.parametrize("kind", RIVALS)
def test_a_newcomer_starts_from_what_its_class_has_learned(kind: type[Learning]) -> None:
    about = context()
    policy = kind(about, kind.Options())
    policy.update(feedback([0] * 8, np.tile(about.ranks, 2), [0.1, 0.1, 0.1, 0.9] * 2, [10.0] * 8))
    assert policy.select(offers(about, vehicle=[3]), stream(0)).tolist() == [16]
    alone = kind(about, kind.Options(pooled=False))
    alone.update(feedback([0] * 8, np.tile(about.ranks, 2), [0.1, 0.1, 0.1, 0.9] * 2, [10.0] * 8))
    assert alone.select(offers(about, vehicle=[3]), stream(0)).tolist() == [2]
    assert alone.select(offers(about, vehicle=[0]), stream(0)).tolist() == [16]


@pytest.mark.parametrize("kind", RIVALS)
def test_costs_are_joules_over_the_scale_and_at_most_one(kind: type[Learning]) -> None:
    policy = kind(context(), kind.Options())
    policy.update(feedback([0, 1], [2, 4], [0.5, 0.5], [25.0, 500.0]))
    assert policy.table.mean_cost[0, 0] == 0.5
    assert policy.table.mean_cost[1, 1] == 1.0


@pytest.mark.parametrize("kind", RIVALS)
def test_old_rounds_fade_with_a_discount(kind: type[Learning]) -> None:
    policy = kind(context(), kind.Options(discount=0.5))
    policy.update(feedback([0], [2], [0.5], [25.0]))
    policy.settle(Account(25.0, np.inf, 25.0, np.inf, 0.5))
    assert policy.table.count[0, 0] == 0.5


@pytest.mark.parametrize("kind", RIVALS)
def test_a_rank_that_never_starts_costs_a_class_one_vehicle_a_round(kind: type[Learning]) -> None:
    about = context()
    policy = kind(about, kind.Options())
    for round in range(20):
        here = offers(about, round=round)
        ranks = policy.select(here, stream(0, round))
        starts = np.flatnonzero((ranks > 0) & (ranks < 16))
        policy.update(feedback(starts, ranks[starts], np.full(len(starts), 0.5), np.full(len(starts), 10.0)))
        policy.settle(Account(10.0, np.inf, 10.0, np.inf, (round + 1) / 20))
    assert np.bincount(about.device[ranks == 16], minlength=3).tolist() == [1, 1, 1]


@pytest.mark.parametrize("kind", RIVALS)
def test_a_state_of_another_fleet_is_refused(kind: type[Learning]) -> None:
    state = kind(context(), kind.Options(pooled=False)).state_dict()
    with pytest.raises(InputError, match="same fleet and ranks"):
        kind(context(), kind.Options()).load_state_dict(state)


@pytest.mark.parametrize("kind", RIVALS)
def test_choices_do_not_depend_on_the_scale_of_joules(kind: type[Learning]) -> None:
    chosen = []
    for factor in (1.0, 1000.0):
        about = context()
        policy = kind(replace(about, scale_j=about.scale_j * factor), kind.Options())
        for round in range(6):
            here = offers(about, round=round)
            ranks = policy.select(here, stream(0, round))
            rows = np.flatnonzero(ranks)
            reward = stream(1, round).random(len(rows))
            policy.update(feedback(rows, ranks[rows], reward, 2.0 * ranks[rows] * factor))
            spent = float(2.0 * ranks.sum() * factor)
            policy.settle(Account(spent, 300.0 * factor, spent, 3000.0 * factor, (round + 1) / 10))
        chosen.append(ranks)
    assert np.array_equal(*chosen)
