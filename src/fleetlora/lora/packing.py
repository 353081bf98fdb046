"""Packing samples of many vehicles into passes through the encoder, with little padding.

A pass is padded to its longest sample, and every line of it to the same number of samples; a line is one
vehicle's, and a vehicle may have several. So samples are cut into passes by length, where the padding that
a cut saves costs more than another pass, and within a pass into lines as long as costs least. Losses are
sums over samples, so a batch in several pieces has the same gradient as in one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Group", "batches", "pack"]

#: What a line costs beside its samples (its own copy of a vehicle's factors, and their gradients), in tokens.
LINE_TOKENS = 3


@dataclass(frozen=True, eq=False)
class Group:
    """What goes through the encoder in one pass.

    Args:
        owners: (k,) vehicles, ascending; one may occur more than once.
        rows: (k, b) rows of examples, −1 where there is none.
    """

    owners: np.ndarray
    rows: np.ndarray

    @property
    def samples(self) -> int:
        """Number of real samples."""
        return int((self.rows >= 0).sum())


def pack(
    plans: Sequence[np.ndarray], tokens: np.ndarray, block_tokens: int, pass_tokens: float
) -> list[Group]:
    """Put the samples of some vehicles into passes, longest first.

    Args:
        plans: Per vehicle (k,) rows of examples, negative where there is none.
        tokens: (N,) tokens of every example.
        block_tokens: Most tokens of a pass, padding included; a single sample may have more.
        pass_tokens: What a pass costs beside its tokens, in tokens.
    """
    rows = np.concatenate([*plans, np.empty(0, dtype=np.int64)])
    owners = np.repeat(np.arange(len(plans)), [len(plan) for plan in plans])
    owners, rows = owners[rows >= 0], rows[rows >= 0]
    order = np.lexsort((owners, -tokens[rows]))
    owners, rows = owners[order], rows[order]
    return [
        group
        for begin, end in _cuts(tokens[rows], pass_tokens)
        for group in _groups(owners[begin:end], rows[begin:end], int(tokens[rows[begin]]), block_tokens)
    ]


def _cuts(lengths: np.ndarray, pass_tokens: float) -> list[tuple[int, int]]:
    """Return where to cut samples, longest first, such that padding and passes together cost least."""
    if len(lengths) == 0:
        return []
    longest, begins = np.unique(-lengths, return_index=True)
    ends = np.append(begins[1:], len(lengths))
    least, origin = np.zeros(len(begins) + 1), np.zeros(len(begins) + 1, dtype=np.int64)
    for last, end in enumerate(ends.tolist()):
        costs = least[: last + 1] - longest[: last + 1] * (end - begins[: last + 1]) + pass_tokens
        origin[last + 1] = np.argmin(costs)
        least[last + 1] = costs[origin[last + 1]]
    found, last = [], len(begins)
    while last:
        first = int(origin[last])
        found.append((int(begins[first]), int(ends[last - 1])))
        last = first
    return found[::-1]


def _groups(owners: np.ndarray, rows: np.ndarray, longest: int, block_tokens: int) -> Iterator[Group]:
    """Yield the passes of samples that are padded to ``longest`` tokens."""
    order = np.argsort(owners, kind="stable")
    owners, rows = owners[order], rows[order]
    mine, begins, counts = np.unique(owners, return_index=True, return_counts=True)
    widths = np.arange(1, max(1, min(int(counts.max()), block_tokens // longest)) + 1)
    lines = -(-counts[:, None] // widths)
    width = int(widths[np.argmin(lines.sum(axis=0) * (widths * longest + LINE_TOKENS))])
    place = np.arange(len(rows)) - np.repeat(begins, counts)
    line = np.repeat(np.cumsum(lines[:, width - 1]) - lines[:, width - 1], counts) + place // width
    table = np.full((int(line[-1]) + 1, width), -1, dtype=np.int64)
    table[line, place % width] = rows
    owner = np.repeat(mine, lines[:, width - 1])
    most = max(1, block_tokens // (width * longest))
    parts = -(-len(table) // most)
    for some in np.array_split(np.arange(len(table)), parts):
        yield Group(owner[some], table[some])


def batches(rows: np.ndarray, tokens: np.ndarray, block_tokens: int) -> list[np.ndarray]:
    """Split one model's samples into batches of like length, longest first.

    Args:
        rows: (n,) rows of examples.
        tokens: (N,) tokens of every example.
        block_tokens: Most tokens of a batch, padding included; a single row may have more.
    """
    ordered = rows[np.argsort(-tokens[rows], kind="stable")]
    found, begin = [], 0
    while begin < len(ordered):
        end = begin + max(1, block_tokens // int(tokens[ordered[begin]]))
        found.append(ordered[begin:end])
        begin = end
    return found
