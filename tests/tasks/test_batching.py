from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlora.errors import InputError
from fleetlora.tasks import Shards, schedule, schedule_many
from fleetlora.tasks.batching import _mixed


def shards(counts: list[int]) -> Shards:
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Shards(offsets, np.arange(offsets[-1]) + 100, np.zeros_like(offsets), np.empty(0, np.int64))


sizes = st.tuples(st.integers(1, 40), st.integers(1, 12), st.integers(1, 16), st.integers(0, 99))


@given(sizes, st.booleans())
def test_batches_are_full_and_rows_are_used_equally_often_after_every_step(
    size: tuple[int, int, int, int], bucket: bool
) -> None:
    n, steps, batch, seed = size
    rows = np.arange(n) + 7
    lengths = np.random.default_rng(seed).integers(1, 9, n + 7) if bucket else None
    plan = schedule(rows, steps, batch, np.random.default_rng(seed), lengths)
    assert plan.shape == (steps, batch)
    for step in range(1, steps + 1):
        used = np.bincount(plan[:step].ravel() - 7, minlength=n)
        assert used.sum() == step * batch
        assert used.max() - used.min() <= 1


@given(sizes, st.booleans())
def test_fewer_steps_are_the_first_of_more(size: tuple[int, int, int, int], bucket: bool) -> None:
    n, steps, batch, seed = size
    lengths = np.random.default_rng(seed).integers(1, 9, n) if bucket else None
    more = schedule(np.arange(n), steps + 11, batch, np.random.default_rng(seed), lengths)
    fewer = schedule(np.arange(n), steps, batch, np.random.default_rng(seed), lengths)
    assert np.array_equal(fewer, more[:steps])


@given(sizes)
def test_buckets_leave_each_window_its_rows(size: tuple[int, int, int, int]) -> None:
    n, windows, batch, seed = size
    lengths = np.random.default_rng(seed).integers(1, 60, n)
    plain = schedule(np.arange(n), 8 * windows, batch, np.random.default_rng(seed))
    bucketed = schedule(np.arange(n), 8 * windows, batch, np.random.default_rng(seed), lengths)
    by_window = [np.sort(plan.reshape(windows, -1), axis=1) for plan in (plain, bucketed)]
    assert np.array_equal(*by_window)


def test_buckets_save_most_of_the_padding() -> None:
    lengths = np.random.default_rng(0).integers(4, 64, 320)

    def padded(plan: np.ndarray) -> int:
        return int((lengths[plan].max(axis=1) * plan.shape[1]).sum() - lengths[plan].sum())

    plain = schedule(np.arange(320), 20, 16, np.random.default_rng(1))
    bucketed = schedule(np.arange(320), 20, 16, np.random.default_rng(1), lengths)
    assert padded(bucketed) < 0.25 * padded(plain)


def test_a_first_batch_holds_short_and_long_rows_equally_often() -> None:
    lengths = np.arange(64)
    firsts = [schedule(np.arange(64), 3, 8, np.random.default_rng(seed), lengths)[0] for seed in range(600)]
    used = np.bincount(np.concatenate(firsts), minlength=64)
    # 600 draws of 8 of 64: mean 75, standard deviation below 9 for each row
    assert (np.abs(used - 75) < 45).all()
    assert abs(used[:32].sum() - used[32:].sum()) < 500


def test_each_epoch_has_a_new_order() -> None:
    plan = schedule(np.arange(16), 3, 16, np.random.default_rng(0))
    assert not (plan[0] == plan[1]).all()
    assert not (plan[1] == plan[2]).all()


@given(st.lists(st.integers(1, 20), min_size=2, max_size=12), st.integers(0, 2**64))
def test_a_vehicles_batches_do_not_depend_on_who_else_trains(counts: list[int], seed: int) -> None:
    held = shards(counts)
    lengths = np.arange(held.rows.max() + 1) % 7
    everyone = schedule_many(held, np.arange(len(counts)), 3, 4, seed, lengths)
    for vehicle in range(len(counts)):
        alone = schedule_many(held, np.asarray([vehicle]), 3, 4, seed, lengths)[0]
        assert np.array_equal(everyone[vehicle], alone)
        assert set(alone.ravel()) <= set(held.train(vehicle).tolist())


def test_another_seed_gives_other_batches() -> None:
    held = shards([50, 50])
    one, two = (schedule_many(held, np.asarray([0, 1]), 3, 4, seed) for seed in (1, 2))
    assert not np.array_equal(one, two)
    assert not np.array_equal(one[0] + 50, one[1])


def test_a_vehicle_without_rows_cannot_train() -> None:
    with pytest.raises(InputError, match="without rows"):
        schedule_many(shards([3, 0]), np.asarray([0, 1]), 1, 2, 0)
    with pytest.raises(InputError, match="without rows"):
        schedule(np.empty(0, np.int64), 1, 2, np.random.default_rng(0))


def test_no_vehicles_and_no_steps_give_empty_plans() -> None:
    assert schedule_many(shards([3]), np.empty(0, np.int64), 2, 4, 0).shape == (0, 2, 4)
    assert schedule_many(shards([3]), np.asarray([0]), 0, 4, 0, np.ones(200)).shape == (1, 0, 4)


def test_the_hash_is_splitmix64() -> None:
    # first outputs of the reference generator seeded with 0 and with 1234567
    assert _mixed(np.asarray([0, 1234567], np.uint64)).tolist() == [0xE220A8397B1DCDAF, 6457827717110365317]
