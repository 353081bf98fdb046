"""Choosing rows fairly: stratified subsets and the cut of a task without a test set of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["cut_test_share", "stratified_rows"]

Rows = npt.NDArray[np.int64]


def _rank_within(codes: npt.NDArray[Any], keys: npt.NDArray[np.float64]) -> Rows:
    """Return (N,) the rank of each row among the rows of its code, in the order of ``keys``."""
    order = np.lexsort((keys, codes))
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sizes = np.diff(np.r_[starts, len(codes)])
    rank = np.empty(len(codes), np.int64)
    rank[order] = np.arange(len(codes)) - np.repeat(starts, sizes)
    return rank


def largest_remainder(shares: npt.NDArray[np.float64], total: int) -> Rows:
    """Return (n,) integers that add up to ``total``, each within one of its exact share."""
    exact = shares * (total / shares.sum())
    counts: Rows = np.floor(exact).astype(np.int64)
    short = total - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return counts


def stratified_rows(codes: npt.NDArray[np.int64], n: int, rng: np.random.Generator) -> Rows:
    """Return ``n`` rows in rising order whose class shares follow those of all rows.

    Args:
        codes: (N,) int64 class of each row.
        n: Rows wanted, at least one per class that occurs; all rows when there are no more than ``n``.
        rng: Random generator.

    Returns:
        (min(n, N),) int64; every class that occurs keeps at least one row.
    """
    if n >= len(codes):
        return np.arange(len(codes))
    present, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    if n < len(present):
        raise ValueError(f"{n} rows cannot hold {len(present)} classes")
    keep = np.ones(len(present), np.int64)
    if n > len(present):
        keep += largest_remainder((counts - 1).astype(np.float64), n - len(present))
    return np.flatnonzero(_rank_within(inverse, rng.random(len(codes))) < keep[inverse])


def cut_test_share(
    codes: npt.NDArray[np.int64],
    share: float,
    rng: np.random.Generator,
    group: npt.NDArray[Any] | None = None,
) -> tuple[Rows, Rows]:
    """Cut rows into train and test, class by class; a group is never on both sides.

    Args:
        codes: (N,) int64 class of each row.
        share: Share of each class for the test side, in (0, 1); each class keeps a row (or a group) on
            either side where it has two.
        rng: Random generator.
        group: (N,) origin of each row, or None when every row stands alone.

    Returns:
        Train rows and test rows, int64, each in rising order.
    """
    units = np.arange(len(codes)) if group is None else np.unique(group, return_inverse=True)[1]
    n_units = int(units.max()) + 1 if len(units) else 0
    sizes = np.bincount(units, minlength=n_units)
    unit_code = np.empty(n_units, np.int64)
    unit_code[units] = codes  # a group of mixed classes counts for the class of its last row
    rank = _rank_within(unit_code, rng.random(n_units))
    order = np.lexsort((rank, unit_code))
    n_of_code = np.bincount(unit_code)[unit_code]
    rows_of_code = np.bincount(unit_code, weights=sizes)[unit_code]
    before = np.empty(n_units, np.float64)
    running = np.cumsum(sizes[order]) - sizes[order]
    first = running[rank[order] == 0]
    before[order] = running - np.repeat(first, np.bincount(unit_code)[np.unique(unit_code)])
    # A unit goes to the test side while that side is short of its share; the last one always stays.
    wanted = np.maximum(np.rint(share * rows_of_code), 1)
    test = (before < wanted) & (rank < n_of_code - 1)
    in_test = test[units]
    return np.flatnonzero(~in_test), np.flatnonzero(in_test)
