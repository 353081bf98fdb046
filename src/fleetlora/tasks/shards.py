"""Which vehicle holds which rows: the outcome of a partition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Shards"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Shards:
    """The rows of one task that each of V vehicles holds, to train on and to hold out.

    Args:
        offsets: (V+1,) int64; vehicle v trains on ``rows[offsets[v]:offsets[v+1]]``.
        rows: (M,) int64 row numbers of the task's training examples.
        holdout_offsets: (V+1,) int64, likewise for the rows it measures its own gain on.
        holdout_rows: (K,) int64; of one vehicle never among ``rows``.
    """

    offsets: Ints
    rows: Ints
    holdout_offsets: Ints
    holdout_rows: Ints

    def arrays(self) -> tuple[Ints, ...]:
        """Return all that says who holds what."""
        return self.offsets, self.rows, self.holdout_offsets, self.holdout_rows

    @property
    def n_vehicles(self) -> int:
        """V."""
        return len(self.offsets) - 1

    @property
    def counts(self) -> Ints:
        """(V,) int64 training rows per vehicle; 0 where it does not hold the task."""
        return np.diff(self.offsets)

    @property
    def holdout_counts(self) -> Ints:
        """(V,) int64 held-out rows per vehicle."""
        return np.diff(self.holdout_offsets)

    @property
    def holders(self) -> Ints:
        """Vehicles that hold rows of the task, rising."""
        return np.flatnonzero(self.counts)

    def train(self, vehicle: int) -> Ints:
        """Return the rows ``vehicle`` trains on."""
        return self.rows[self.offsets[vehicle] : self.offsets[vehicle + 1]]

    def holdout(self, vehicle: int) -> Ints:
        """Return the rows ``vehicle`` measures on."""
        return self.holdout_rows[self.holdout_offsets[vehicle] : self.holdout_offsets[vehicle + 1]]


def cut_holdout(
    vehicle: Ints,
    rows: Ints,
    n_vehicles: int,
    share: float,
    least: int,
    rng: np.random.Generator,
    group: Ints | None = None,
) -> Shards:
    """Return shards of the pairs (vehicle, row), a random part of each vehicle's rows held out.

    Args:
        vehicle: (M,) int64 owner of each row.
        rows: (M,) int64 row numbers.
        n_vehicles: V.
        share: Share held out, at least one row.
        least: Vehicles with fewer rows hold none out.
        rng: Random generator.
        group: (M,) int64 group of each row, from 0. A vehicle with two groups or more holds out whole ones,
            near the share and at least one.
    """
    counts = np.bincount(vehicle, minlength=n_vehicles)
    wanted = np.where(counts >= least, np.clip(np.rint(share * counts), 1, counts - 1), 0).astype(np.int64)
    if share == 0:
        wanted[:] = 0
    unit = np.arange(len(rows)) if group is None else _units(vehicle, group, n_vehicles)
    size = np.bincount(unit)
    owner = np.empty(len(size), np.int64)
    owner[unit] = vehicle
    held = _held_out(owner, size, wanted, rng)[unit]
    tidy = np.lexsort((rows, vehicle))
    held, rows, vehicle = held[tidy], rows[tidy], vehicle[tidy]
    out = np.bincount(vehicle[held], minlength=n_vehicles)
    return Shards(_offsets(counts - out), rows[~held], _offsets(out), rows[held])


def _units(vehicle: Ints, group: Ints, n_vehicles: int) -> Ints:
    """Return (M,) what is held out together: the rows of a vehicle's group, or each row of an only group."""
    n_groups = int(group.max()) + 1
    pair = vehicle * n_groups + group
    groups_of = np.bincount(np.unique(pair) // n_groups, minlength=n_vehicles)
    apart = n_vehicles * n_groups + np.arange(len(pair))
    units: Ints = np.unique(np.where(groups_of[vehicle] > 1, pair, apart), return_inverse=True)[1]
    return units


def _held_out(owner: Ints, size: Ints, wanted: Ints, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return (U,) which units are held out: at random those that fit, then the smallest if that is nearer.

    Args:
        owner: (U,) int64 vehicle of each unit; a unit's vehicle has another one where it holds out any.
        size: (U,) int64 rows of each unit.
        wanted: (V,) int64 rows that each vehicle is to hold out, fewer than it has.
        rng: Random generator.
    """
    order = np.lexsort((rng.random(len(size)), owner))
    held = np.zeros(len(size), np.bool_)
    if (size == 1).all():  # as many as wanted, from the first on: no loop over millions of rows
        units = np.bincount(owner, minlength=len(wanted))
        rank = np.arange(len(size)) - np.repeat(np.cumsum(units) - units, units)
        held[order] = rank < wanted[owner[order]]
        return held
    lack = wanted.tolist()
    for unit, of, rows in zip(order.tolist(), owner[order].tolist(), size[order].tolist(), strict=True):
        if rows <= lack[of]:
            held[unit] = True
            lack[of] -= rows
    left = np.flatnonzero(~held)
    left = left[np.lexsort((size[left], owner[left]))]
    whose, first, n_left = np.unique(owner[left], return_index=True, return_counts=True)
    smallest, short = left[first], np.asarray(lack, np.int64)[whose]
    none_yet = (short == wanted[whose]) & (short > 0)
    held[smallest[(n_left > 1) & (none_yet | (size[smallest] < 2 * short))]] = True
    return held


def _offsets(counts: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
