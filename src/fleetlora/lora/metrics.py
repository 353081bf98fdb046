"""Classification metrics as numerators and denominators, so that nobody averages averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

__all__ = ["Metrics", "tally"]


@dataclass(frozen=True, eq=False)
class Metrics:
    """Counts over some samples; add two to join their samples.

    Args:
        correct: Samples whose largest logit is their label's.
        count: Samples.
        loss_sum: Sum of their cross-entropies, nats.
        class_correct: (c,) int64 correct samples by label.
        class_count: (c,) int64 samples by label.
        class_predicted: (c,) int64 samples by prediction.
    """

    correct: int
    count: int
    loss_sum: float
    class_correct: np.ndarray
    class_count: np.ndarray
    class_predicted: np.ndarray

    @property
    def accuracy(self) -> float:
        """Share of correct samples; NaN without samples."""
        return self.correct / self.count if self.count else float("nan")

    @property
    def loss(self) -> float:
        """Mean cross-entropy, nats; NaN without samples."""
        return self.loss_sum / self.count if self.count else float("nan")

    @property
    def macro_f1(self) -> float:
        """Mean over the classes that occur of 2·correct / (samples + predictions); NaN without samples."""
        present = self.class_count > 0
        f1 = 2 * self.class_correct[present] / (self.class_count + self.class_predicted)[present]
        return float(f1.mean()) if len(f1) else float("nan")

    def __add__(self, other: Metrics) -> Metrics:
        return Metrics(
            self.correct + other.correct,
            self.count + other.count,
            self.loss_sum + other.loss_sum,
            self.class_correct + other.class_correct,
            self.class_count + other.class_count,
            self.class_predicted + other.class_predicted,
        )

    @classmethod
    def total(cls, parts: Sequence[Metrics], n_classes: int) -> Metrics:
        """Return the sum of ``parts``, of none too."""
        none = np.zeros(n_classes, dtype=np.int64)
        return sum(parts, cls(0, 0, 0.0, none, none, none))


def tally(logits: Tensor, labels: np.ndarray) -> Metrics:
    """Count a batch.

    Args:
        logits: (n, c).
        labels: (n,) int64.
    """
    classes = logits.shape[1]
    predicted = logits.argmax(1).numpy()
    losses = cross_entropy(logits, torch.from_numpy(labels), reduction="none")
    hit = predicted == labels
    return Metrics(
        int(hit.sum()),
        len(labels),
        float(losses.double().sum()),
        np.bincount(labels[hit], minlength=classes),
        np.bincount(labels, minlength=classes),
        np.bincount(predicted, minlength=classes),
    )
