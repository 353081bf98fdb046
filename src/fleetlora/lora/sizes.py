"""How large an adapter is on the wire: sum of r·(m+n) over the adapted layers, the head, and a header.

Free of torch, so that planning many vehicles' traffic costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fleetlora.errors import ConfigError

__all__ = ["AdapterLayout", "adapter_bytes", "check_rank"]

#: Message framing and tensor names of one transfer, bytes (a safetensors header of a few layers).
HEADER_BYTES = 1024


@dataclass(frozen=True)
class AdapterLayout:
    """Shapes of everything an adapter holds, for one backbone, one LoRA setting and one task.

    Args:
        shapes: Adapted linear layers by module path: (m outputs, n inputs).
        width: Features d that the head sees.
        n_classes: Classes c of the task.
        alpha: LoRA's numerator.
    """

    shapes: Mapping[str, tuple[int, int]]
    width: int
    n_classes: int
    alpha: float

    @property
    def per_rank(self) -> int:
        """Parameters of both factors per unit of rank: sum of m + n."""
        return sum(m + n for m, n in self.shapes.values())

    @property
    def head(self) -> int:
        """Parameters of the head: c·d weights and c biases."""
        return self.n_classes * (self.width + 1)

    @property
    def max_rank(self) -> int:
        """The highest rank that every adapted layer can carry."""
        return min(min(shape) for shape in self.shapes.values())


def check_rank(layout: AdapterLayout, rank: int | np.ndarray) -> None:
    """Refuse a negative rank, or one above an adapted layer's smaller dimension.

    Raises:
        ConfigError: Names the rank, the layer and the highest rank it takes.
    """
    ranks = np.atleast_1d(np.asarray(rank))
    if ranks.size == 0:
        return
    if ranks.min() < 0:
        raise ConfigError(f"rank {ranks.min()} is negative", where="ranks", mend="ranks start at 1")
    tightest = min(layout.shapes, key=lambda name: min(layout.shapes[name]), default=None)
    if tightest is not None and ranks.max() > min(layout.shapes[tightest]):
        m, n = layout.shapes[tightest]
        raise ConfigError(
            f"rank {ranks.max()} is above what layer {tightest} ({m} x {n}) can carry",
            where="ranks",
            mend=f"use ranks up to {min(m, n)}",
        )


def adapter_bytes(
    layout: AdapterLayout,
    rank: int | np.ndarray,
    bytes_per_param: int = 4,
    header_bytes: int = HEADER_BYTES,
    per_rank: float | None = None,
) -> np.ndarray:
    """Return the bytes of an adapter with its head, of one rank or of many.

    Args:
        layout: The adapter's shapes.
        rank: Rank or ranks, any shape; 0 means the head alone.
        bytes_per_param: 4 for float32, 2 for half precision.
        header_bytes: Framing of one transfer, bytes.
        per_rank: Parameters per unit of rank that travel, where it is not all of both factors.

    Returns:
        int64 array of ``rank``'s shape.

    Raises:
        ConfigError: A rank no layer of that size can carry.
    """
    check_rank(layout, rank)
    factors = np.asarray(rank, dtype=np.int64) * (layout.per_rank if per_rank is None else per_rank)
    parameters = np.ceil(factors).astype(np.int64) + layout.head
    return np.asarray(parameters * bytes_per_param + header_bytes)
