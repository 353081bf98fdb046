"""Which rows a vehicle trains on in which step.

A vehicle goes through its rows in epochs, each in a new random order; batches are always full and run over
the border of two epochs. Given lengths, rows of similar length share a batch (less padding), without
changing which rows an epoch holds.

A vehicle's batches depend on the seed and its own rows alone: not on who else trains, nor on how many steps
are asked for. So one that stops early took a fair draw, and methods can be compared on the same batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fleetlora.errors import InputError
from fleetlora.tasks.shards import Shards

__all__ = ["schedule", "schedule_many"]

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

#: Batches among which rows are sorted by length; a plan is made in whole windows.
_WINDOW = 8


def schedule(
    rows: npt.NDArray[np.integer[Any]],
    steps: int,
    batch_size: int,
    rng: np.random.Generator,
    lengths: npt.NDArray[np.integer[Any]] | None = None,
) -> Ints:
    """Return the rows of each step of one vehicle.

    Args:
        rows: (n,) row numbers the vehicle trains on.
        steps: Local steps.
        batch_size: Rows per step; a vehicle with fewer rows sees some twice in a batch.
        rng: Random generator; one number is drawn.
        lengths: (N,) length of every row of the task, to put rows of similar length together.

    Returns:
        (steps, batch_size) int64.

    Raises:
        InputError: The vehicle has no rows.
    """
    seeds = rng.integers(0, 2**63, 1).astype(np.uint64)
    own = np.asarray(rows, np.int64)
    none, count = np.zeros(1, np.int64), np.asarray([len(own)])
    plan: Ints = _plan(own, none, count, steps, batch_size, seeds, lengths)[0]
    return plan


def schedule_many(
    shards: Shards,
    vehicles: npt.NDArray[np.integer[Any]],
    steps: int,
    batch_size: int,
    seed: int,
    lengths: npt.NDArray[np.integer[Any]] | None = None,
) -> Ints:
    """Return the rows of each step of many vehicles at once.

    Args:
        shards: Who holds what.
        vehicles: (K,) vehicles that train.
        steps: Local steps; fewer steps are the first ones of these.
        batch_size: Rows per step.
        seed: Seed of this occasion (task and round); the same vehicle then gets the same batches whoever
            else is in ``vehicles``.
        lengths: (N,) length of every row of the task, to put rows of similar length together.

    Returns:
        (K, steps, batch_size) int64.

    Raises:
        InputError: A vehicle has no rows of the task.
    """
    who = np.asarray(vehicles, np.int64)
    seeds = _mixed(_mixed(np.asarray([seed % 2**64], np.uint64)) + who.astype(np.uint64))
    return _plan(shards.rows, shards.offsets[who], shards.counts[who], steps, batch_size, seeds, lengths)


def _plan(
    rows: Ints,
    starts: Ints,
    counts: Ints,
    steps: int,
    batch_size: int,
    seeds: Words,
    lengths: npt.NDArray[np.integer[Any]] | None,
) -> Ints:
    """Return (K, steps, batch) rows of K vehicles whose rows begin at ``starts`` and number ``counts``."""
    if len(counts) and counts.min() < 1:
        raise InputError("a vehicle without rows of the task cannot train it", mend="admit holders only")
    planned = -(-steps // _WINDOW) * _WINDOW
    at = _shuffled(counts, planned * batch_size, seeds)
    chosen: Ints = rows[starts[:, None] + at]
    batches = chosen.reshape(len(counts), planned, batch_size)
    if lengths is not None and batches.size:
        batches = _bucketed(batches, counts, np.asarray(lengths, np.int64)[batches], seeds)
    return batches[:, :steps]


def _shuffled(counts: Ints, total: int, seeds: Words) -> Ints:
    """Return (K, total) positions within each vehicle's rows: one random order after the other."""
    epochs = -(-total // np.maximum(counts, 1))
    sizes = epochs * counts
    first = np.cumsum(sizes) - sizes
    owner = np.repeat(np.arange(len(counts)), sizes)
    at = np.arange(len(owner)) - first[owner]
    block = (np.cumsum(epochs) - epochs)[owner] + at // counts[owner]
    keys = _mixed(seeds[owner] + at.astype(np.uint64)) >> np.uint64(1)
    order = np.lexsort((keys, block))
    taken = order[first[:, None] + np.arange(total)]
    positions: Ints = at[taken] % counts[:, None]
    return positions


def _bucketed(batches: Ints, counts: Ints, lengths: Ints, seeds: Words) -> Ints:
    """Regroup rows by length among the batches of one epoch and window, then shuffle these batches.

    A batch over the border of two epochs stays as it is, so that it is a fair draw from both.

    Args:
        batches: (K, steps, batch) rows, shuffled.
        counts: (K,) rows of each vehicle.
        lengths: (K, steps, batch) lengths of the rows.
        seeds: (K,) uint64.
    """
    n_vehicles, steps, size = batches.shape
    step = np.arange(steps)
    begins = step * size // counts[:, None]
    ends = (step * size + size - 1) // counts[:, None]
    span = 2 * int(ends.max()) + 2
    team = step // _WINDOW * span + 2 * begins + (ends > begins)  # (K, steps), rising
    reach = int(lengths.max()) + 1
    keys = (team[:, :, None] * reach + lengths).reshape(n_vehicles, -1)
    order = np.argsort(keys, axis=1, kind="stable")
    sorted_rows = np.take_along_axis(batches.reshape(n_vehicles, -1), order, axis=1)
    dice = (_mixed(~seeds[:, None] + step.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)
    turn = np.argsort((team << 32) + dice, axis=1, kind="stable")
    return np.take_along_axis(sorted_rows.reshape(batches.shape), turn[:, :, None], axis=1)


def _mixed(words: Words) -> Words:
    """Return the splitmix64 hash of each word (Steele, Lea, Flood, 2014)."""
    z = words + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
