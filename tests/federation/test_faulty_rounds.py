"""Rounds under faults: joules, caps, merging, forgetting, and what choices may know."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest

from fleetlora.faults import FAULTS, FaultSettings, Windows
from fleetlora.federation.departures import LeastCost
from fleetlora.federation.faulty_world import FaultyWorld, with_faults
from fleetlora.federation.inbox import inbox_of
from fleetlora.federation.loop import Simulation
from fleetlora.federation.rows import RoundReport
from fleetlora.federation.world import World
from fleetlora.records import arrow_table
from fleetlora.scheduling import POLICIES

from .conftest import CountingLearner
from .test_faulty_world import faulty
from .test_loop import TASKS, column, simulate

EVERYTHING = dict.fromkeys(FAULTS, "harsh")


def under(street: World, budget_j: float = math.inf, **kinds: str) -> tuple[Simulation, list[RoundReport]]:
    faults = FaultSettings(**kinds)
    world, inbox = with_faults(street, faults, 1), inbox_of(faults, street.tracks.n_vehicles, 1)
    return simulate(
        world,
        inbox=inbox,
        budget_j=budget_j,
        departure=LeastCost(),
        policy="ucb-dual",
        period_s=15.0,
        patience=3.0,
    )


@pytest.mark.parametrize("kinds", [*({kind: "harsh"} for kind in FAULTS), EVERYTHING], ids=[*FAULTS, "all"])
def test_the_ledger_is_exact_and_no_budget_is_overdrawn(street: World, kinds: dict[str, str]) -> None:
    simulation, reports = under(street, budget_j=150.0, **kinds)
    ledger = simulation.ledger.to_arrow()
    booked = math.fsum(ledger.filter(pc.greater_equal(ledger["vehicle"], 0))["joules"].to_pylist())
    assert booked == pytest.approx(math.fsum(column(reports, "updates", "joules")), rel=1e-12)
    assert all(simulation.ledger.spent_j(task) <= 150.0 for task in TASKS)
    assert column(reports, "rounds", "started").sum() > 0
    for report in reports:
        arrow_table("updates", report.updates)
        arrow_table("faults", report.faults)


def test_equal_seeds_meet_equal_faults(street: World) -> None:
    one, two = (under(street, **EVERYTHING)[1] for _ in range(2))
    for table, name in (
        ("updates", "t_end_s"),
        ("updates", "outcome"),
        ("faults", "begin_s"),
        ("faults", "kind"),
    ):
        np.testing.assert_array_equal(column(one, table, name), column(two, table, name))
    assert len(set(column(one, "faults", "kind"))) >= 6


def test_while_the_cloud_does_not_answer_rsus_go_on_and_merge_later(street: World) -> None:
    world = faulty(street, cloud_outage={"windows": [[25.0, 65.0]]})
    simulation, reports = simulate(world, sync_every=1, period_s=20.0, count=6)
    # rounds begin at 0, 20, 40 ... and are over before the next
    assert [report.rounds["synced"][0] for report in reports] == [True, False, False, *[True] * 3]
    assert column(reports, "rounds", "started").reshape(6, 2).sum(axis=1).min() > 0
    assert isinstance(simulation.learner, CountingLearner)
    assert simulation.learner.syncs == [4, 4]
    assert all(accuracy is None for accuracy in reports[1].rounds["accuracy"])


def test_a_round_waits_for_a_backhaul_that_is_slow(street: World) -> None:
    spike = Windows.of(1, [(0, 0.0, 300.0)])
    world = faulty(street, {"backhaul_spike": spike}, backhaul_spike={"delay_s": 3.0})
    plain = simulate(street, sync_every=1, count=1)[1][0]
    slow = simulate(world, sync_every=1, count=1)[1][0]
    # up and down
    np.testing.assert_allclose(
        np.array(slow.rounds["t_end_s"]) - np.array(plain.rounds["t_end_s"]), 6.0, rtol=1e-9
    )


@pytest.mark.parametrize("kind", ["ucb-dual", "ucb-bv"])
def test_a_vehicle_that_starts_anew_forgets_its_own_rows_alone(street: World, kind: str) -> None:
    simulation, _ = simulate(street, policy=kind, count=1)
    context = simulation.policies[0].context
    policy_of = POLICIES.get(kind)
    for pooled in (True, False):
        policy = policy_of(context, policy_of.Options(pooled=pooled))
        policy.table.count[:] = policy.table.reward_sum[:] = 1.0  # type: ignore[attr-defined]
        policy.forget(np.array([2, 5]))
        gone = np.flatnonzero(policy.table.count.sum(axis=1) == 0)  # type: ignore[attr-defined]
        assert gone.tolist() == ([] if pooled else [2, 5])


def test_the_loop_lets_vehicles_forget_that_started_anew_in_the_round(
    street: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgot: list[list[int]] = []
    kind = POLICIES.get("random")
    monkeypatch.setattr(kind, "forget", lambda self, vehicle: forgot.append(vehicle.tolist()), raising=False)
    n = street.tracks.n_vehicles
    windows = Windows.of(n, [(3, 25.0, 30.0), (7, 39.0, 45.0), (8, 40.0, 45.0)])
    simulate(faulty(street, {"reboot": windows}, reboot="mild"), period_s=20.0, count=3)
    # one call for each of two tasks, in the rounds from 20 s and from 40 s
    assert forgot == [[3, 7], [3, 7], [8], [8]]


def test_choices_do_not_know_of_faults_to_come(street: World) -> None:
    """Faults that begin right after the first round does change its outcomes, but no choice."""
    later = 1e-3

    def doomed(world: FaultyWorld) -> FaultyWorld:
        n, j = street.tracks.n_vehicles, len(street.sites)
        everyone = Windows.of(n, [(v, later, 1e3) for v in range(n)])
        return replace(
            world,
            schedule=replace(
                world.schedule,
                rsu_outage=Windows.of(j, [(rsu, later, 1e3) for rsu in range(j)]),
                burst=everyone,
                reboot=everyone,
                gps_dropout=everyone,
            ),
        )

    quiet = faulty(street, **dict.fromkeys(("rsu_outage", "packet_loss", "reboot", "gps_dropout"), "mild"))
    nothing = Windows.none(street.tracks.n_vehicles)
    quiet = replace(
        quiet,
        schedule=replace(
            quiet.schedule,
            rsu_outage=Windows.none(len(street.sites)),
            burst=nothing,
            reboot=nothing,
            gps_dropout=nothing,
        ),
    )
    whole, cut = (
        simulate(world, count=1, policy="ucb-dual", departure=LeastCost())[1]
        for world in (quiet, doomed(quiet))
    )
    for name in ("vehicle", "rank", "steps", "residence_predicted_s"):
        np.testing.assert_array_equal(column(whole, "updates", name), column(cut, "updates", name))
    assert (column(cut, "updates", "outcome") == "lost").all()
    assert (column(whole, "updates", "outcome") != "lost").any()


def test_the_table_tells_which_windows_began_in_a_round(street: World) -> None:
    world = faulty(street, rsu_outage={"windows": [[1, 5.0, 8.0], [2, 25.0, 90.0], [0, 200.0, 210.0]]})
    _, reports = simulate(world, period_s=20.0, count=3)
    told = [
        (int(r), str(k), float(b), float(e), int(j))
        for r, k, b, e, j in zip(
            *(column(reports, "faults", name) for name in ("round", "kind", "begin_s", "end_s", "rsu")),
            strict=True,
        )
    ]
    assert told == [(0, "rsu_outage", 5.0, 8.0, 1), (1, "rsu_outage", 25.0, 90.0, 2)]
