from __future__ import annotations

import contextlib
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fleetlora.errors import ConfigError, InputError
from fleetlora.tasks import Partition, Shards
from fleetlora.tasks.dealing import deal_rows
from fleetlora.tasks.partition import liking

KINDS = ("dirichlet", "place", "group")


def labels_of(n: int, n_classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, n_classes, n)


def split(partition: Partition, labels: np.ndarray, n_vehicles: int, seed: int = 0) -> Shards:
    homes = np.random.default_rng(5).uniform(0, 8000, (n_vehicles, 2))
    rng = np.random.default_rng(seed)
    return partition.split(labels, n_vehicles, rng, home_xy=homes, groups=np.arange(len(labels)) // 2)


def class_counts(shards: Shards, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return (V, C) training rows per vehicle and class."""
    rows = [np.bincount(labels[shards.train(v)], minlength=n_classes) for v in range(shards.n_vehicles)]
    return np.stack(rows)


def skew(shards: Shards, labels: np.ndarray, n_classes: int) -> float:
    """Mean total variation distance of the holders' label mixes from that of all rows."""
    counts = class_counts(shards, labels, n_classes)[shards.holders]
    mixes = counts / counts.sum(axis=1, keepdims=True)
    return float(np.abs(mixes - np.bincount(labels) / len(labels)).sum(axis=1).mean() / 2)


@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(60, 300),
    n_vehicles=st.integers(1, 12),
    holders=st.floats(0.1, 1),
    alpha=st.sampled_from([0.001, 0.1, 1.0, 1000.0]),
    sigma=st.sampled_from([0.0, 1.0, 5.0]),
    share=st.sampled_from([0.0, 0.2, 0.9]),
    seed=st.integers(0, 99),
)
def test_every_row_is_held_at_most_once_and_every_holder_has_its_least(
    kind: str,
    n: int,
    n_vehicles: int,
    holders: float,
    alpha: float,
    sigma: float,
    share: float,
    seed: int,
) -> None:
    partition = Partition(
        kind=kind, holders=holders, alpha=alpha, quantity_skew=sigma, holdout=share, min_samples=4
    )
    labels = labels_of(n, 5, seed)
    if kind == "group":  # whole groups cannot always meet a small skewed size
        with contextlib.suppress(ConfigError):
            split(partition, labels, n_vehicles, seed)
        partition = partition.model_copy(update={"quantity_skew": 0.0})
    shards = split(partition, labels, n_vehicles, seed)
    every = np.concatenate([shards.rows, shards.holdout_rows])
    assert len(np.unique(every)) == len(every) == n
    held = shards.counts + shards.holdout_counts
    assert np.count_nonzero(held) == max(1, round(holders * n_vehicles))
    assert held[held > 0].min() >= 4
    if share == 0:
        assert shards.holdout_counts.sum() == 0
    else:
        wanted = np.clip(np.rint(share * held), 1, held - 1)[held > 0]
        off = shards.holdout_counts[held > 0] - wanted
        assert np.abs(off).max() <= (kind == "group")  # groups of two rows


@given(st.sampled_from(KINDS), st.integers(0, 99))
def test_equal_seeds_give_equal_shards(kind: str, seed: int) -> None:
    labels = labels_of(200, 4)
    one, two, other = (split(Partition(kind=kind), labels, 7, at) for at in (seed, seed, seed + 100))
    for name in ("offsets", "rows", "holdout_offsets", "holdout_rows"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.rows, other.rows)


@pytest.mark.parametrize("n_vehicles", [9, 200])
@pytest.mark.parametrize("balanced", [True, False])
def test_label_skew_rises_as_alpha_falls(n_vehicles: int, balanced: bool) -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 10, 6000) if balanced else np.minimum(rng.geometric(0.3, 6000) - 1, 9)
    found = [
        skew(split(Partition(alpha=alpha), labels, n_vehicles), labels, 10)
        for alpha in (1000.0, 10.0, 1.0, 0.1, 0.01)
    ]
    assert found == sorted(found)
    assert found[-1] > found[0] + 0.3


def test_a_tiny_alpha_leaves_vehicles_mostly_one_class() -> None:
    labels = labels_of(6000, 10)
    counts = class_counts(split(Partition(alpha=0.001), labels, 100), labels, 10)
    # not quite one each: all rows are dealt, and chance wants some classes more than there is of them
    assert (counts.max(axis=1) / counts.sum(axis=1)).mean() > 0.8


def test_sizes_are_equal_without_and_log_normal_with_quantity_skew() -> None:
    labels = labels_of(5000, 10)
    even = split(Partition(holdout=0), labels, 33).counts
    assert even.max() - even.min() <= 1
    labels = labels_of(100_000, 10)
    skewed = split(Partition(holdout=0, quantity_skew=1.0, min_samples=1), labels, 500).counts
    assert skewed.sum() == 100_000
    assert 0.85 < np.log(skewed).std() < 1.1


def test_holders_sizes_can_be_capped() -> None:
    shards = split(Partition(max_samples=10, holdout=0), labels_of(500, 5), 20)
    assert (shards.counts == 10).all()


@given(st.sampled_from([0.0, 0.8]), st.integers(20, 60), st.integers(0, 99))
def test_whole_groups_stay_below_the_cap_and_what_finds_no_room_stays_unused(
    sigma: float, most: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(200), rng.integers(1, 21, 200))
    partition = Partition(kind="group", max_samples=most, quantity_skew=sigma, min_samples=1)
    shards = partition.split(np.zeros(len(group), int), 12, rng, groups=group)
    held = shards.counts + shards.holdout_counts
    assert held.max() <= most
    assert sigma or held.min() > most / 2
    used = np.bincount(group[np.concatenate([shards.rows, shards.holdout_rows])], minlength=200)
    assert ((used == 0) | (used == np.bincount(group))).all()


def test_groups_larger_than_the_cap_are_refused_with_it_named() -> None:
    partition = Partition(kind="group", max_samples=9)
    with pytest.raises(ConfigError, match=r"4 to 9 rows each\n.*max_samples"):
        partition.split(np.zeros(50, int), 5, np.random.default_rng(0), groups=np.arange(50) // 10)


def test_vehicles_that_live_near_each_other_hold_similar_labels() -> None:
    rng = np.random.default_rng(0)
    homes = rng.uniform(0, 10_000, (300, 2))
    labels = labels_of(30_000, 12)
    partition = Partition(kind="place", place_scale_m=1500, temperature=0.4)
    shards = partition.split(labels, 300, rng, home_xy=homes)
    counts = class_counts(shards, labels, 12)
    mixes = counts / counts.sum(axis=1, keepdims=True)
    apart = np.hypot(*(homes[:, None] - homes).transpose(2, 0, 1))
    unlike = np.abs(mixes[:, None] - mixes).sum(axis=2) / 2
    near, far = (apart > 0) & (apart < 500), apart > 4000
    assert unlike[near].mean() < 0.5 * unlike[far].mean()


def test_place_skew_rises_as_temperature_falls() -> None:
    labels = labels_of(6000, 10)
    found = [
        skew(split(Partition(kind="place", temperature=heat), labels, 60), labels, 10)
        for heat in (10.0, 1.0, 0.5, 0.1)
    ]
    assert found == sorted(found)


def test_likings_have_unit_variance_and_the_stated_correlation() -> None:
    xy = np.asarray([[0.0, 0.0], [1000.0, 0.0], [5000.0, 0.0]])
    field = liking(xy, 20_000, 1000.0, np.random.default_rng(0))
    assert np.allclose(field.var(axis=1), 1.0, atol=0.05)
    assert abs(np.corrcoef(field)[0, 1] - np.exp(-0.5)) < 0.1  # exp(−d²/2s²) at d = s, from 128 waves
    assert abs(np.corrcoef(field)[0, 2]) < 0.2


def test_all_rows_of_a_group_stay_on_one_vehicle() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat([f"track {i}" for i in range(60)], rng.integers(5, 40, 60))
    shards = Partition(kind="group").split(np.zeros(len(group), int), 10, rng, groups=group)
    owner = np.empty(len(group), int)
    for vehicle in range(10):
        owner[shards.train(vehicle)] = vehicle
        owner[shards.holdout(vehicle)] = vehicle
    for name in np.unique(group):
        assert len(set(owner[group == name])) == 1
    held = shards.counts + shards.holdout_counts
    assert held.max() - held.min() < 40


@given(st.integers(1, 8), st.sampled_from([0.05, 0.2, 0.5, 0.9]), st.integers(0, 99))
def test_a_vehicle_of_several_groups_holds_whole_ones_out_as_near_to_the_share_as_one_more_would_bring(
    n_vehicles: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(40), rng.integers(4, 40, 40)))
    partition = Partition(kind="group", holdout=share)
    shards = partition.split(np.zeros(len(group), int), n_vehicles, rng, groups=group)
    for vehicle in range(n_vehicles):
        train, out = (np.bincount(group[of(vehicle)], minlength=40) for of in (shards.train, shards.holdout))
        assert not (train * out).any()
        assert train.any()
        assert out.any()
        wanted = np.clip(np.rint(share * (train + out).sum()), 1, None)
        lack = abs(out.sum() - wanted)
        if np.count_nonzero(train) > 1:
            assert (np.abs(out.sum() + train[train > 0] - wanted) >= lack).all()


def test_a_vehicle_of_one_group_holds_rows_of_it_out() -> None:
    group = np.repeat(np.arange(5), 10)
    shards = Partition(kind="group").split(np.zeros(50, int), 5, np.random.default_rng(0), groups=group)
    assert shards.counts.tolist() == [8] * 5
    assert shards.holdout_counts.tolist() == [2] * 5


def test_copies_let_a_large_fleet_share_few_rows_but_none_holds_a_row_twice() -> None:
    labels = labels_of(100, 4)
    with pytest.raises(ConfigError, match=r"holders to at most 0\.25, copies to 4"):
        split(Partition(), labels, 100)
    shards = split(Partition(copies=4), labels, 100)
    every = np.concatenate([shards.rows, shards.holdout_rows])
    assert np.bincount(every).max() <= 4
    for vehicle in range(100):
        own = np.r_[shards.train(vehicle), shards.holdout(vehicle)]
        assert len(own) >= 4
        assert len(np.unique(own)) == len(own)


@given(st.integers(1, 400), st.integers(1, 50), st.integers(1, 9))
def test_what_the_error_proposes_works(n: int, n_vehicles: int, least: int) -> None:
    labels = labels_of(n, 3)
    try:
        split(Partition(min_samples=least), labels, n_vehicles)
    except ConfigError as error:
        words = str(error.mend).replace(",", "").split()
        if "most" not in words:
            assert n < least
            return
        share, copies = float(words[words.index("most") + 1]), int(words[words.index("copies") + 2])
        split(Partition(min_samples=least, copies=copies), labels, n_vehicles)
        if share * n_vehicles >= 1:
            split(Partition(min_samples=least, holders=share), labels, n_vehicles)


def test_group_needs_groups_and_place_needs_homes() -> None:
    labels, rng = labels_of(50, 2), np.random.default_rng(0)
    with pytest.raises(ConfigError, match="no groups"):
        Partition(kind="group").split(labels, 3, rng)
    for homes in (None, np.zeros((2, 2)), np.zeros((3, 3)), np.full((3, 2), np.nan)):
        with pytest.raises(InputError, match="home position"):
            Partition(kind="place").split(labels, 3, rng, home_xy=homes)


def test_too_few_groups_are_refused_with_a_mend() -> None:
    with pytest.raises(ConfigError, match="2 groups cannot give 5 holders"):
        Partition(kind="group").split(labels_of(50, 2), 5, np.random.default_rng(0), groups=np.arange(50) % 2)


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0}, {"holders": 1.5}, {"kind": "iid"}, {"max_samples": 3, "min_samples": 5}, {"n": 1}]
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Partition(**wrong)  # type: ignore[arg-type]


def test_small_vehicles_hold_nothing_out() -> None:
    shards = split(Partition(min_samples=1, max_samples=3), labels_of(30, 2), 10)
    assert shards.holdout_counts.sum() == 0


def test_dealing_meets_sizes_exactly_even_where_preferences_cannot_be_met() -> None:
    codes = np.repeat([0, 1], [90, 10])
    sizes = np.asarray([30, 30, 40])
    everyone_wants_one = np.asarray([[-900.0, 0.0]] * 3)
    to = deal_rows(codes, sizes, everyone_wants_one, np.random.default_rng(0))
    assert np.bincount(to).tolist() == [30, 30, 40]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_thousand_vehicles_are_dealt_to_in_seconds(kind: str) -> None:
    labels = labels_of(600_000, 20)
    begin = time.process_time()
    shards = split(Partition(kind=kind, quantity_skew=0.5 if kind != "group" else 0.0), labels, 100_000)
    assert time.process_time() - begin < 30
    assert (shards.counts + shards.holdout_counts).min() >= 4
