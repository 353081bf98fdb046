"""Dealing rows out to holders so that sizes are exact and label mixes follow given preferences.

The wanted number of rows of class c at holder h is K[h, c] = a[h] · exp(G[h, c]) · b[c]. G are the
preferences (logs, since those of a strong skew span more than a float can); a and b are found by Sinkhorn's
alternating scaling (1967) so that the rows of K add up to the holders' sizes and its columns to the rows
there are. Whole rows are then dealt by systematic sampling down each column, what a holder got beyond its
size goes back, and the rest is dealt again.
"""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

__all__ = ["deal_groups", "deal_rows"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_PASSES = 50
_DEALS = 12
_FLOOR = np.log(1e-9)  # no class is so unloved that a holder could not take the last of it


def deal_rows(codes: Ints, sizes: Ints, preference: Floats, rng: np.random.Generator) -> Ints:
    """Return the holder of each row, −1 for rows that stay undealt.

    Args:
        codes: (N,) int64 class of each row.
        sizes: (H,) int64 rows each holder gets exactly; they add up to at most N.
        preference: (H, C) logs of positive weights.
        rng: Random generator.
    """
    holder = np.full(len(codes), -1, np.int64)
    pool = rng.permutation(len(codes))
    need = sizes.copy()
    for _ in range(_DEALS):
        active = np.flatnonzero(need)
        if not len(active) or not len(pool):
            break
        pool = pool[np.argsort(codes[pool], kind="stable")]
        to = _deal_once(codes[pool], need[active], preference[active], rng)
        to = _give_back(to, need[active], rng)
        kept = to >= 0
        holder[pool[kept]] = active[to[kept]]
        need = sizes - np.bincount(holder[holder >= 0], minlength=len(sizes))
        pool = rng.permutation(pool[~kept])
    rest = np.repeat(np.arange(len(sizes)), need)
    holder[pool[: len(rest)]] = rest
    return holder


def _deal_once(codes: Ints, need: Ints, preference: Floats, rng: np.random.Generator) -> Ints:
    """Return the holder of each row of sorted ``codes``, −1 for nobody; sizes are met on average."""
    present, supply = np.unique(codes, return_counts=True)
    wanted = supply * min(1.0, need.sum() / supply.sum())
    share = _balanced(preference[:, present], need.astype(np.float64), wanted)
    columns = np.vstack([share, supply - wanted]).T  # (C, H + 1), the last entry of a column is nobody
    columns = np.maximum(columns, 0.0)
    columns *= (supply / columns.sum(axis=1))[:, None]
    within = np.arange(len(codes)) + np.repeat(rng.random(len(supply)), supply)
    cell = np.searchsorted(np.cumsum(columns.ravel()), within, side="right")
    to: Ints = cell % (len(need) + 1)
    return np.where(to == len(need), -1, to)


def _balanced(preference: Floats, rows: Floats, columns: Floats) -> Floats:
    """Scale (H, C) preferences so that they add up to ``rows`` (H,) and exactly to ``columns`` (C,)."""
    grid = np.exp(np.maximum(preference - preference.max(axis=1, keepdims=True), _FLOOR))
    down = np.ones(len(columns))
    for _ in range(_PASSES):
        across = rows / (grid @ down)
        down = columns / (across @ grid)
    scaled: Floats = across[:, None] * grid * down
    return scaled


def _give_back(to: Ints, need: Ints, rng: np.random.Generator) -> Ints:
    """Return ``to`` with random rows of each holder set to −1 where it got more than it needs."""
    order = np.lexsort((rng.random(len(to)), to))
    ordered = to[order]
    counts = np.bincount(ordered + 1, minlength=len(need) + 1)
    rank = np.arange(len(to)) - np.repeat(np.cumsum(counts) - counts, counts)
    room = np.concatenate([np.zeros(1, np.int64), need])
    kept = to.copy()
    kept[order[rank >= room[ordered + 1]]] = -1
    return kept


def deal_groups(group: Ints, sizes: Ints, rng: np.random.Generator, most: int | None = None) -> Ints:
    """Return the holder of each row such that a group stays whole, as near to ``sizes`` as that allows.

    Groups go out from the largest to the smallest, each to the holder that is still shortest of its size
    (the longest-processing-time rule of R. L. Graham, 1969). A group for which that holder has no room, or
    that finds nobody short, goes to nobody: −1.

    Args:
        group: (N,) int64 group of each row, 0..G-1.
        sizes: (H,) int64 rows wanted per holder.
        rng: Random generator; breaks ties.
        most: Rows that no holder may exceed, or None.
    """
    weight = np.bincount(group)
    order = rng.permutation(len(weight))
    order = order[np.argsort(-weight[order], kind="stable")]
    seat = rng.permutation(len(sizes)).tolist()
    short = [(-int(size), tie, holder) for holder, (size, tie) in enumerate(zip(sizes, seat, strict=True))]
    heapq.heapify(short)
    owner = np.full(len(weight), -1, np.int64)
    for which in order.tolist():
        lack, tie, holder = short[0]  # minus the rows that the holder is short of
        after = lack + int(weight[which])
        if lack < 0 and (most is None or sizes[holder] + after <= most):
            owner[which] = holder
            heapq.heapreplace(short, (after, tie, holder))
    return owner[group]
