"""Measures that add up: each carries its numerator and denominator, so nobody averages averages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Metrics"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Metrics:
    """What a model got right on some rows; the sum of two is what it got right on both.

    Args:
        loss_sum: Sum of the rows' losses.
        hits: (C,) int64 rows of each class that were recognised.
        predicted: (C,) int64 rows taken for each class.
        actual: (C,) int64 rows of each class.
    """

    loss_sum: float
    hits: Ints
    predicted: Ints
    actual: Ints

    @classmethod
    def of(
        cls,
        labels: npt.NDArray[np.integer[Any]],
        predictions: npt.NDArray[np.integer[Any]],
        losses: npt.NDArray[np.floating[Any]],
        n_classes: int,
    ) -> Metrics:
        """Return the measures of n rows.

        Args:
            labels: (n,) true class.
            predictions: (n,) predicted class.
            losses: (n,) loss of each row.
            n_classes: C.
        """
        right = np.asarray(labels)[np.asarray(labels) == np.asarray(predictions)]
        hits, predicted, actual = (
            np.bincount(codes, minlength=n_classes).astype(np.int64) for codes in (right, predictions, labels)
        )
        return cls(float(np.sum(losses, dtype=np.float64)), hits, predicted, actual)

    @classmethod
    def zero(cls, n_classes: int) -> Metrics:
        """Return the measures of no rows."""
        none = np.zeros(n_classes, np.int64)
        return cls(0.0, none, none, none)

    def __add__(self, other: Metrics) -> Metrics:
        return Metrics(
            self.loss_sum + other.loss_sum,
            self.hits + other.hits,
            self.predicted + other.predicted,
            self.actual + other.actual,
        )

    @property
    def correct(self) -> int:
        """Rows that were recognised: numerator of the accuracy."""
        return int(self.hits.sum())

    @property
    def count(self) -> int:
        """Rows measured: denominator of accuracy and loss."""
        return int(self.actual.sum())

    @property
    def accuracy(self) -> float:
        """Share of the rows recognised; NaN without rows."""
        return self.correct / self.count if self.count else float("nan")

    @property
    def loss(self) -> float:
        """Mean loss; NaN without rows."""
        return self.loss_sum / self.count if self.count else float("nan")

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that occur or were predicted; NaN without rows."""
        seen = (self.predicted + self.actual) > 0
        if not seen.any():
            return float("nan")
        return float((2 * self.hits[seen] / (self.predicted + self.actual)[seen]).mean())
