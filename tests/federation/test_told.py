"""What policies are told: of each round's joules, and of what each update came to, by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from fleetlora.faults import Events
from fleetlora.federation.costs import UpdateCosts
from fleetlora.federation.flight import Flight, Started
from fleetlora.federation.inbox import Inbox
from fleetlora.federation.rows import RoundReport
from fleetlora.federation.world import World
from fleetlora.records import ARRIVED
from fleetlora.scheduling import POLICIES, Account, Feedback, Policy

from .conftest import CountingLearner
from .test_loop import TASKS, simulate


class Heard:
    """What the policies heard, round by round, by task."""

    def __init__(self) -> None:
        self.accounts: dict[str, list[Account]] = {task: [] for task in TASKS}
        self.feedback: dict[str, list[Feedback]] = {task: [] for task in TASKS}


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """Let policies that choose at random note what they are told."""
    notes = Heard()

    def settle(self: Policy, account: Account) -> None:
        notes.accounts[self.context.task].append(account)

    def update(self: Policy, feedback: Feedback) -> None:
        notes.feedback[self.context.task].append(feedback)

    monkeypatch.setattr(POLICIES.get("random"), "settle", settle)
    monkeypatch.setattr(POLICIES.get("random"), "update", update)
    return notes


def updates_of(reports: list[RoundReport], task: str) -> Iterator[dict[str, np.ndarray]]:
    """Yield a task's rows of ``updates``, round by round."""
    for report in reports:
        mine = np.asarray(report.updates["task"]) == task
        yield {name: np.asarray(values)[mine] for name, values in report.updates.items()}


@pytest.mark.parametrize(("count", "period_s", "binds"), [(8, 0.0, False), (1000, 30.0, True)])
def test_a_round_is_allotted_what_is_left_spread_over_the_rest_of_the_horizon(
    street: World, heard: Heard, count: int, period_s: float, binds: bool
) -> None:
    """Of 8 rounds that are over soon the rounds bind; of 1000 half a minute apart, time."""
    _, reports = simulate(street, budget_j=1500.0, count=count, period_s=period_s)
    ends_s = np.array([report.clock_s for report in reports])
    over = ends_s / street.tracks.duration_s if binds else np.arange(1, count + 1) / count
    now = np.minimum(over, 1.0)
    was = np.append(0.0, now[:-1])
    for k, task in enumerate(TASKS):
        total_j = np.array([report.rounds["spent_j"][k] for report in reports])
        before_j = np.append(0.0, total_j[:-1])
        told = heard.accounts[task]
        np.testing.assert_allclose(
            [one.allotted_j for one in told], (1500.0 - before_j) * (now - was) / (1.0 - was), rtol=1e-12
        )
        np.testing.assert_allclose([one.spent_j for one in told], total_j - before_j)
        np.testing.assert_array_equal([one.total_j for one in told], total_j)
        np.testing.assert_allclose([one.progress for one in told], now)
        assert {one.budget_j for one in told} == {1500.0}
        assert {one.time_binds for one in told} == {binds}


def test_a_reward_is_the_gain_less_a_fifth_of_the_part_of_the_deadline_it_took(
    street: World, heard: Heard
) -> None:
    """Every vehicle halves its loss: a gain of 0.5."""
    _, reports = simulate(street, period_s=30.0)
    ways = set()
    for task in TASKS:
        for told, rows in zip(heard.feedback[task], updates_of(reports, task), strict=True):
            took_s = rows["t_end_s"] - rows["t_start_s"]
            came = np.isin(rows["outcome"], ARRIVED)
            by_hand = np.where(came, np.maximum(0.0, 0.5 - 0.2 * took_s / 20.0), 0.0)
            np.testing.assert_allclose(told.reward, by_hand)
            np.testing.assert_array_equal(rows["reward"], told.reward)
            np.testing.assert_allclose(told.gain, np.where(came, 0.5, 0.0))
            np.testing.assert_allclose(told.latency_s, took_s)
            np.testing.assert_array_equal(told.delivered, came)
            np.testing.assert_array_equal(told.vehicle, rows["vehicle"])
            np.testing.assert_array_equal(told.joules, rows["joules"])
            ways |= set(came.tolist())
    assert ways == {True, False}


class LateStamps(Inbox):
    """Believes vehicles whose clocks are a second fast."""

    def take(
        self, round: int, begins_s: float, closes_s: float, started: Started, flight: Flight
    ) -> tuple[Flight, Events]:
        return replace(flight, stamp_s=flight.end_s + 1.0), Events.none()


def test_a_reward_counts_the_time_until_the_stamp(street: World, heard: Heard) -> None:
    _, reports = simulate(street, inbox=LateStamps())
    for task in TASKS:
        for told, rows in zip(heard.feedback[task], updates_of(reports, task), strict=True):
            took_s = rows["t_end_s"] + 1.0 - rows["t_start_s"]
            np.testing.assert_allclose(told.latency_s, took_s)
            np.testing.assert_allclose(told.reward[told.delivered], 0.5 - 0.2 * took_s[told.delivered] / 20.0)
        assert any(told.delivered.any() for told in heard.feedback[task])


def test_a_policy_is_told_the_rank_it_chose_though_the_vehicle_trains_a_lower_one(
    street: World, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All vehicles were pruned to rank 2; the policy chooses 2 or 8."""
    costs = CountingLearner.costs

    def pruned(self: CountingLearner, task: int, vehicle: np.ndarray) -> UpdateCosts:
        whole, ones = costs(self, task), np.ones((len(vehicle), 1), dtype=np.int64)
        return UpdateCosts(
            whole.ranks,
            ones * whole.bytes_down,
            ones * whole.bytes_up,
            ones * whole.flops_per_step,
            ones * np.minimum(whole.ranks, 2),
        )

    monkeypatch.setattr(CountingLearner, "costs", pruned)
    _, reports = simulate(street)
    for task in TASKS:
        assert {2, 8} == {rank for told in heard.feedback[task] for rank in told.rank.tolist()}
    assert {2} == {rank for report in reports for rank in report.updates["rank"].tolist()}
