"""What the trainer asks of a task's samples."""

from __future__ import annotations

from typing import Protocol

import numpy as np

__all__ = ["Examples"]


class Examples(Protocol):
    """Labelled, encoded samples of one split of a task.

    Attributes:
        labels: (N,) int64 class indices.
        lengths: (N,) int32 tokens of each text; not read for images.
    """

    @property
    def labels(self) -> np.ndarray:
        """Class indices."""
        ...

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text."""
        ...

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the backbone's inputs for ``rows`` (n,), padded on the right to their own longest.

        Text: ``input_ids`` and ``attention_mask`` (n, L), perhaps ``token_type_ids``; images:
        ``pixel_values`` (n, channels, height, width) float32.
        """
        ...
