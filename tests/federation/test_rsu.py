"""Who is admitted."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlora.federation.rsu import admit
from fleetlora.rng import stream


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 4), st.integers(1, 3))
def test_admission_keeps_its_rules(seed: int, n: int, n_tasks: int, per_task: int) -> None:
    rng = np.random.default_rng(seed)
    serving = rng.integers(-1, 4, n)
    holds = rng.random((n, n_tasks)) < 0.6
    admitted = admit(serving, holds, per_task, rng)
    assert len(np.unique(admitted.vehicle)) == len(admitted), "a vehicle takes part once"
    assert (serving[admitted.vehicle] == admitted.rsu).all()
    assert (admitted.rsu >= 0).all()
    assert holds[admitted.vehicle, admitted.task].all()
    places = admitted.rsu * n_tasks + admitted.task
    assert np.bincount(places, minlength=1).max(initial=0) <= per_task


def test_a_place_is_left_empty_only_when_nobody_offers_themselves() -> None:
    serving, holds = np.zeros(10, dtype=int), np.ones((10, 1), dtype=bool)
    assert len(admit(serving, holds, 3, stream(0))) == 3
    assert len(admit(serving, holds, 30, stream(0))) == 10


def test_every_vehicle_in_contact_is_admitted_equally_often() -> None:
    serving, holds = np.zeros(5, dtype=int), np.ones((5, 1), dtype=bool)
    counts = np.zeros(5)
    for round in range(2000):
        counts[admit(serving, holds, 2, stream(3, round)).vehicle] += 1
    # 2 of 5 a round: 800 expected; four standard deviations are about 88
    assert np.abs(counts - 800).max() < 88


def test_a_vehicle_with_two_tasks_serves_both_in_the_long_run() -> None:
    serving, holds = np.array([0]), np.ones((1, 2), dtype=bool)
    tasks = [int(admit(serving, holds, 1, stream(5, round)).task[0]) for round in range(400)]
    assert 140 < sum(tasks) < 260


def test_equal_seeds_admit_equal_vehicles() -> None:
    serving, holds = np.arange(50) % 7 - 1, np.ones((50, 3), dtype=bool)
    a, b = (admit(serving, holds, 2, stream(9, "admission")) for _ in range(2))
    np.testing.assert_array_equal(a.vehicle, b.vehicle)
    np.testing.assert_array_equal(a.task, b.task)
