"""What admitted vehicles foresee, and which ranks they are offered, by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from fleetlora.federation.choice import Outlook, foresee, make_offers
from fleetlora.federation.residence import Residence
from fleetlora.federation.rsu import Admission
from fleetlora.federation.settings import RoundSettings
from fleetlora.federation.world import Here, World
from fleetlora.scheduling import Offers

from .conftest import CountingLearner


@pytest.fixture(scope="module")
def here(street: World) -> Here:
    return street.observe(100.0)


@pytest.fixture(scope="module")
def three(here: Here) -> Admission:
    """Three vehicles of one RSU: one of task 0, two of task 1."""
    rsu = int(np.bincount(here.rsu[here.rsu >= 0]).argmax())
    vehicle = np.flatnonzero(here.rsu == rsu)[:3]
    return Admission(vehicle, np.full(3, rsu), np.array([0, 1, 1]))


def outlook(street: World, here: Here, three: Admission, task: int) -> Outlook:
    learner = CountingLearner(street.tracks.n_vehicles)
    return foresee(
        street,
        here,
        three,
        task,
        learner.costs(task, three.vehicle[three.task == task]),
        4,
        RoundSettings(deadline_s=20.0),
        Residence(np.array([10.0, 20.0, 30.0]), 0.5, np.array([-1, 2, 3])),
        learner.test_steps(task),
    )


@pytest.mark.parametrize("task", [0, 1])
def test_all_three_of_an_rsu_share_its_band_whatever_their_tasks(
    street: World, here: Here, three: Admission, task: int
) -> None:
    got = outlook(street, here, three, task)
    mine = three.vehicle[three.task == task]
    state = street.tracks.at(here.time_s, mine)
    five_seconds_m = 5.0 * np.hypot(state.vx_mps, state.vy_mps)
    down_bps, up_bps = street.link.expected_rates_bps(got.rsu, state.x_m, state.y_m, five_seconds_m)
    ranks = np.array([2, 8])  # 20 kB a rank both ways, see CountingLearner
    np.testing.assert_allclose(got.expected.upload_s, 8.0 * 20_000 * ranks * 3 / up_bps[:, None])
    np.testing.assert_allclose(got.expected.download_s, 8.0 * 20_000 * ranks * 3 / down_bps[:, None])
    np.testing.assert_allclose(got.up_bps, up_bps)
    flops_per_s = np.array([device.flops_per_s for device in street.devices])[street.device[mine]]
    np.testing.assert_allclose(got.expected.compute_s, 4 * (4e10 + 1e9 * ranks) / flops_per_s[:, None])
    np.testing.assert_array_equal(got.limit_s, 20.0)


def test_every_vehicle_keeps_its_own_residence_and_rsu(street: World, here: Here, three: Admission) -> None:
    one, two = (outlook(street, here, three, task) for task in (0, 1))
    np.testing.assert_array_equal(one.vehicle, three.vehicle[:1])
    np.testing.assert_array_equal(two.vehicle, three.vehicle[1:])
    np.testing.assert_array_equal(two.rsu, three.rsu[1:])
    assert one.residence.seconds.tolist() == [10.0]
    assert two.residence.seconds.tolist() == [20.0, 30.0]
    assert two.residence.next_rsu.tolist() == [2, 3]


def assert_offered_up_to(most: np.ndarray, offered: Callable[[float], Offers]) -> None:
    """Each arm is offered where as much is given as it takes, and not where a little less is."""
    for row, arm in np.ndindex(most.shape):
        limit = float(most[row, arm])
        for given, so in ((limit, True), (math.nextafter(limit, 0.0), False)):
            feasible = offered(given).feasible
            assert feasible[row, arm] == so
            np.testing.assert_array_equal(feasible, most <= given)


def test_a_rank_is_offered_that_ends_at_the_deadline_and_none_that_ends_later(
    street: World, here: Here, three: Admission
) -> None:
    got = outlook(street, here, three, 1)
    assert_offered_up_to(
        got.expected.total_s, lambda given_s: make_offers(got, 0, here, street.device, given_s, math.inf)
    )


def test_a_rank_is_offered_whose_worst_case_is_all_the_joules_left_and_none_that_may_cost_more(
    street: World, here: Here, three: Admission
) -> None:
    got = outlook(street, here, three, 1)
    assert_offered_up_to(
        got.expected.worst_j, lambda given_j: make_offers(got, 0, here, street.device, math.inf, given_j)
    )


def test_offers_tell_what_was_foreseen(street: World, here: Here, three: Admission) -> None:
    got = outlook(street, here, three, 1)
    offers = make_offers(got, 7, here, street.device, 20.0, math.inf)
    assert (offers.round, offers.time_s) == (7, 100.0)
    np.testing.assert_array_equal(offers.vehicle, three.vehicle[1:])
    np.testing.assert_array_equal(offers.rsu, three.rsu[1:])
    np.testing.assert_array_equal(offers.device, street.device[three.vehicle[1:]])
    np.testing.assert_array_equal(offers.predicted_j, got.expected.joules)
    np.testing.assert_array_equal(offers.predicted_s, got.expected.total_s)
    np.testing.assert_array_equal(offers.residence_s, [20.0, 30.0])
    np.testing.assert_array_equal(offers.rate_bps, got.up_bps)
