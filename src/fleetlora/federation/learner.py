"""What the round loop asks of whatever learns: costs, local training, merging, testing.

The loop knows nothing of factors and tensors; it moves vehicles, bytes and joules. A learner holds the
models of the cloud and of every RSU and does with them what the loop tells it to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fleetlora.federation.costs import UpdateCosts
from fleetlora.federation.uploads import Refusal

__all__ = ["Jobs", "Learned", "Learner", "Score"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Jobs:
    """Local trainings of one task whose updates reach their RSUs in a round; each column (n,)."""

    vehicle: Ints
    rsu: Ints
    rank: Ints
    steps: Ints

    def __len__(self) -> int:
        return len(self.vehicle)


@dataclass(frozen=True)
class Learned:
    """What the vehicles saw on their own held-out samples; each column (n,), NaN where it holds none.

    Attributes:
        loss_before: Loss of the model as it was received.
        loss_after: Loss after local training.
        accuracy_before: Accuracy of the model as it was received.
        accuracy: Accuracy after local training.
        refused: The updates that their RSUs refused, in no column's order.
    """

    loss_before: Floats
    loss_after: Floats
    accuracy_before: Floats
    accuracy: Floats
    refused: list[Refusal] = field(default_factory=list)

    @classmethod
    def unknown(cls, n: int) -> Learned:
        """Return columns of n vehicles of which nothing is known yet."""
        before, after, accuracy_before, accuracy = (np.full(n, np.nan) for _ in range(4))
        return cls(before, after, accuracy_before, accuracy)

    def put(self, rows: Ints, part: Learned) -> None:
        """Fill in what some of the vehicles saw."""
        self.loss_before[rows] = part.loss_before
        self.loss_after[rows] = part.loss_after
        self.accuracy_before[rows] = part.accuracy_before
        self.accuracy[rows] = part.accuracy
        self.refused.extend(part.refused)


@dataclass(frozen=True)
class Score:
    """Test of an aggregated model."""

    accuracy: float
    loss: float
    samples: int


class Learner(Protocol):
    """Holds a model per task at the cloud and at every RSU, and trains it."""

    def costs(self, task: int, vehicle: Ints | None = None) -> UpdateCosts:
        """Return the bytes and FLOPs of an update of each rank.

        Args:
            task: The task.
            vehicle: (n,) whose updates, where these may differ; anyone's if not given.
        """
        ...

    def samples(self, task: int) -> Ints:
        """Return the (V,) number of training samples that each vehicle holds; 0 is none."""
        ...

    def test_steps(self, task: int) -> Floats:
        """Return (V,) how many local steps take as long as measuring a vehicle's gain.

        It tests the model on its held-out samples before and after training. Frozen layers run once and
        adapted ones twice, where a local step runs these forward and backward: a sample tested costs about
        what a sample trained does.
        """
        ...

    def train(self, task: int, round: int, jobs: Jobs, progress: float) -> Learned:
        """Train every job from its RSU's model and merge the updates into that RSU's model.

        Args:
            task: The task.
            round: The round, which seeds what is drawn.
            jobs: Who trains what.
            progress: Part of the run that is over, of its time or of the task's joules, whichever is more, in
                [0, 1]; it schedules the step size.
        """
        ...

    def sync(self, task: int) -> None:
        """Merge the RSUs' models at the cloud and give every RSU the result."""
        ...

    def model_bytes(self, task: int) -> int:
        """Return the bytes of the model that a sync has made, which is charged for once up and once down."""
        ...

    def privacy(self) -> dict[str, Any] | None:
        """Return what differential privacy guarantees by now, ``None`` where it is off."""
        ...

    def evaluate(self, task: int, samples: int | None) -> Score:
        """Test the cloud's model on ``samples`` test samples, the same ones each time; on all if None."""
        ...

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return every trained array of the cloud's models by a unique name."""
        ...

    def save(self, task: int, directory: Path) -> None:
        """Write the cloud's model of a task as PEFT files."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training has changed, as plain values and arrays."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        ...
