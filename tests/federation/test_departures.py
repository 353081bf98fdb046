"""The departure rules against expected costs worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from fleetlora.federation.departures import DEPARTURE_RULES, Drop, LeastCost, Oracle, Prospect


def prospect(**changes: Any) -> Prospect:
    """Return one vehicle: 1 s down, 4 s for 4 steps, 1 s up, 2 J for the radio and 4 J for the steps."""
    values: dict[str, Any] = {
        "residence_s": [100.0],
        "spread": 0.5,
        "download_s": [1.0],
        "compute_s": [4.0],
        "upload_s": [1.0],
        "steps": np.array([4]),
        "fixed_j": [2.0],
        "compute_j": [4.0],
        "next_rsu": np.array([-1]),
        "backhaul_s": [0.1],
        "limit_s": [20.0],
        "scale_j": 10.0,
        **changes,
    }
    return Prospect(**{k: np.asarray(v, float) if isinstance(v, list) else v for k, v in values.items()})


def test_a_vehicle_that_stays_does_every_step() -> None:
    plan = LeastCost().plan(prospect())
    assert plan.start.all()
    assert plan.steps.tolist() == [4]


def test_the_action_is_the_cheapest_by_hand() -> None:
    # leaves in 4 s: with h steps T = 2 + h, E = 2 + h
    stay, spread = 4.0, 0.3
    costs = [
        0.2 * (2 + h) / 20
        + 0.2 * (2 + h) / 10
        + 1
        - (h / 4) ** 0.5 * norm.cdf(np.log(stay / (2 + h)) / spread)
        for h in (1, 2, 3, 4)
    ]
    plan = LeastCost().plan(prospect(residence_s=[stay], spread=spread))
    assert plan.steps[0] == int(np.argmin(costs)) + 1 == 1
    assert bool(plan.start[0]) == (min(costs) < 1)


def test_a_vehicle_that_leaves_soon_uploads_early() -> None:
    assert LeastCost().plan(prospect(residence_s=[4.5], spread=0.1)).steps[0] == 2


def test_a_vehicle_about_to_leave_does_not_start() -> None:
    assert not LeastCost().plan(prospect(residence_s=[0.5], spread=0.1)).start[0]


def test_with_a_next_rsu_ahead_it_does_every_step_and_hands_off() -> None:
    plan = LeastCost().plan(prospect(residence_s=[3.0], spread=0.1, next_rsu=np.array([2])))
    assert plan.start[0]
    assert plan.steps[0] == 4
    assert plan.hand_off[0]


def test_no_hand_off_is_planned_that_cannot_end_within_the_limit() -> None:
    plan = LeastCost().plan(prospect(residence_s=[3.0], next_rsu=np.array([2]), limit_s=[2.5]))
    assert not plan.hand_off[0]


def test_hand_offs_can_be_turned_off() -> None:
    plan = LeastCost(hand_offs=False).plan(prospect(residence_s=[3.0], next_rsu=np.array([2])))
    assert not plan.hand_off[0]


def test_drop_takes_every_step_whatever_is_predicted() -> None:
    plan = Drop().plan(prospect(residence_s=[0.1]))
    assert plan.start.all()
    assert plan.steps.tolist() == [4]
    assert not plan.hand_off.any()


def test_the_oracle_is_least_cost_without_error() -> None:
    assert Oracle.oracle
    assert not LeastCost.oracle
    # told that it has exactly 5 s, it takes the three steps that fit
    assert Oracle().plan(prospect(residence_s=[5.0], spread=0.0)).steps[0] == 3


@pytest.mark.parametrize("name", DEPARTURE_RULES.names())
def test_every_rule_is_deterministic_and_takes_nobody(name: str) -> None:
    rule = DEPARTURE_RULES.get(name)()
    empty = prospect(
        **{
            key: np.empty(0)
            for key in (
                "residence_s",
                "download_s",
                "compute_s",
                "upload_s",
                "fixed_j",
                "compute_j",
                "backhaul_s",
                "limit_s",
            )
        },
        steps=np.empty(0, np.int64),
        next_rsu=np.empty(0, np.int64),
    )
    assert len(rule.plan(empty).start) == 0
    one, two = (rule.plan(prospect(residence_s=[5.0])) for _ in range(2))
    assert one.steps.tolist() == two.steps.tolist()
