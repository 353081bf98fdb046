"""Hand-offs and limits along true tracks: what is carried on, what it costs, when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fleetlora.federation.flight import Started, fly
from fleetlora.federation.world import Here, World


def moments(world: World) -> Iterator[tuple[Here, np.ndarray]]:
    """Yield moments, and the vehicles that will be handed off from 2 to 8 s after them."""
    for time_s in np.arange(60.0, 260.0, 2.0):
        here = world.observe(float(time_s))
        left_s = here.leaves_s - time_s
        contact = np.maximum(here.contact, 0)
        off = (here.rsu >= 0) & (world.contacts.end[contact] == 1) & (left_s > 2) & (left_s < 8)
        yield here, np.flatnonzero(off)


def leaving(world: World) -> tuple[Here, np.ndarray]:
    """Return the first moment at which at least two vehicles are about to be handed off, and these."""
    return next((here, vehicle) for here, vehicle in moments(world) if len(vehicle) >= 2)


def start(here: Here, vehicle: np.ndarray, **changes: Any) -> Started:
    """Return updates of 100 kB down, 12 s of computing and 100 kB up, with 30 s for all of it."""
    n = len(vehicle)
    values: dict[str, Any] = {
        "vehicle": vehicle,
        "rsu": here.rsu[vehicle],
        "task": np.zeros(n, np.int64),
        "chosen": np.full(n, 4),
        "rank": np.full(n, 4),
        "steps": np.full(n, 3),
        "full_steps": np.full(n, 3),
        "bytes_down": np.full(n, 100_000),
        "bytes_up": np.full(n, 100_000),
        "compute_s": np.full(n, 12.0),
        "test_s": np.zeros(n),
        "hand_off": np.ones(n, bool),
        "gives_up": np.ones(n, bool),
        "limit_s": np.full(n, 30.0),
        "residence_s": np.full(n, 5.0),
        "worst_j": np.full(n, 1e3),
    }
    return Started(**{**values, **changes})


def test_a_handed_off_update_arrives_through_the_next_rsu(street: World) -> None:
    here, vehicle = leaving(street)
    flight = fly(street, start(here, vehicle), here)
    following = street.contacts.next_contact[here.contact[vehicle]]
    assert (flight.outcome == "handed_off").all()
    np.testing.assert_array_equal(flight.rsu_to, street.contacts.rsu[following])
    # it computed to the end, on the way, and its upload began at the next RSU after that
    np.testing.assert_allclose(flight.compute_s, 12.0)
    assert (flight.end_s > here.time_s + flight.download_s + 12.0).all()


def test_a_hand_off_pays_the_backhaul(street: World) -> None:
    here, vehicle = leaving(street)
    slow = replace(street, backhaul=street.backhaul.model_copy(update={"latency_s": 1.0}))
    quick, late = fly(street, start(here, vehicle), here), fly(slow, start(here, vehicle), here)
    np.testing.assert_allclose(late.end_s - quick.end_s, 1.0 - street.backhaul.latency_s)
    np.testing.assert_allclose(late.spent.total_j, quick.spent.total_j)


def test_without_a_hand_off_it_is_given_up_when_the_vehicle_leaves(street: World) -> None:
    here, vehicle = leaving(street)
    for gives_up, outcome in ((True, "abandoned"), (False, "lost")):
        plans = {"hand_off": np.zeros(len(vehicle), bool), "gives_up": np.full(len(vehicle), gives_up)}
        flight = fly(street, start(here, vehicle, **plans), here)
        assert (flight.outcome == outcome).all()
        np.testing.assert_allclose(flight.end_s, here.leaves_s[vehicle])
        assert (flight.rsu_to == -1).all()


def test_a_hand_off_that_does_not_end_in_time_is_lost_with_its_joules(street: World) -> None:
    here, vehicle = leaving(street)
    flight = fly(street, start(here, vehicle, limit_s=np.full(len(vehicle), 10.0)), here)
    assert (flight.outcome == "lost").all()
    np.testing.assert_allclose(flight.end_s, here.time_s + 10.0)
    # it had gone on computing after it left
    assert (flight.compute_s > here.leaves_s[vehicle] - here.time_s - flight.download_s).all()
    np.testing.assert_allclose(flight.download_s + flight.compute_s, 10.0)


def test_joules_of_both_legs_are_seconds_times_watts(street: World) -> None:
    here, vehicle = leaving(street)
    flight = fly(street, start(here, vehicle), here)
    watts = street.computers.take(vehicle)
    by_hand = (
        watts.power_rx_w * flight.download_s
        + watts.power_compute_w * flight.compute_s
        + watts.power_tx_w * flight.upload_s
    )
    np.testing.assert_allclose(flight.spent.total_j, by_hand)
    assert (flight.rsu_to_j > 0).all()


def test_an_upload_cut_by_the_handoff_sends_the_rest_only(street: World) -> None:
    here, vehicle = leaving(street)
    one = vehicle[:1]
    left_s = float(here.leaves_s[one[0]] - here.time_s)
    # no computing: the upload begins under the first RSU and is large enough to be cut there
    big = {"compute_s": np.zeros(1), "bytes_up": np.full(1, int(left_s * 2e6))}
    whole = fly(street, start(here, one, **big), here)
    fresh = fly(street, start(here, one, **{**big, "hand_off": np.zeros(1, bool)}), here)
    assert whole.outcome[0] == "handed_off"
    assert fresh.outcome[0] == "abandoned"
    assert whole.upload_s[0] > fresh.upload_s[0]
    # what the channels carried in both legs is the update, once
    came_s = np.array([here.time_s + whole.download_s[0], here.leaves_s[one[0]]])
    went_s = np.array([here.leaves_s[one[0]], whole.end_s[0] - street.backhaul.seconds(big["bytes_up"])[0]])
    rsu = np.array([here.rsu[one[0]], whole.rsu_to[0]])
    legs = street.capacity(np.repeat(one, 2), rsu, came_s, went_s)
    assert (legs.up_bits[:, -1] > 0.1 * 8.0 * big["bytes_up"]).all(), "each carried a good part of it"
    assert legs.up_bits[:, -1].sum() == pytest.approx(8.0 * big["bytes_up"][0], rel=0.01)


def test_an_update_whose_download_the_handoff_cuts_is_given_up(street: World) -> None:
    here, vehicle = leaving(street)
    n = len(vehicle)
    # so large a model that none of them has it when it leaves, and nothing to compute but 100 kB to send
    plans = {"bytes_down": np.full(n, 400_000_000), "compute_s": np.zeros(n)}
    flight = fly(street, start(here, vehicle, **plans), here)
    assert (flight.outcome == "abandoned").all()
    assert (flight.rsu_to == -1).all()
    np.testing.assert_allclose(flight.end_s, here.leaves_s[vehicle])


def test_hand_offs_share_the_band_of_the_rsu_they_come_to(street: World) -> None:
    compared = 0
    for here, leavers in moments(street):
        for one in leavers[:, None]:
            following = street.contacts.rsu[street.contacts.next_contact[here.contact[one]]][0]
            there = np.flatnonzero((here.rsu == following) & (here.leaves_s - here.time_s > 20))[:1]
            alone = fly(street, start(here, one, bytes_up=np.array([1_500_000])), here)
            if len(there) and alone.outcome[0] == "handed_off":
                busy = {"compute_s": np.array([12.0, 0.0]), "bytes_up": np.array([1_500_000, 400_000_000])}
                both = fly(street, start(here, np.concatenate([one, there]), **busy), here)
                assert both.end_s[0] > alone.end_s[0]
                compared += 1
    assert compared


def test_early_is_fewer_steps_delivered_in_full(street: World) -> None:
    here = street.observe(100.0)
    vehicle = np.flatnonzero((here.rsu >= 0) & (here.leaves_s - 100.0 > 25))
    flight = fly(
        street,
        start(here, vehicle, steps=np.full(len(vehicle), 2), compute_s=np.full(len(vehicle), 1.0)),
        here,
    )
    assert set(flight.outcome) == {"early"}
    assert flight.arrived.all()


def test_nobody_started_is_an_empty_flight(street: World) -> None:
    here = street.observe(100.0)
    assert len(fly(street, start(here, np.empty(0, np.int64)), here).end_s) == 0
