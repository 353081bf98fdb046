"""Facts about the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.errors import ConfigError
from fleetlora.rng import stream
from fleetlora.scheduling import OracleLp
from fleetlora.testing import check_policy
from tests.scheduling.fleet import COST, REWARD, context, offers, optimum, play

TRUTH = {"reward": REWARD.tolist(), "cost": COST.tolist(), "budget_per_decision": 0.3}


def test_it_plays_the_optimum_of_known_means() -> None:
    about = context()
    policy = OracleLp(about, OracleLp.Options(**TRUTH))
    best = optimum(about, 0.3)
    assert np.array_equal(policy.mix.probabilities, best.probabilities)
    assert policy.price == best.price
    runs = [play(policy, 0.3, rounds=200, seed=seed) for seed in range(3)]
    # 18,000 decisions; what chance and the cap cost is of the order of 1 %
    assert np.mean([run.reward for run in runs]) == pytest.approx(best.value, rel=0.02)
    assert np.mean([run.cost for run in runs]) <= 0.3 * 1.01


def test_an_infeasible_rank_falls_to_the_next_lower_one() -> None:
    about = context()
    policy = OracleLp(about, OracleLp.Options(**(TRUTH | {"budget_per_decision": 9.0})))
    here = offers(about, vehicle=[0, 1, 2], feasible=np.array([[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]))
    assert policy.select(here, stream(0)).tolist() == [4, 16, 0]


def test_without_the_truth_it_presumes_equal_rewards() -> None:
    about = context()
    policy = OracleLp(about, OracleLp.Options())
    assert (policy.select(offers(about), stream(0)) == 2).all()


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_a_part_of_the_truth_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="together or not at all"):
        OracleLp(context(), OracleLp.Options(**{name: TRUTH[name]}))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("reward", REWARD[:2].tolist(), r"policy\.reward: it has 2 rows of \[4\] values"),
        ("cost", [[0.1], [0.2, 0.3], [0.4]], r"policy\.cost: it has 3 rows of \[1, 2\] values"),
        ("reward", (REWARD - 0.5).tolist(), r"outside \[0, 1\]"),
        ("cost", (COST + 0.5).tolist(), r"outside \[0, 1\]"),
    ],
)
def test_a_truth_of_the_wrong_shape_or_size_is_refused(name: str, values: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OracleLp(context(), OracleLp.Options(**(TRUTH | {name: values})))


def test_it_keeps_the_contract_with_the_truth() -> None:
    check_policy(OracleLp, **TRUTH)
