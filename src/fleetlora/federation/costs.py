"""What one update of each rank costs in bytes and FLOPs, known before any vehicle starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["UpdateCosts"]


@dataclass(frozen=True)
class UpdateCosts:
    """Costs of one update of a task, one column a rank; the same for every vehicle, or row by row.

    Attributes:
        ranks: (A,) ranks, ascending.
        bytes_down: (A,) or (n, A) bytes a vehicle downloads.
        bytes_up: (A,) or (n, A) bytes it uploads.
        flops_per_step: (A,) or (n, A) floating-point operations of one local step.
    """

    ranks: NDArray[np.int64]
    bytes_down: NDArray[np.int64]
    bytes_up: NDArray[np.int64]
    flops_per_step: NDArray[np.float64]

    def bytes_at(self, row: NDArray[np.int64], arm: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Return the (m,) bytes down and up of the vehicles in ``row`` at their arms."""
        at = (row, arm) if self.bytes_down.ndim == 2 else (arm,)
        return self.bytes_down[at], self.bytes_up[at]
