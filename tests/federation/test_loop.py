"""The round loop over a street of four RSUs: time, joules, caps, outcomes and determinism."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pyarrow.compute as pc
import pytest

from fleetlora.federation.budgets import BUDGET_RULES, Dividing
from fleetlora.federation.departures import DepartureRule, Drop, LeastCost, Oracle, Plan, Prospect
from fleetlora.federation.inbox import Inbox
from fleetlora.federation.loop import Rules, Simulation
from fleetlora.federation.rows import RoundReport
from fleetlora.federation.settings import (
    AdmissionSettings,
    EvaluationSettings,
    RewardSettings,
    RoundSettings,
)
from fleetlora.federation.world import World
from fleetlora.records import Ledger, arrow_table
from fleetlora.scheduling import POLICIES, PolicyContext

from .conftest import CountingLearner

TASKS = ("left", "right")


def simulate(
    world: World,
    *,
    policy: str = "random",
    budget_j: float = math.inf,
    seed: int = 1,
    departure: DepartureRule | None = None,
    budget_rule: str = "equal",
    every_s: float = 0.0,
    inbox: Inbox | None = None,
    **round_settings: Any,
) -> tuple[Simulation, list[RoundReport]]:
    learner = CountingLearner(world.tracks.n_vehicles)
    kind = POLICIES.get(policy)
    settings = RoundSettings(**{"count": 8, "deadline_s": 20.0, **round_settings})
    contexts = [
        PolicyContext(
            task,
            learner.ranks,
            world.tracks.n_vehicles,
            world.device,
            ("a", "b", "c", "d"),
            np.array([device.flops_per_s for device in world.devices]),
            np.ones(2),
            scale_j=10.0,
            deadline_s=20.0,
        )
        for task in TASKS
    ]
    simulation = Simulation(
        world,
        learner,
        [kind(context, kind.Options()) for context in contexts],
        departure or Drop(),
        Dividing(BUDGET_RULES.get(budget_rule)(), [0.5, 0.5]),
        Ledger(TASKS, dict.fromkeys(TASKS, budget_j)),
        Rules(
            seed=seed,
            steps=4,
            admission=AdmissionSettings(vehicles_per_task=3),
            round=settings,
            reward=RewardSettings(),
            evaluation=EvaluationSettings(every=1, every_s=every_s),
        ),
        inbox,
    )
    reports: list[RoundReport] = []

    class Keeper:
        def on_round(self, report: RoundReport) -> None:
            reports.append(report)

    simulation.run([Keeper()])
    return simulation, reports


def column(reports: list[RoundReport], table: str, name: str) -> np.ndarray:
    return np.concatenate([np.asarray(getattr(report, table)[name]) for report in reports])


def test_rows_fit_the_tables_of_a_run(street: World) -> None:
    _, reports = simulate(street)
    for report in reports:
        assert arrow_table("rounds", report.rounds).num_rows == 2
        arrow_table("updates", report.updates)


def test_the_run_has_something_of_everything(street: World) -> None:
    _, reports = simulate(street, period_s=30.0)
    outcomes = set(column(reports, "updates", "outcome"))
    assert outcomes == {"delivered", "lost"}
    assert set(column(reports, "updates", "rank")) == {2, 8}


def test_every_joule_of_the_updates_is_in_the_ledger(street: World) -> None:
    simulation, reports = simulate(street)
    ledger = simulation.ledger.to_arrow()
    vehicles = ledger.filter(pc.greater_equal(ledger["vehicle"], 0))
    booked, told = math.fsum(vehicles["joules"].to_pylist()), math.fsum(column(reports, "updates", "joules"))
    assert booked == pytest.approx(told, rel=1e-12)
    assert simulation.ledger.total_j() == pytest.approx(told, rel=1e-12)


def test_joules_are_seconds_times_watts(street: World) -> None:
    _, reports = simulate(street)
    columns = {
        n: column(reports, "updates", n) for n in ("vehicle", "download_s", "compute_s", "upload_s", "joules")
    }
    watts = street.computers.take(columns["vehicle"])
    by_hand = (
        watts.power_rx_w * columns["download_s"]
        + watts.power_compute_w * columns["compute_s"]
        + watts.power_tx_w * columns["upload_s"]
    )
    np.testing.assert_allclose(columns["joules"], by_hand, rtol=1e-12)


def test_who_learns_pays_for_measuring_what_came_through(street: World) -> None:
    _, reports = simulate(street, policy="ucb-alp", period_s=30.0)
    wanted = ("vehicle", "rank", "outcome", "download_s", "compute_s", "upload_s", "joules")
    of = {name: column(reports, "updates", name) for name in wanted}
    watts = street.computers.take(of["vehicle"])
    phases_j = (
        watts.power_rx_w * of["download_s"]
        + watts.power_compute_w * of["compute_s"]
        + watts.power_tx_w * of["upload_s"]
    )
    # half a step of 40 GFLOP and 1 GFLOP a rank, see CountingLearner
    tested_j = watts.power_compute_w * 0.5 * (4e10 + 1e9 * of["rank"]) / watts.flops_per_s
    came = of["outcome"] == "delivered"
    assert came.any()
    assert not came.all()
    np.testing.assert_allclose(of["joules"], phases_j + np.where(came, tested_j, 0.0), rtol=1e-12)


def test_a_budget_rule_that_listens_makes_everyone_measure(street: World) -> None:
    assert not simulate(street)[0].test_steps.any()
    assert (simulate(street, budget_rule="feedback", budget_j=1e6)[0].test_steps == 0.5).all()


@pytest.mark.parametrize("budget_j", [150.0, 400.0, 1500.0])
def test_a_task_never_spends_more_than_its_budget(street: World, budget_j: float) -> None:
    simulation, reports = simulate(street, budget_j=budget_j, policy="fixed")
    for task in TASKS:
        assert simulation.ledger.spent_j(task) <= budget_j
    assert column(reports, "rounds", "started").sum() > 0


@pytest.mark.parametrize("rule", ["feedback", "paper"])
def test_joules_are_divided_anew_where_the_cloud_merges_and_only_there(street: World, rule: str) -> None:
    _, reports = simulate(street, budget_rule=rule, budget_j=400.0, sync_every=2)
    budgets = [report.rounds["budget_j"] for report in reports]
    synced = [report.rounds["synced"][0] for report in reports]
    assert synced == [False, True] * 4
    before = [400.0, 400.0]
    for now, merged, report in zip(budgets, synced, reports, strict=True):
        assert math.fsum(now) == pytest.approx(800.0, rel=1e-12)
        assert merged or now == before
        assert all(spent <= most for spent, most in zip(report.rounds["spent_j"], now, strict=True))
        before = now
    assert budgets[-1] != [400.0, 400.0], "joules went from one task to the other"


def test_what_equal_tasks_leave_unspent_stays_their_own(street: World) -> None:
    _, reports = simulate(street, budget_rule="equal", budget_j=400.0, sync_every=2)
    assert all(report.rounds["budget_j"] == [400.0, 400.0] for report in reports)


def test_a_budget_too_small_for_one_update_starts_none(street: World) -> None:
    _, reports = simulate(street, budget_j=1.0)
    assert column(reports, "rounds", "started").sum() == 0
    assert column(reports, "rounds", "admitted").sum() > 0


def test_a_round_ends_with_its_slowest_vehicle(street: World) -> None:
    _, reports = simulate(street, sync_every=100)
    for report in reports:
        for k, task in enumerate(report.rounds["task"]):
            mine = report.updates["task"] == task
            if mine.any():
                assert report.rounds["t_end_s"][k] >= report.updates["t_end_s"][mine].max()
                if not report.rounds["synced"][k]:
                    assert report.rounds["t_end_s"][k] == report.updates["t_end_s"][mine].max()


def test_no_round_outlasts_the_deadline_and_the_backhaul(street: World) -> None:
    _, reports = simulate(street, deadline_s=6.0)
    # a sync moves 1 MB up and down at 1 Gbit/s with 10 ms each way: 36 ms
    assert column(reports, "rounds", "latency_s").max() <= 6.0 + 0.036 + 1e-9


def test_lost_updates_end_when_the_vehicle_leaves_or_at_the_deadline(street: World) -> None:
    _, reports = simulate(street, deadline_s=6.0, period_s=20.0)
    start, end, stay = (column(reports, "updates", n) for n in ("t_start_s", "t_end_s", "residence_true_s"))
    lost = column(reports, "updates", "outcome") == "lost"
    np.testing.assert_allclose((end - start)[lost], np.minimum(stay[lost], 6.0))


def test_only_delivered_updates_are_trained(street: World) -> None:
    simulation, reports = simulate(street, period_s=30.0)
    trained = sum(len(jobs) for _, _, jobs in simulation.learner.trained)  # type: ignore[attr-defined]
    assert trained == (column(reports, "updates", "outcome") == "delivered").sum()


class HalfTheSteps:
    """Everyone takes half of the steps and goes on to upload."""

    oracle: ClassVar[bool] = False

    def plan(self, prospect: Prospect) -> Plan:
        everyone = np.ones(len(prospect), bool)
        return Plan(start=everyone, steps=prospect.steps // 2, hand_off=~everyone, gives_up=~everyone)


def test_an_early_upload_computes_and_trains_the_steps_that_were_planned(street: World) -> None:
    simulation, reports = simulate(street, departure=HalfTheSteps(), period_s=30.0)
    names = ("vehicle", "rank", "outcome", "compute_s")
    vehicle, rank, outcome, compute_s = (column(reports, "updates", name) for name in names)
    came = outcome != "lost"
    assert set(outcome[came]) == {"early"}
    # two of four steps of 40 GFLOP and 1 GFLOP a rank, see CountingLearner
    by_hand = 2 * (4e10 + 1e9 * rank) / street.computers.take(vehicle).flops_per_s
    np.testing.assert_allclose(compute_s[came], by_hand[came])
    learner = simulation.learner
    assert isinstance(learner, CountingLearner)
    assert sum(len(jobs) for *_, jobs in learner.trained) == came.sum() > 0
    assert all((jobs.steps == 2).all() for *_, jobs in learner.trained)


def test_the_cloud_merges_every_q_rounds_and_at_the_end(street: World) -> None:
    _, reports = simulate(street, count=7, sync_every=3)
    assert [report.rounds["synced"][0] for report in reports] == [False, False, True] * 2 + [True]


def test_models_are_tested_no_sooner_than_asked(street: World) -> None:
    _, reports = simulate(street, count=9, sync_every=2, period_s=30.0, every_s=90.0)
    tested = [report.rounds["accuracy"][0] is not None for report in reports]
    # every second round may test: they begin after 30, 90, 150 and 210 s
    assert tested == [False, True, False, False, False, True, False, False, False]


def test_training_is_told_how_much_of_the_run_is_over(street: World) -> None:
    simulation, _ = simulate(street, count=5, period_s=30.0)
    learner = simulation.learner
    assert isinstance(learner, CountingLearner)
    duration_s = street.tracks.duration_s
    for (_, round, _), progress in zip(learner.trained, learner.progress, strict=True):
        assert progress == pytest.approx(max(round / 5, 30.0 * round / duration_s))


def test_training_is_told_how_much_of_the_joules_is_spent_if_that_is_more(street: World) -> None:
    simulation, _ = simulate(street, count=1000, budget_j=1500.0)
    learner = simulation.learner
    assert isinstance(learner, CountingLearner)
    rounds = np.array([round for _, round, _ in learner.trained])
    told = np.array(learner.progress)
    assert (np.diff(told[np.array([task for task, *_ in learner.trained]) == 0]) >= 0).all()
    assert told[-1] > 0.9, "a task that stops for its joules has run its schedule"
    assert told[-1] > 2 * rounds[-1] / 1000


def test_rounds_start_a_period_apart(street: World) -> None:
    _, reports = simulate(street, period_s=30.0, count=5)
    starts = [report.rounds["t_start_s"][0] for report in reports]
    np.testing.assert_allclose(starts, np.arange(5) * 30.0)


def test_a_round_that_everybody_sits_out_ends_after_a_pause(street: World) -> None:
    simulation, reports = simulate(street, budget_j=1e-6, count=5, pause_s=3.0)
    assert all(sum(report.rounds["admitted"]) > 0 for report in reports)
    np.testing.assert_allclose([report.rounds["t_start_s"][0] for report in reports], np.arange(5) * 3.0)
    assert simulation.clock_s == pytest.approx(15.0)


def test_a_round_without_vehicles_lasts_until_the_deadline(street: World) -> None:
    simulation, _ = simulate(street, count=1)
    simulation.samples[:] = 0
    simulation.round, simulation.clock_s = 0, 0.0
    assert simulation.step().clock_s == pytest.approx(20.0)


def test_the_run_ends_with_the_tracks(street: World) -> None:
    simulation, reports = simulate(street, count=10_000, period_s=30.0)
    assert len(reports) == math.ceil(street.tracks.duration_s / 30.0)
    assert simulation.over


def test_equal_seeds_play_equal_rounds_and_others_do_not(street: World) -> None:
    one, two, other = (simulate(street, seed=seed)[1] for seed in (4, 4, 5))
    np.testing.assert_array_equal(column(one, "updates", "vehicle"), column(two, "updates", "vehicle"))
    np.testing.assert_array_equal(column(one, "updates", "t_end_s"), column(two, "updates", "t_end_s"))
    assert column(one, "updates", "vehicle").tolist() != column(other, "updates", "vehicle").tolist()


def test_choices_do_not_depend_on_the_future(street: World) -> None:
    """Cut contacts short right after the first round begins: what is known then is the same."""
    from dataclasses import replace

    _, whole = simulate(street, count=1)
    horizon = replace(
        street,
        contacts=replace(
            street.contacts, t_out_s=np.minimum(street.contacts.t_out_s, 1e-3 + street.contacts.t_in_s)
        ),
    )
    _, cut = simulate(horizon, count=1)
    for name in ("vehicle", "rank", "residence_predicted_s"):
        np.testing.assert_array_equal(column(whole, "updates", name), column(cut, "updates", name))
    assert (column(cut, "updates", "outcome") == "lost").all()


def test_other_vehicles_are_admitted_from_one_round_to_the_next(street: World) -> None:
    simulation, _ = simulate(street, count=1)
    here = street.observe(100.0)
    admitted = []
    for number in (0, 0, 1):
        simulation.round = number
        admission = simulation._admit(here)
        admitted.append((admission.vehicle.tolist(), admission.task.tolist()))
    assert admitted[0] == admitted[1] != admitted[2]


def test_a_policy_draws_other_ranks_from_one_round_to_the_next(street: World) -> None:
    simulation, _ = simulate(street, count=1)
    here = street.observe(100.0)
    admission = simulation._admit(here)
    residence = simulation._foresee_residence(here, admission)
    chosen = []
    for number in (0, 0, 1):
        simulation.round = number
        chosen.append(simulation._choose(0, admission, residence, here).chosen.tolist())
    assert chosen[0] == chosen[1] != chosen[2]


def test_an_oracle_is_told_how_long_vehicles_stay_and_nobody_else_is(street: World) -> None:
    for rule, told in ((Oracle(), True), (LeastCost(), False)):
        _, reports = simulate(street, departure=rule, period_s=30.0)
        predicted, true = (column(reports, "updates", f"residence_{n}_s") for n in ("predicted", "true"))
        assert len(true)
        assert np.array_equal(predicted, true) == told


def test_joules_of_both_rsus_of_an_update_are_in_the_ledger(street: World) -> None:
    simulation, reports = simulate(street, departure=LeastCost(), period_s=15.0)
    ledger = simulation.ledger.to_arrow()
    rsus = ledger.filter(pc.equal(ledger["vehicle"], -1))
    assert set(rsus["phase"].to_pylist()) == {"rsu"}
    told = column(reports, "rounds", "energy_rsu_j")
    assert (told > 0).any()
    assert math.fsum(rsus["joules"].to_pylist()) == pytest.approx(math.fsum(told), rel=1e-12)
    assert (column(reports, "updates", "rsu_to") >= 0).any(), "an update was handed off"
