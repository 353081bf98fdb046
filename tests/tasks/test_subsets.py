from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlora.tasks.subsets import cut_test_share, largest_remainder, stratified_rows

codes = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(np.asarray)


@given(codes, st.integers(1, 90), st.integers(0, 9))
def test_a_stratified_subset_keeps_every_class_and_its_share(codes: np.ndarray, n: int, seed: int) -> None:
    present, counts = np.unique(codes, return_counts=True)
    n = max(n, len(present))
    rows = stratified_rows(codes, n, np.random.default_rng(seed))
    assert len(rows) == min(n, len(codes))
    assert (np.diff(rows) > 0).all()
    kept = np.asarray([(codes[rows] == code).sum() for code in present])
    assert (kept >= 1).all()
    assert (
        np.abs(kept - 1 - (counts - 1) * max(len(rows) - len(present), 0) / max((counts - 1).sum(), 1)) < 1
    ).all()


def test_fewer_rows_than_classes_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="3 classes"):
        stratified_rows(np.asarray([0, 1, 2, 2]), 2, np.random.default_rng(0))


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=20), st.integers(0, 1000))
def test_largest_remainders_add_up(shares: list[float], total: int) -> None:
    weights = np.asarray(shares)
    counts = largest_remainder(weights, total)
    assert counts.sum() == total
    assert (np.abs(counts - weights / weights.sum() * total) < 1 + 1e-6).all()


@given(codes, st.floats(0.05, 0.9), st.integers(0, 9))
def test_a_test_share_cuts_each_class_near_its_share(codes: np.ndarray, share: float, seed: int) -> None:
    train, test = cut_test_share(codes, share, np.random.default_rng(seed))
    assert np.array_equal(np.sort(np.r_[train, test]), np.arange(len(codes)))
    for code in np.unique(codes):
        n, out = int((codes == code).sum()), int((codes[test] == code).sum())
        assert out == min(max(round(share * n), 1), n - 1)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), min_size=1, max_size=20), st.integers(0, 9))
def test_a_group_is_never_on_both_sides_and_each_class_with_two_groups_is_on_both(
    groups: list[tuple[int, int]], seed: int
) -> None:
    sizes = [size for _, size in groups]
    group = np.repeat(np.arange(len(groups)), sizes)
    codes = np.repeat([code for code, _ in groups], sizes)
    train, test = cut_test_share(codes, 0.3, np.random.default_rng(seed), group)
    assert np.array_equal(np.sort(np.r_[train, test]), np.arange(len(codes)))
    assert not set(group[train]) & set(group[test])
    for code in set(codes.tolist()):
        assert (codes[train] == code).any()
        if sum(found == code for found, _ in groups) > 1:
            assert (codes[test] == code).any()
