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

    def class_counts(self, labels: Ints, n_classes: int) -> Ints:
        """Return (V, C) int64 training rows per vehicle and class.

        Args:
            labels: (N,) int64 class of each of the task's training examples.
            n_classes: C.
        """
        owner = np.repeat(np.arange(self.n_vehicles), self.counts)
        flat = np.bincount(owner * n_classes + labels[self.rows], minlength=self.n_vehicles * n_classes)
        return flat.reshape(self.n_vehicles, n_classes)


def cut_holdout(
    vehicle: Ints, rows: Ints, n_vehicles: int, share: float, least: int, rng: np.random.Generator
) -> Shards:
    """Return shards of the pairs (vehicle, row), a random part of each vehicle's rows held out.

    Args:
        vehicle: (M,) int64 owner of each row.
        rows: (M,) int64 row numbers.
        n_vehicles: V.
        share: Share held out, at least one row.
        least: Vehicles with fewer rows hold none out.
        rng: Random generator.
    """
    order = np.lexsort((rng.random(len(rows)), vehicle))
    vehicle, rows = vehicle[order], rows[order]
    counts = np.bincount(vehicle, minlength=n_vehicles)
    out = np.where(counts >= least, np.clip(np.rint(share * counts), 1, counts - 1), 0).astype(np.int64)
    if share == 0:
        out[:] = 0
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    held = rank < out[vehicle]
    tidy = np.lexsort((rows, vehicle))
    held, rows = held[tidy], rows[tidy]
    return Shards(_offsets(counts - out), rows[~held], _offsets(out), rows[held])


def _offsets(counts: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
