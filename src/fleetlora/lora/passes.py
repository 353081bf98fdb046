"""The forward pass from stored prefix outputs to logits, for one model or for a cohort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn.functional import cross_entropy

from fleetlora.lora.backbone import Backbone
from fleetlora.lora.branches import Stack, branched
from fleetlora.lora.prefix import PrefixStore

__all__ = ["Passes"]


@dataclass(frozen=True)
class Passes:
    """Runs one data set's samples through the part of the encoder above its stored prefix.

    Args:
        backbone: The encoder.
        store: The data set's prefix outputs.
    """

    backbone: Backbone
    store: PrefixStore

    def features(self, rows: np.ndarray) -> Tensor:
        """Return pooled features of ``rows`` (n,) under whatever acts in the encoder now, (n, d) float32."""
        if self.store.pooled:
            return self.store.features(rows)
        hidden, mask = self.store.hidden(rows)
        with self.store.arithmetic():
            return self.backbone.pool(self.backbone.suffix(hidden, mask, self.store.depth), mask).float()

    def logits(self, stack: Stack, rows: np.ndarray) -> Tensor:
        """Return (k, b, c) logits of ``rows`` (k, b): row k under the factors and head of vehicle k.

        Where ``rows`` is negative, the logits are those of some other sample of the row.
        """
        filled = np.where(rows >= 0, rows, rows.max(axis=1, keepdims=True))
        with branched(self.backbone, stack):
            features = self.features(filled.ravel())
        return stack.logits(features.view(*rows.shape, -1))

    def losses(self, stack: Stack, rows: np.ndarray) -> Tensor:
        """Return each vehicle's summed cross-entropy over its samples in ``rows`` (k, b), (k,)."""
        logits = self.logits(stack, rows)
        labels = self.backbone.tensor(np.where(rows >= 0, self.store.examples.labels[rows], 0))
        losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        return (losses.view(rows.shape) * self.backbone.tensor(rows >= 0)).sum(1)
