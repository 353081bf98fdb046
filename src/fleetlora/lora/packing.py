"""Packing samples of many vehicles into passes through the encoder, with little padding.

A pass is padded to its longest sample, and every vehicle in it to the same number of samples. So a
vehicle's batch is cut into pieces where its lengths fall off, and pieces of like size come together. Losses
are sums over samples, so a batch in several pieces has the same gradient as in one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Group", "Piece", "batches", "cut", "pack"]

#: Share of a piece's padded tokens that cutting it in two must save.
WORTH_A_CUT = 0.15

#: A piece that fills less than this share of its place opens a group of its own, unless the group before is
#: still so small that another pass costs more than the padding.
LEAST_FILLED, SMALL_TOKENS = 0.75, 256


@dataclass(frozen=True, eq=False)
class Piece:
    """Some of one vehicle's samples.

    Args:
        owner: The vehicle's place in its chunk.
        rows: (k,) rows of examples, longest first.
        longest: Tokens of the first.
    """

    owner: int
    rows: np.ndarray
    longest: int


@dataclass(frozen=True, eq=False)
class Group:
    """What goes through the encoder in one pass.

    Args:
        owners: (k,) vehicles, ascending; one may occur twice.
        rows: (k, b) rows of examples, −1 where there is none.
    """

    owners: np.ndarray
    rows: np.ndarray

    @property
    def samples(self) -> int:
        """Number of real samples."""
        return int((self.rows >= 0).sum())


def cut(owner: int, rows: np.ndarray, tokens: np.ndarray, block_tokens: int) -> list[Piece]:
    """Cut a vehicle's samples into pieces of like length, none over ``block_tokens`` but single samples.

    Args:
        owner: The vehicle.
        rows: (k,) rows of examples, negative where there is none.
        tokens: (N,) tokens of every example.
        block_tokens: Most tokens of a piece, padding included.
    """
    real = rows[rows >= 0]
    ordered = real[np.argsort(-tokens[real], kind="stable")]
    return [Piece(owner, part, int(tokens[part[0]])) for part in _halves(ordered, tokens, block_tokens)]


def _halves(rows: np.ndarray, tokens: np.ndarray, block_tokens: int) -> Iterable[np.ndarray]:
    if len(rows) == 0:
        return
    middle = (len(rows) + 1) // 2
    whole = len(rows) * int(tokens[rows[0]])
    saved = (int(tokens[rows[0]]) - int(tokens[rows[middle]])) * (len(rows) - middle) if len(rows) > 1 else 0
    if len(rows) > 1 and (saved >= WORTH_A_CUT * whole or whole > block_tokens):
        yield from _halves(rows[:middle], tokens, block_tokens)
        yield from _halves(rows[middle:], tokens, block_tokens)
    else:
        yield rows


def pack(pieces: Sequence[Piece], block_tokens: int) -> list[Group]:
    """Put pieces of like length and size into groups of at most ``block_tokens``, one piece at least.

    Args:
        pieces: Of any vehicles.
        block_tokens: Most tokens of a group, padding included.
    """
    found: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda p: (-len(p.rows), -p.longest)):
        mates = found[-1] if found else []
        place = len(mates[0].rows) * max(p.longest for p in (*mates, piece)) if mates else 0
        fills = len(piece.rows) * piece.longest >= LEAST_FILLED * place or len(mates) * place < SMALL_TOKENS
        if mates and fills and (len(mates) + 1) * place <= block_tokens:
            mates.append(piece)
        else:
            found.append([piece])
    return [_group(sorted(mates, key=lambda p: p.owner)) for mates in found]


def _group(pieces: Sequence[Piece]) -> Group:
    rows = np.full((len(pieces), max(len(p.rows) for p in pieces)), -1, dtype=np.int64)
    for line, piece in zip(rows, pieces, strict=True):
        line[: len(piece.rows)] = piece.rows
    return Group(np.array([p.owner for p in pieces]), rows)


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
