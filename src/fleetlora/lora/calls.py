"""What one pass through the encoder is asked for.

A call holds all that its result depends on beside the backbone and the data set, and changes nothing. So it
gives the same bits wherever it is made: in this process, or in another one with as many threads on a
machine of the same kind. A cohort is cut into calls in one way only, whoever makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from fleetlora.lora.aggregation import LocalTerms
from fleetlora.lora.branches import Stack
from fleetlora.lora.metrics import Metrics, tally
from fleetlora.lora.passes import Passes

__all__ = ["Call", "Gradients", "Holdouts", "Score", "trained"]

T_co = TypeVar("T_co", covariant=True)


class Call(Protocol[T_co]):
    """One pass, and what is wanted of it."""

    def on(self, passes: Passes) -> T_co:
        """Make the pass."""
        ...


def trained(stack: Stack, terms: LocalTerms) -> tuple[list[Tensor], list[Tensor]]:
    """Return the factors and the heads of ``stack`` that train."""
    factors = [*(stack.A.values() if terms.train_a else ()), *(stack.B.values() if terms.train_b else ())]
    return factors, [stack.weight, stack.bias]


@dataclass(frozen=True, eq=False)
class Gradients:
    """The part of some vehicles' losses and gradients that some of their samples make.

    Args:
        stack: The k vehicles.
        rows: (k, b) rows of examples, −1 where there is none.
        sizes: (k,) samples of each vehicle's whole batch.
        terms: What the aggregation rule asks of local training.
    """

    stack: Stack
    rows: np.ndarray
    sizes: np.ndarray
    terms: LocalTerms

    def on(self, passes: Passes) -> tuple[np.ndarray, tuple[Tensor, ...]]:
        """Return the part of the mean losses (k,), and gradients in the order of :func:`trained`."""
        stack, penalty = self.stack, self.terms.penalty
        factors, heads = trained(stack, self.terms)
        leaves = [value.requires_grad_() for value in (*factors, *heads)]
        size = torch.tensor(self.sizes)
        losses = passes.losses(stack, self.rows) / size
        objective = losses.sum()
        if penalty is not None:  # a batch in several pieces pays it in parts
            part = torch.from_numpy((self.rows >= 0).sum(axis=1)) / size
            objective = objective + (part * penalty(stack.A, stack.B, stack.ranks)).sum()
        return losses.detach().numpy(), torch.autograd.grad(objective, leaves)


@dataclass(frozen=True, eq=False)
class Holdouts:
    """How well some vehicles do on samples of their own.

    Args:
        stack: The k vehicles.
        rows: (k, b) rows of examples, −1 where there is none.
    """

    stack: Stack
    rows: np.ndarray

    @torch.inference_mode()
    def on(self, passes: Passes) -> list[Metrics]:
        """Return each vehicle's metrics."""
        labels, found = passes.store.examples.labels, []
        for mine, scores in zip(self.rows, passes.logits(self.stack, self.rows), strict=True):
            real = mine >= 0
            found.append(tally(scores[torch.from_numpy(real)], labels[mine[real]]))
        return found


@dataclass(frozen=True, eq=False)
class Score:
    """How well one head does on the features of some samples.

    Args:
        head: A stack of the one head.
        rows: (n,) rows of examples.
    """

    head: Stack
    rows: np.ndarray

    @torch.inference_mode()
    def on(self, passes: Passes) -> Metrics:
        """Return the metrics."""
        logits = self.head.logits(passes.features(self.rows)[None])[0]
        return tally(logits, passes.store.examples.labels[self.rows])
