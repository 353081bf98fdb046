"""What each fault does to what is seen and to what happens, on a street and by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fleetlora.faults import FaultSettings, Windows
from fleetlora.federation.faulty_world import FaultyWorld, with_faults
from fleetlora.federation.flight import fly
from fleetlora.federation.world import World
from fleetlora.physics import Capacity

from .test_flight import leaving, start

#: A moment at which vehicles drive past every RSU, and one at which none of them has begun to.
NOW_S = 100.0


def faulty(world: World, windows: dict[str, Windows] | None = None, **kinds: Any) -> FaultyWorld:
    """Return the world under faults, some of their windows given instead of drawn."""
    made = with_faults(world, FaultSettings(**kinds), seed=1)
    assert isinstance(made, FaultyWorld)
    return replace(made, schedule=replace(made.schedule, **(windows or {})))


def of_vehicles(world: World, begin_s: float, end_s: float, vehicle: int | None = None) -> Windows:
    """Return one window of every vehicle, or of a single one."""
    n = world.tracks.n_vehicles
    whom = range(n) if vehicle is None else [vehicle]
    return Windows.of(n, [(v, begin_s, end_s) for v in whom])


def served(world: World) -> np.ndarray:
    """Return vehicles served now and for 10 s more."""
    here = world.observe(NOW_S)
    return np.flatnonzero((here.rsu >= 0) & (here.leaves_s > NOW_S + 10.0))


def test_without_faults_the_world_is_itself(street: World) -> None:
    assert with_faults(street, FaultSettings(), seed=1) is street


def test_an_rsu_that_is_off_serves_nobody_and_the_others_go_on(street: World) -> None:
    world = faulty(street, rsu_outage={"windows": [[1, NOW_S, NOW_S + 5]]})
    before, plain = world.observe(NOW_S - 0.1), street.observe(NOW_S - 0.1)
    np.testing.assert_array_equal(before.rsu, plain.rsu)
    seen, there = world.observe(NOW_S), street.observe(NOW_S)
    off = there.rsu == 1
    assert off.any()
    assert (seen.rsu[off] == -1).all()
    assert (seen.contact[off] == -1).all()
    np.testing.assert_array_equal(seen.rsu[~off], there.rsu[~off])


def test_a_transfer_stands_still_while_its_rsu_is_off(street: World) -> None:
    one = served(street)[:1]
    here = street.observe(NOW_S)
    rsu = int(here.rsu[one[0]])
    plain = fly(street, start(here, one, compute_s=np.zeros(1)), here)
    begin_s = NOW_S + float(plain.download_s[0]) / 2
    world = faulty(street, rsu_outage={"windows": [[rsu, begin_s, begin_s + 1.0]]})
    flight = fly(world, start(here, one, compute_s=np.zeros(1)), here)
    # half of the download, a second of nothing, and the rest, in almost the same place
    assert flight.download_s[0] == pytest.approx(plain.download_s[0] + 1.0, abs=0.3)
    assert flight.spent.download_j[0] > plain.spent.download_j[0]
    # the vehicle's radio stays on, the RSU's does not: its joules are those without the second
    without_s = flight.download_s - 1.0
    np.testing.assert_allclose(flight.rsu_j, world.rsu_power.energy_j(without_s, flight.upload_s))


def test_lost_packets_stretch_a_transfer_by_one_over_what_gets_through() -> None:
    capacity = Capacity.constant([0.0], [20.0], [1e6], [1e6])
    burst = Windows.of(1, [(0, 2.0, 4.0)])
    bad = lambda t: np.where(burst.at(t, np.zeros(t.shape, np.int64)) >= 0, 0.25, 1.0)  # noqa: E731
    edges = burst.edges_s(np.array([0]), np.array([0.0]), np.array([20.0]))
    scaled = capacity.scaled(edges, bad)
    at = {float(t): float(bits) for t, bits in zip(scaled.t_s[0], scaled.up_bits[0], strict=True)}
    # 2 s at 1 Mbit/s, 2 s at 0.25, 16 s at 1 Mbit/s
    assert at[2.0] == pytest.approx(2e6)
    assert at[4.0] == pytest.approx(2.5e6)
    assert at[20.0] == pytest.approx(18.5e6)


def test_packets_are_lost_in_a_burst_and_not_outside_it(street: World) -> None:
    loss = {"good_s": 1.0, "bad_s": 1.0, "loss_good": 0.0, "loss_bad": 0.75}
    world = faulty(street, {"burst": of_vehicles(street, NOW_S, NOW_S + 2.0)}, packet_loss=loss)
    vehicle = served(street)
    rsu = street.observe(NOW_S).rsu[vehicle]
    for from_s, kept in ((NOW_S, 0.25), (NOW_S + 2.0, 1.0)):
        span = vehicle, rsu, np.full(len(vehicle), from_s), np.full(len(vehicle), from_s + 2.0)
        still, thin = street.capacity(*span), world.capacity(*span)
        np.testing.assert_allclose(thin.up_bits[:, -1], kept * still.up_bits[:, -1])
        np.testing.assert_allclose(thin.down_bits[:, -1], kept * still.down_bits[:, -1])


def test_sending_again_costs_joules_and_never_more_than_was_reserved(street: World) -> None:
    vehicle, here = served(street), street.observe(NOW_S)
    loss = {"good_s": 1.0, "bad_s": 1.0, "loss_good": 0.5, "loss_bad": 0.5}
    world = faulty(street, packet_loss=loss)
    begun = start(here, vehicle, compute_s=np.zeros(len(vehicle)))
    plain, lossy = fly(street, begun, here), fly(world, begun, here)
    assert (lossy.spent.total_j > plain.spent.total_j).all()
    limit_s = begun.limit_s
    worst_j = world.energy.worst_case_j(begun.compute_s, limit_s, world.computers.take(vehicle))
    assert (lossy.spent.total_j <= worst_j).all()
    # half of the packets are lost all the time: the same bits at half the rate, had it not moved meanwhile
    still = street.capacity(vehicle, begun.rsu, np.full(len(vehicle), NOW_S), here.leaves_s[vehicle])
    thin = world.capacity(vehicle, begun.rsu, np.full(len(vehicle), NOW_S), here.leaves_s[vehicle])
    np.testing.assert_allclose(thin.up_bits[:, -1], 0.5 * still.up_bits[:, -1])


def test_a_slow_vehicle_computes_longer_and_its_worst_case_knew(street: World) -> None:
    vehicle, here = served(street)[:2], street.observe(NOW_S)
    slow = of_vehicles(street, NOW_S - 1, NOW_S + 1, int(vehicle[0]))
    world = faulty(street, {"straggler": slow}, straggler={"factor": 3.0})
    begun = start(here, vehicle, compute_s=np.full(2, 2.0))
    flight = fly(world, begun, here)
    assert flight.compute_s.tolist() == [6.0, 2.0]
    watts = world.computers.take(vehicle)
    np.testing.assert_allclose(flight.spent.compute_j, watts.power_compute_w * [6.0, 2.0])
    planned_j = street.energy.worst_case_j(begun.compute_s, begun.limit_s, watts)
    reserved_j = world.energy.worst_case_j(begun.compute_s, begun.limit_s, watts, world.slowest)
    dearer = watts.power_compute_w > watts.power_tx_w
    assert (reserved_j[dearer] > planned_j[dearer]).all()
    assert (flight.spent.total_j <= reserved_j).all()


def test_the_worst_case_holds_for_every_slowdown_and_channel(street: World) -> None:
    rng = np.random.default_rng(0)
    vehicle = rng.integers(0, street.tracks.n_vehicles, 500)
    watts, limit_s = street.computers.take(vehicle), np.full(500, 20.0)
    planned_s = rng.uniform(0, 15, 500)
    down_s = rng.uniform(0, 20, 500)
    really_s = np.minimum(planned_s * np.where(rng.random(500) < 0.5, 4.0, 1.0), 20.0 - down_s)
    spent = street.energy.energy_j(down_s, really_s, 20.0 - down_s - really_s, watts)
    assert (spent.total_j <= street.energy.worst_case_j(planned_s, limit_s, watts, 4.0) * (1 + 1e-12)).all()


def test_a_vehicle_that_starts_anew_loses_its_update_then_and_is_not_served(street: World) -> None:
    here, vehicle = leaving(street)
    at_s = here.time_s + 1.0
    world = faulty(street, {"reboot": of_vehicles(street, at_s, at_s + 30.0, int(vehicle[0]))}, reboot="mild")
    flight = fly(world, start(here, vehicle), here)
    assert flight.outcome[0] == "lost"
    assert flight.end_s[0] == at_s
    assert (flight.outcome[1:] == "handed_off").all()
    assert world.observe(at_s).rsu[vehicle[0]] == -1
    assert world.rebooted(at_s, at_s + 1.0).tolist() == [vehicle[0]]
    assert world.rebooted(here.time_s, at_s).tolist() == []


def test_a_spike_makes_every_transfer_over_the_backhaul_later(street: World) -> None:
    spike = Windows.of(1, [(0, 50.0, 60.0)])
    world = faulty(street, {"backhaul_spike": spike}, backhaul_spike={"delay_s": 2.0})
    plain = float(street.backhaul.seconds(1e6))
    seconds = world.backhaul_s(np.full(3, 1e6), np.array([49.0, 50.0, 60.0]))
    np.testing.assert_allclose(seconds, [plain, plain + 2.0, plain])
    assert float(world.backhaul_s(0, 55.0)) == 0.0


def test_the_cloud_answers_outside_its_outages(street: World) -> None:
    world = faulty(street, cloud_outage={"windows": [[20.0, 40.0]]})
    assert [world.cloud_answers(t) for t in (19.0, 20.0, 39.0, 40.0)] == [True, False, False, True]


def test_without_a_fix_a_vehicle_is_seen_where_it_was_but_served_where_it_is(street: World) -> None:
    one = int(served(street)[0])
    world = faulty(
        street, {"gps_dropout": of_vehicles(street, NOW_S - 4, NOW_S + 4, one)}, gps_dropout="mild"
    )
    seen, there = world.observe(NOW_S), street.observe(NOW_S)
    was = street.tracks.at(NOW_S - 4, np.array([one]))
    assert seen.east_m[one] == pytest.approx(was.x_m[0] - street.sites.x_m[there.rsu[one]])
    # it drives along the street, 4 s behind
    assert abs(seen.east_m[one] - there.east_m[one]) == pytest.approx(4 * was.speed_mps[0], rel=0.01)
    assert seen.rsu[one] == there.rsu[one]
    assert seen.leaves_s[one] == there.leaves_s[one]
    others = np.arange(street.tracks.n_vehicles) != one
    np.testing.assert_array_equal(seen.east_m[others], there.east_m[others])


def test_a_vehicle_that_was_not_there_when_its_dropout_began_is_seen(street: World) -> None:
    world = faulty(street, {"gps_dropout": of_vehicles(street, 0.0, 300.0)}, gps_dropout="mild")
    absent = ~street.tracks.at(0.0).present
    seen, there = world.observe(NOW_S), street.observe(NOW_S)
    np.testing.assert_array_equal(seen.east_m[absent], there.east_m[absent])


def test_drifting_fixes_are_off_by_speed_times_time_and_velocity_by_the_speed(street: World) -> None:
    world = faulty(
        street, {"gps_drift": of_vehicles(street, NOW_S - 5, NOW_S + 5)}, gps_drift={"drift_mps": 2.0}
    )
    world = replace(world, schedule=replace(world.schedule, heading_rad=np.zeros(street.tracks.n_vehicles)))
    seen, there = world.observe(NOW_S), street.observe(NOW_S)
    on = there.rsu >= 0
    np.testing.assert_allclose(seen.east_m[on] - there.east_m[on], 10.0)
    np.testing.assert_allclose(seen.north_m[on], there.north_m[on])
    np.testing.assert_allclose(seen.east_mps[on] - there.east_mps[on], 2.0)


def test_what_a_fix_says_changes_no_outcome(street: World) -> None:
    vehicle, here = served(street), street.observe(NOW_S)
    world = faulty(street, gps_drift="harsh", gps_dropout="harsh")
    plain, blind = fly(street, start(here, vehicle), here), fly(world, start(here, vehicle), here)
    np.testing.assert_array_equal(plain.end_s, blind.end_s)
    np.testing.assert_array_equal(plain.outcome, blind.outcome)
