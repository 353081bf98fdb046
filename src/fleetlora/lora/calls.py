"""What one pass through the encoder is asked for.

A call holds all that its result depends on beside the backbone and the data set, and changes nothing. So it
gives the same bits wherever it is made: in this process, or in another one with as many threads on a
machine of the same kind. A cohort is cut into calls in one way only, whoever makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from fleetlora.errors import InputError
from fleetlora.lora.aggregation import LocalTerms
from fleetlora.lora.branches import Stack
from fleetlora.lora.metrics import Metrics, tally
from fleetlora.lora.passes import Passes

__all__ = ["Call", "Gradients", "Holdouts", "Score", "made", "trained"]

T = TypeVar("T")


class Call(Protocol[T]):
    """One pass, and what is wanted of it."""

    def on(self, passes: Passes) -> T:
        """Make the pass."""
        ...

    def halves(self) -> tuple[Self, Self] | None:
        """Return two calls for half of the samples each; ``None`` if there is one sample only."""
        ...

    def joined(self, one: T, other: T) -> T:
        """Return the result of this call from those of its halves."""
        ...


def made(call: Call[T], passes: Passes) -> T:
    """Return a call's result; one that a GPU has no memory for is made in halves.

    Raises:
        InputError: There is no memory for a single sample.
    """
    try:
        return call.on(passes)
    except torch.OutOfMemoryError as error:
        halves = call.halves()
        if halves is None:
            raise InputError(
                "the GPU has no memory for a single sample",
                where=passes.backbone.path,
                mend="set backbone.device to cpu, or end what else runs on the GPU",
            ) from error
    torch.cuda.empty_cache()
    one, other = (made(half, passes) for half in halves)
    return call.joined(one, other)


def _halved(stack: Stack, rows: np.ndarray) -> list[tuple[slice, Stack, np.ndarray]] | None:
    """Return both halves of ``rows`` (k, b), with which lines they are of and those lines' vehicles.

    Half of the lines each, or of a single line half of its samples; ``None`` if it has one.
    """
    lines, width = rows.shape
    if rows.size < 2:
        return None
    if lines > 1:
        parts = [(some, rows[some]) for some in (slice(lines // 2), slice(lines // 2, None))]
    else:
        parts = [(slice(None), half) for half in (rows[:, : width // 2], rows[:, width // 2 :])]
    every = np.arange(lines)
    return [(some, stack.select(every[some]), half) for some, half in parts]


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
        size = passes.backbone.tensor(self.sizes)
        losses = passes.losses(stack, self.rows) / size
        objective = losses.sum()
        if penalty is not None:  # a batch in several pieces pays it in parts
            part = passes.backbone.tensor((self.rows >= 0).sum(axis=1)) / size
            objective = objective + (part * penalty(stack.A, stack.B, stack.ranks)).sum()
        return losses.detach().cpu().numpy(), torch.autograd.grad(objective, leaves)

    def halves(self) -> tuple[Gradients, Gradients] | None:
        """Return two calls for half of the lines each, or of one line's samples."""
        parts = _halved(self.stack, self.rows)
        if parts is None:
            return None
        one, other = (Gradients(stack, rows, self.sizes[lines], self.terms) for lines, stack, rows in parts)
        return one, other

    def joined(
        self,
        one: tuple[np.ndarray, tuple[Tensor, ...]],
        other: tuple[np.ndarray, tuple[Tensor, ...]],
    ) -> tuple[np.ndarray, tuple[Tensor, ...]]:
        """Return both halves' lines, or the sums of one line."""
        pairs = list(zip(one[1], other[1], strict=True))
        if len(self.rows) > 1:
            return np.concatenate([one[0], other[0]]), tuple(torch.cat(pair) for pair in pairs)
        return one[0] + other[0], tuple(a + b for a, b in pairs)


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
        for mine, scores in zip(self.rows, passes.logits(self.stack, self.rows).cpu(), strict=True):
            real = mine >= 0
            found.append(tally(scores[torch.from_numpy(real)], labels[mine[real]]))
        return found

    def halves(self) -> tuple[Holdouts, Holdouts] | None:
        """Return two calls for half of the lines each, or of one line's samples."""
        parts = _halved(self.stack, self.rows)
        if parts is None:
            return None
        one, other = (Holdouts(stack, rows) for _, stack, rows in parts)
        return one, other

    def joined(self, one: list[Metrics], other: list[Metrics]) -> list[Metrics]:
        """Return both halves' lines, or the sum of one line."""
        return [*one, *other] if len(self.rows) > 1 else [one[0] + other[0]]


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
        return tally(logits.cpu(), passes.store.examples.labels[self.rows])

    def halves(self) -> tuple[Score, Score] | None:
        """Return two calls for half of the samples each."""
        middle = len(self.rows) // 2
        if not middle:
            return None
        return Score(self.head, self.rows[:middle]), Score(self.head, self.rows[middle:])

    def joined(self, one: Metrics, other: Metrics) -> Metrics:
        """Return the sum."""
        return one + other
