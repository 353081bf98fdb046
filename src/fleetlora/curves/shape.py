"""The learning curve: how accuracy grows with what has been merged, as a formula instead of training.

Every update that reaches the cloud brings a contribution, and the contributions of one sync together bring
mass, less the more of them there are:

    g = f · (r/8)^a · (H/4)^b · (n/32)^c · s^d · (1 + m)^(−e)          mass += (sum of g)^nu

r is the rank, H the local steps, n the vehicle's samples, s the step size relative to the run's start, m the
updates that this vehicle has sent before, f the recipe's own factor. A quality of the aggregated model, its
accuracy or its loss, starts at q0 and approaches q1:

    q(mass) = q1 + (q0 − q1) · (1 + mass/tau)^(−p)

A power law is the usual form of learning curves (Hestness et al. 2017, arXiv 1712.00409). The accuracy that
is tested is lower by z·s: a large step size keeps the model from settling until it decays. What a vehicle
sees on its few held-out samples is the same with noise around it: its relative gain is a line in log r,
log H, s and the accuracy still to be gained, and a normal error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

__all__ = ["Contribution", "Costs", "GainLine", "Growth", "Recipe", "TaskCurve", "Work"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Where the features are one: a middle rank, few steps, a small vehicle.
RANK, STEPS, SAMPLES = 8.0, 4.0, 32.0


@dataclass(frozen=True)
class Work:
    """Updates, as far as their contribution goes; each column (n,).

    Attributes:
        rank: LoRA rank.
        steps: Local steps.
        samples: Training samples of the vehicle.
        rate: Step size relative to the run's start.
        before: Updates of the task that the vehicle had sent before.
    """

    rank: NDArray[np.generic]
    steps: NDArray[np.generic]
    samples: NDArray[np.generic]
    rate: Floats
    before: NDArray[np.generic]

    def logs(self) -> Floats:
        """Return the logarithms of the factors, (n, 5): rank, steps, samples, rate, 1/(1 + before)."""
        return np.column_stack(
            [
                np.log(np.asarray(self.rank, dtype=np.float64) / RANK),
                np.log(np.asarray(self.steps, dtype=np.float64) / STEPS),
                np.log(np.asarray(self.samples, dtype=np.float64) / SAMPLES),
                np.log(self.rate),
                -np.log1p(np.asarray(self.before, dtype=np.float64)),
            ]
        )


@dataclass(frozen=True)
class Contribution:
    """Exponents a, b, c, d, e of an update's contribution, and nu of what a sync makes of them together."""

    rank: float
    steps: float
    samples: float
    rate: float
    again: float
    together: float

    def of(self, work: Work, factor: float) -> Floats:
        """Return each update's contribution g, (n,)."""
        exponents = np.array([self.rank, self.steps, self.samples, self.rate, self.again])
        contributed: Floats = factor * np.exp(work.logs() @ exponents)
        return contributed

    def mass(self, contributed: float) -> float:
        """Return the mass that a sync adds, from the sum of its contributions."""
        return float(contributed**self.together)


@dataclass(frozen=True)
class Growth:
    """A quality of the model as its mass grows from 0: q0, q1, tau, p."""

    start: float
    end: float
    scale: Annotated[float, Gt(0)]
    power: Annotated[float, Gt(0)]

    def at(self, mass: float | Floats, shift: float | Floats = 0.0) -> Floats:
        """Return the quality at ``mass``; ``shift`` moves where it ends."""
        end = self.end + shift
        quality: Floats = end + (self.start - end) * (1.0 + np.asarray(mass) / self.scale) ** -self.power
        return quality

    def headroom(self, mass: Floats) -> Floats:
        """Return the share of the way that is still to go at ``mass``, 1 at the start."""
        left: Floats = (1.0 + mass / self.scale) ** -self.power
        return left


@dataclass(frozen=True)
class GainLine:
    """A vehicle's relative gain (L0 − L1)/L0: a line, and the standard deviation around it.

    ``headroom`` multiplies the share of the accuracy that is still to be gained, 1 at the start.
    """

    constant: float
    rank: float
    steps: float
    rate: float
    headroom: float
    spread: float

    @staticmethod
    def features(logs: Floats, headroom: Floats) -> Floats:
        """Return what the line's five coefficients multiply, (n, 5), from :meth:`Work.logs`."""
        return np.column_stack([np.ones(len(logs)), logs[:, 0], logs[:, 1], np.exp(logs[:, 3]), headroom])

    def mean(self, work: Work, headroom: Floats) -> Floats:
        """Return the expected gain, (n,)."""
        line = np.array([self.constant, self.rank, self.steps, self.rate, self.headroom])
        gain: Floats = self.features(work.logs(), headroom) @ line
        return gain


@dataclass(frozen=True)
class Costs:
    """Bytes and FLOPs of an update by rank, as the runs had them.

    Attributes:
        ranks: (R,) recorded ranks, ascending.
        bytes_down: (R,) bytes received.
        bytes_up: (R,) bytes sent.
        flops_per_step: (R,) FLOPs of one local step.
        model_bytes: Bytes of an RSU's model on the backhaul.
    """

    ranks: tuple[int, ...]
    bytes_down: tuple[int, ...]
    bytes_up: tuple[int, ...]
    flops_per_step: tuple[float, ...]
    model_bytes: int

    def __post_init__(self) -> None:
        columns = (self.bytes_down, self.bytes_up, self.flops_per_step)
        if any(len(column) != len(self.ranks) for column in columns):
            raise ValueError("one value for each rank is needed")


@dataclass(frozen=True)
class Recipe:
    """What one aggregation rule and step size make of the same work.

    Attributes:
        factor: Factor f of every contribution.
        accuracy_shift: How much higher the accuracy ends than the curve says.
        loss_shift: The same of the loss.
        costs: What an update moves and computes.
    """

    factor: float
    accuracy_shift: float
    loss_shift: float
    costs: Costs


@dataclass(frozen=True)
class TaskCurve:
    """Everything about one task.

    Attributes:
        classes: Number of classes.
        test_samples: Samples of the test set.
        contribution: What updates bring.
        accuracy: Accuracy of the aggregated model once the step size has decayed.
        unsettled: Accuracy z that the run's first step size costs.
        loss: Its loss on the test set.
        gain: What a vehicle sees of its own training.
        local_loss: Mean and standard deviation of log(loss on the vehicle's held-out samples / test loss).
        local_accuracy: How much higher accuracy on a vehicle's held-out samples is after its training.
        recipes: By recipe.
    """

    classes: int
    test_samples: int
    contribution: Contribution
    accuracy: Growth
    unsettled: float
    loss: Growth
    gain: GainLine
    local_loss: tuple[float, float]
    local_accuracy: float
    recipes: dict[str, Recipe]
