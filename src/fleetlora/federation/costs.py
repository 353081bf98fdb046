"""What one update of each rank costs in bytes and FLOPs, known before any vehicle starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["UpdateCosts"]


@dataclass(frozen=True)
class UpdateCosts:
    """Costs of one update of a task, one column an arm; the same for every vehicle, or row by row.

    Attributes:
        ranks: (A,) ranks, ascending.
        bytes_down: (A,) or (n, A) bytes a vehicle downloads.
        bytes_up: (A,) or (n, A) bytes it uploads.
        flops_per_step: (A,) or (n, A) floating-point operations of one local step.
        trained: (n, A) ranks that are trained, where some vehicles were pruned below an arm.
    """

    ranks: NDArray[np.int64]
    bytes_down: NDArray[np.int64]
    bytes_up: NDArray[np.int64]
    flops_per_step: NDArray[np.float64]
    trained: NDArray[np.int64] | None = None

    def at(self, row: NDArray[np.int64], arm: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Return (m,) ranks that the vehicles in ``row`` train at their arms, and the bytes down and up."""
        if self.trained is None:
            return self.ranks[arm], self.bytes_down[arm], self.bytes_up[arm]
        return self.trained[row, arm], self.bytes_down[row, arm], self.bytes_up[row, arm]
