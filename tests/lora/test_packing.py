"""Packing loses and repeats nothing, keeps its bounds, and pads little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlora.lora.packing import batches, pack

plans = st.lists(st.lists(st.integers(-1, 59), min_size=0, max_size=12), min_size=1, max_size=10)


def lengths(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 40, 60)


@given(
    plans=plans,
    seed=st.integers(0, 50),
    block=st.integers(1, 400),
    pass_tokens=st.sampled_from([0, 20, 1000]),
)
def test_every_sample_is_in_exactly_one_group_under_its_owner(
    plans: list[list[int]], seed: int, block: int, pass_tokens: int
) -> None:
    tokens = lengths(seed)
    found: list[tuple[int, int]] = []
    for group in pack([np.array(plan, dtype=int) for plan in plans], tokens, block, pass_tokens):
        assert (np.diff(group.owners) >= 0).all()
        real = group.rows >= 0
        assert real.any(axis=1).all()
        if real.sum() > 1:
            assert group.rows.size * tokens[group.rows[real]].max() <= block
        found += [
            (int(c), int(r)) for c, mine in zip(group.owners, group.rows, strict=True) for r in mine if r >= 0
        ]
        assert group.samples == real.sum()
    assert sorted(found) == sorted((c, r) for c, plan in enumerate(plans) for r in plan if r >= 0)


@given(rows=st.lists(st.integers(0, 59), max_size=40), seed=st.integers(0, 50), block=st.integers(1, 400))
def test_batches_hold_every_row_once_within_the_block(rows: list[int], seed: int, block: int) -> None:
    tokens = lengths(seed)
    found = batches(np.array(rows, dtype=int), tokens, block)
    assert sorted(r for batch in found for r in batch.tolist()) == sorted(rows)
    assert all(len(b) == 1 or len(b) * tokens[b].max() <= block for b in found)


def test_texts_of_one_length_are_not_cut() -> None:
    (group,) = pack([np.arange(8), np.arange(8)], np.full(20, 32), 4096, 20)
    assert group.owners.tolist() == [0, 1]
    assert group.rows.tolist() == [list(range(8))] * 2


def test_passes_are_cut_where_padding_costs_more_than_another_pass() -> None:
    # Lengths 10, 10, 9 and 2: the nine padded to ten costs one token, the two padded to ten costs eight.
    plans, tokens = [np.array([0, 1]), np.array([2, 3])], np.array([10, 2, 9, 10])
    assert [g.rows.tolist() for g in pack(plans, tokens, 100, 9)] == [[[0, 1], [3, 2]]]
    assert [g.rows.tolist() for g in pack(plans, tokens, 100, 5)] == [[[0], [3], [2]], [[1]]]
    assert [g.rows.tolist() for g in pack(plans, tokens, 100, 0.5)] == [[[0], [3]], [[2]], [[1]]]


def test_a_vehicle_with_many_samples_has_several_lines_rather_than_all_others_padding() -> None:
    (group,) = pack([np.arange(9), np.arange(2)], np.full(9, 20), 4096, 20)
    assert group.owners.tolist() == [0, 0, 0, 1]
    assert (group.rows >= 0).sum() == 11
    assert group.rows.shape == (4, 3)


@pytest.mark.parametrize(("pass_tokens", "share", "most"), [(20, 1.1, 16), (200, 1.25, 6)])
def test_mixed_lengths_are_padded_little(pass_tokens: int, share: float, most: int) -> None:
    tokens = np.random.default_rng(0).integers(5, 33, 500)
    plans = [np.random.default_rng(c).integers(0, 500, 8) for c in range(24)]
    groups = pack(plans, tokens, 4096, pass_tokens)
    padded = sum(g.rows.size * int(tokens[g.rows[g.rows >= 0]].max()) for g in groups)
    real = int(tokens[np.concatenate(plans)].sum())
    assert padded < share * real  # in one pass for all it is 1.7
    assert len(groups) < most
