from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlora.errors import FleetLoraError
from fleetlora.records import Ledger
from fleetlora.records.measures import energy_by_task_j, rsu_energy_j

TASKS = ("a", "b")


def charge(ledger: Ledger, joules: Any, **changes: Any) -> None:
    columns: dict[str, Any] = {
        "round": 0,
        "t_s": 1.0,
        "vehicle": 3,
        "rsu": 1,
        "task": "a",
        "phase": "compute",
        "outcome": "delivered",
        "joules": joules,
    }
    ledger.charge(**columns | changes)


def test_every_joule_is_booked_where_it_belongs() -> None:
    ledger = Ledger(TASKS, {"a": 100.0, "b": None})
    charge(ledger, np.array([1.0, 2.0, 3.0]), task=["a", "b", "a"], phase=["download", "upload", "compute"])
    charge(ledger, 7.0, vehicle=-1, phase="rsu", outcome="none", task="b")
    assert (ledger.spent_j("a"), ledger.spent_j("b")) == (4.0, 2.0)
    assert (ledger.rsu_j(), ledger.rsu_j("a"), ledger.total_j()) == (7.0, 0.0, 6.0)
    assert ledger.remaining_j("a") == 96.0
    assert ledger.remaining_j("b") == math.inf
    rows = ledger.to_arrow().to_pylist()
    assert [(r["task"], r["phase"], r["joules"]) for r in rows] == [
        ("a", "download", 1.0),
        ("b", "upload", 2.0),
        ("a", "compute", 3.0),
        ("b", "rsu", 7.0),
    ]


def test_rows_without_joules_are_not_kept() -> None:
    ledger = Ledger(TASKS, {"a": 100.0, "b": 1.0})
    charge(ledger, np.array([0.0, 2.0]))
    charge(ledger, 0.0)
    charge(ledger, np.empty(0))
    assert len(ledger) == 1


def test_rows_can_be_read_from_any_row_on() -> None:
    ledger = Ledger(TASKS, {"a": 100.0, "b": 1.0})
    for joules in ([1.0, 2.0], [3.0], [4.0, 5.0]):
        charge(ledger, np.array(joules))
    for start in range(7):
        assert ledger.to_arrow(start)["joules"].to_pylist() == [1.0, 2.0, 3.0, 4.0, 5.0][start:]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joules": -1.0}, "finite and not negative"),
        ({"joules": np.nan}, "finite and not negative"),
        ({"joules": np.inf}, "finite and not negative"),
        ({"task": "c"}, r"unknown task 'c' \(known: a, b\)"),
        ({"phase": "sleep"}, "unknown phase 'sleep'"),
        ({"outcome": "late"}, "unknown outcome 'late'"),
        ({"vehicle": -1}, "phase 'rsu' goes with vehicle -1"),
        ({"phase": "rsu"}, "phase 'rsu' goes with vehicle -1"),
        ({"joules": 10.5}, "over its budget of 10 J"),
    ],
)
def test_a_charge_that_cannot_be_right_is_refused_whole(changes: dict[str, Any], message: str) -> None:
    ledger = Ledger(TASKS, {"a": 10.0, "b": 1.0})
    with pytest.raises(FleetLoraError, match=message):
        charge(ledger, **{"joules": 1.0} | changes)
    assert (len(ledger), ledger.total_j()) == (0, 0.0)


def test_one_task_over_its_cap_leaves_the_other_uncharged() -> None:
    ledger = Ledger(TASKS, {"a": 10.0, "b": 1.0})
    with pytest.raises(FleetLoraError, match="'b'"):
        charge(ledger, np.array([2.0, 2.0]), task=["a", "b"])
    assert ledger.spent_j("a") == 0.0


@pytest.mark.parametrize("budgets", [{"a": 1.0}, {"a": 1.0, "b": -1.0}, {"a": 1.0, "b": math.nan}])
def test_budgets_must_be_one_sane_number_per_task(budgets: dict[str, float]) -> None:
    with pytest.raises(FleetLoraError, match="budget"):
        Ledger(TASKS, budgets)


def test_rows_are_afforded_in_order_and_small_ones_fill_the_rest() -> None:
    ledger = Ledger(TASKS, {"a": 10.0, "b": None})
    worst = np.array([4.0, 100.0, 5.0, 2.0, 1.0, 0.0])
    assert ledger.affordable("a", worst).tolist() == [True, False, True, False, True, True]
    assert ledger.affordable("a", worst, held_j=8.0).tolist() == [False, False, False, True, False, True]
    assert ledger.affordable("b", worst).all()


def test_the_whole_budget_can_be_spent_to_the_last_joule() -> None:
    ledger = Ledger(TASKS, {"a": 0.3, "b": 0.0})
    worst = np.array([0.1, 0.1, 0.1])
    taken = ledger.affordable("a", worst)
    charge(ledger, worst[taken])
    assert ledger.remaining_j("a") < 0.1 + 1e-12
    assert not ledger.affordable("b", np.array([1e-9])).any()


def test_a_rounding_error_of_phases_is_no_overdraw() -> None:
    ledger = Ledger(TASKS, {"a": 0.3, "b": 0.0})  # 0.1 + 0.2 is a hair above 0.3
    charge(ledger, np.array([0.1, 0.2]))
    assert ledger.spent_j("a") == 0.3
    assert ledger.remaining_j("a") == 0.0


def test_budgets_can_be_divided_anew_but_not_below_what_is_spent() -> None:
    ledger = Ledger(TASKS, {"a": 10.0, "b": 10.0})
    charge(ledger, 8.0)
    ledger.rebudget({"a": 8.0, "b": 12.0})
    assert (ledger.remaining_j("a"), ledger.remaining_j("b")) == (0.0, 12.0)
    with pytest.raises(FleetLoraError, match="has spent 8 J, more than 7 J"):
        ledger.rebudget({"a": 7.0, "b": 13.0})


def test_a_ledger_goes_on_from_its_state_as_if_never_stopped() -> None:
    rng = np.random.default_rng(1)
    whole, half = Ledger(TASKS, {"a": 1e6, "b": None}), Ledger(TASKS, {"a": 1e6, "b": None})
    first, second = rng.random(500) * 0.1, rng.random(500) * 0.1
    charge(whole, first)
    charge(half, first)
    resumed = Ledger(TASKS, {"a": 0.0, "b": 0.0})
    resumed.load_state_dict(half.state_dict())
    charge(whole, second)
    charge(resumed, second)
    assert resumed.spent_j("a") == whole.spent_j("a")
    assert resumed.budget_j("a") == 1e6
    assert resumed.to_arrow().equals(whole.to_arrow())


def test_the_state_of_other_tasks_is_refused() -> None:
    with pytest.raises(FleetLoraError, match="state of tasks"):
        Ledger(("c",), {"c": 1.0}).load_state_dict(Ledger(TASKS, {"a": 1.0, "b": 1.0}).state_dict())


def test_totals_agree_with_the_sum_of_a_million_rows() -> None:
    rng = np.random.default_rng(0)
    ledger = Ledger(TASKS, {"a": None, "b": None})
    for _ in range(20):
        vehicle = rng.integers(-1, 300, 50_000)
        charge(
            ledger,
            10 ** rng.uniform(-9, 6, 50_000),
            vehicle=vehicle,
            phase=np.where(vehicle < 0, "rsu", "upload"),
            task=np.array(TASKS)[rng.integers(0, 2, 50_000)],
        )
    table = ledger.to_arrow()
    for task, joules in energy_by_task_j(table).items():
        assert joules == pytest.approx(ledger.spent_j(task), rel=1e-12)
    assert rsu_energy_j(table) == pytest.approx(ledger.rsu_j(), rel=1e-12)


@given(
    budget_j=st.floats(0, 1e4),
    rounds=st.lists(st.lists(st.tuples(st.floats(0, 3e3), st.floats(0, 1)), max_size=12), max_size=6),
)
def test_no_admission_ever_takes_a_task_above_its_cap(
    budget_j: float, rounds: list[list[tuple[float, float]]]
) -> None:
    ledger = Ledger(("a",), {"a": budget_j})
    for admitted in rounds:
        worst = np.array([w for w, _ in admitted])
        share = np.array([s for _, s in admitted])
        taken = ledger.affordable("a", worst)
        assert math.fsum(worst[taken].tolist()) <= ledger.remaining_j("a")
        left_out = worst[~taken]
        if len(left_out):  # what was refused did not fit
            assert left_out.min() > ledger.remaining_j("a") - math.fsum(worst[taken].tolist()) - 1e-9
        charge(ledger, (worst * share)[taken])
        assert ledger.spent_j("a") <= budget_j
    table = ledger.to_arrow()
    assert math.fsum(table["joules"].to_pylist()) <= budget_j


def test_rows_from_any_number_on_are_the_last_of_all_rows() -> None:
    ledger = Ledger(("a",), {"a": 100.0})
    for n in (1, 3, 2):
        ledger.charge(0, 1.0, np.arange(n), 0, "a", "compute", "delivered", np.arange(1.0, n + 1.0))
    whole = ledger.to_arrow()["joules"].to_pylist()
    assert whole == [1.0, 1.0, 2.0, 3.0, 1.0, 2.0]
    for start in range(len(whole) + 2):
        assert ledger.to_arrow(start)["joules"].to_pylist() == whole[start:]
