"""Small steps over rows of arms that several policies share; an arm of -1 is sitting out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import ConfigError

__all__ = ["at_or_below", "best_arm", "first_pulls", "ranks_of", "require_arm", "take_turns"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def ranks_of(ranks: Ints, arm: Ints) -> Ints:
    """Return (n,) the ranks of the arms, 0 for -1."""
    return np.where(arm >= 0, ranks[arm], 0)


def at_or_below(feasible: Bools, arm: Ints) -> Ints:
    """Return (n,) the largest feasible arm that is not above ``arm``, -1 if there is none.

    Args:
        feasible: (n, A) which arms a row may take.
        arm: (n,) the arm each row would like, -1 to sit out.
    """
    arms = np.arange(feasible.shape[1])
    return np.asarray(np.where(feasible & (arms <= arm[:, None]), arms, -1).max(axis=1))


def best_arm(score: Floats, feasible: Bools) -> Ints:
    """Return (n,) the feasible arm of the largest score, the lowest of equals, -1 where none is feasible."""
    arm = np.where(feasible, score, -np.inf).argmax(axis=1)
    return np.where(feasible.any(axis=1), arm, -1)


def take_turns(row: Ints, mask: Bools) -> Ints:
    """Deal the arms in ``mask`` out in turn among the members of a row; -1 where the mask is empty.

    Vehicles that learn together choose at the same moment; without turns all would try the same arm.

    Args:
        row: (n,) whom each learns with.
        mask: (n, A) the arms to be dealt out.
    """
    return _nth(mask, _position(row) % np.maximum(mask.sum(axis=1), 1))


def first_pulls(row: Ints, feasible: Bools, count: Floats) -> Ints:
    """Return (n,) the arm that a vehicle tries because nobody in its row has; -1 where its index decides.

    "Each arm once first" for a round of simultaneous choices: the i-th vehicle of a row takes the i-th arm
    without observations. Those left over go by what is known, or take turns where nothing is.

    Args:
        row: (n,) row of each vehicle.
        feasible: (n, A) which arms it may take.
        count: (n, A) observations of its row.
    """
    new = feasible & (count == 0)
    known = (feasible & (count > 0)).any(axis=1)
    waits = known & (_position(row) >= new.sum(axis=1))
    return np.where(waits, -1, take_turns(row, new))


def _position(row: Ints) -> Ints:
    """Return (n,) how many earlier entries equal each entry."""
    order = np.argsort(row, kind="stable")
    ordered = row[order]
    begins = np.searchsorted(ordered, ordered, side="left")
    position = np.empty(len(row), dtype=np.int64)
    position[order] = np.arange(len(row)) - begins
    return position


def _nth(mask: Bools, nth: Ints) -> Ints:
    """Return (n,) the column of the nth (from 0) true entry of each row, -1 in a row without one."""
    hit = mask & (mask.cumsum(axis=1) == nth[:, None] + 1)
    return np.where(hit.any(axis=1), hit.argmax(axis=1), -1)


def require_arm(rank: int, ranks: Sequence[int], where: str) -> None:
    """Refuse a rank that is no arm.

    Raises:
        ConfigError: It is none of ``ranks``.
    """
    if rank not in ranks:
        raise ConfigError(
            f"rank {rank} is not one of the arms {list(ranks)}",
            where=where,
            mend="choose an arm, or add the rank to lora.ranks",
        )
