"""What one update of each rank costs in bytes and FLOPs, known before any vehicle starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["UpdateCosts"]


@dataclass(frozen=True)
class UpdateCosts:
    """Costs of one update of a task, one entry a rank.

    Attributes:
        ranks: (A,) ranks, ascending.
        bytes_down: (A,) bytes a vehicle downloads.
        bytes_up: (A,) bytes it uploads.
        flops_per_step: (A,) floating-point operations of one local step.
    """

    ranks: NDArray[np.int64]
    bytes_down: NDArray[np.int64]
    bytes_up: NDArray[np.int64]
    flops_per_step: NDArray[np.float64]
