"""Classification metrics as numerators and denominators, so that nobody averages averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

__all__ = ["Metrics", "tally"]


@dataclass(frozen=True)
class Metrics:
    """Counts over some samples; add two to join their samples.

    Args:
        correct: Samples whose largest logit is their label's.
        count: Samples.
        loss_sum: Sum of their cross-entropies, nats.
    """

    correct: int
    count: int
    loss_sum: float

    @property
    def accuracy(self) -> float:
        """Share of correct samples; NaN without samples."""
        return self.correct / self.count if self.count else float("nan")

    @property
    def loss(self) -> float:
        """Mean cross-entropy, nats; NaN without samples."""
        return self.loss_sum / self.count if self.count else float("nan")

    def __add__(self, other: Metrics) -> Metrics:
        return Metrics(self.correct + other.correct, self.count + other.count, self.loss_sum + other.loss_sum)

    @classmethod
    def total(cls, parts: Sequence[Metrics]) -> Metrics:
        """Return the sum of ``parts``, of none too."""
        return sum(parts, cls(0, 0, 0.0))


def tally(logits: Tensor, labels: np.ndarray) -> Metrics:
    """Count a batch.

    Args:
        logits: (n, c).
        labels: (n,) int64.
    """
    losses = cross_entropy(logits, torch.from_numpy(labels), reduction="none")
    correct = int((logits.argmax(1).numpy() == labels).sum())
    return Metrics(correct, len(labels), float(losses.double().sum()))
