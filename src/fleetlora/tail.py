"""How many of the last models are averaged into the one that is handed out (:mod:`fleetlora.lora.tail`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["tail_length"]


def tail_length(share: float, count: ArrayLike) -> NDArray[np.int64]:
    """Return how many models the tail holds, of ``count``'s shape: at least one where there is any.

    Args:
        share: Part of the models that belongs to the tail, in [0, 1]; 0 is the last one alone.
        count: Models so far.
    """
    models = np.asarray(count, dtype=np.int64)
    wanted = np.ceil(share * models - 1e-9).astype(np.int64)
    return np.asarray(np.minimum(models, np.maximum(1, wanted)))
