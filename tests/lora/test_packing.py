"""Packing loses and repeats nothing, keeps its bounds, and pads little."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlora.lora.packing import batches, cut, pack

plans = st.lists(st.lists(st.integers(-1, 59), min_size=0, max_size=12), min_size=1, max_size=10)


def lengths(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 40, 60)


@given(plans=plans, seed=st.integers(0, 50), block=st.integers(1, 400))
@settings(deadline=None)
def test_every_sample_is_in_exactly_one_group_under_its_owner(
    plans: list[list[int]], seed: int, block: int
) -> None:
    tokens = lengths(seed)
    pieces = [p for c, plan in enumerate(plans) for p in cut(c, np.array(plan, dtype=int), tokens, block)]
    found: list[tuple[int, int]] = []
    for group in pack(pieces, block):
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
@settings(deadline=None)
def test_batches_hold_every_row_once_within_the_block(rows: list[int], seed: int, block: int) -> None:
    tokens = lengths(seed)
    found = batches(np.array(rows, dtype=int), tokens, block)
    assert sorted(r for batch in found for r in batch.tolist()) == sorted(rows)
    assert all(len(b) == 1 or len(b) * tokens[b].max() <= block for b in found)


def test_texts_of_one_length_are_not_cut() -> None:
    tokens = np.full(20, 32)
    (piece,) = cut(0, np.arange(8), tokens, 4096)
    (group,) = pack([piece, *cut(1, np.arange(8), tokens, 4096)], 4096)
    assert group.rows.shape == (2, 8)


def test_mixed_lengths_are_padded_little() -> None:
    tokens = np.random.default_rng(0).integers(5, 33, 500)
    plans = [np.random.default_rng(c).integers(0, 500, 8) for c in range(24)]
    groups = pack([p for c, plan in enumerate(plans) for p in cut(c, plan, tokens, 4096)], 4096)
    padded = sum(g.rows.size * int(tokens[g.rows[g.rows >= 0]].max()) for g in groups)
    real = int(tokens[np.concatenate(plans)].sum())
    assert padded < 1.4 * real  # in one pass for all it is 1.7
    assert len(groups) < 12
