"""Encoded rows that a model can be fed with: padded token batches, normalised image batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fleetlora.tasks.pixels import PixelRules
from fleetlora.tasks.tokens import Tokens

__all__ = ["ImageExamples", "TaskData", "TextExamples"]

Rows = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class TextExamples:
    """N tokenised texts.

    Args:
        labels: (N,) int64 class indices.
        tokens: Their tokens, ragged.
        group: (N,) int64 origin of each row, or None.
    """

    labels: npt.NDArray[np.int64]
    tokens: Tokens
    group: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int32]:
        """(N,) int32 tokens per text."""
        return np.diff(self.tokens.offsets).astype(np.int32)

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Return all that is in the rows: labels, and tokens with their offsets."""
        return self.labels, self.tokens.ids, self.tokens.offsets

    def batch(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """Return ``input_ids`` and ``attention_mask`` (b, L) int64, L the longest of these rows.

        Args:
            rows: (b,) row numbers, in the order wanted.
        """
        starts = self.tokens.offsets[rows]
        lengths = self.tokens.offsets[np.asarray(rows) + 1] - starts
        steps = np.arange(int(lengths.max(initial=0)))
        mask = steps < lengths[:, None]
        ids = np.full(mask.shape, self.tokens.pad_id, np.int64)
        ids[mask] = self.tokens.ids[(starts[:, None] + steps)[mask]]
        return {"input_ids": ids, "attention_mask": mask.astype(np.int64)}


@dataclass(frozen=True, eq=False)
class ImageExamples:
    """N images, kept as bytes and made into a backbone's input batch by batch.

    Args:
        labels: (N,) int64 class indices.
        pixels: (N, H, W, 3) uint8.
        rules: The backbone's sizes and scaling.
        group: (N,) int64 origin of each row, or None.
    """

    labels: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.uint8]
    rules: PixelRules
    group: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int32]:
        """(N,) int32, all 1: every image is as long as any other."""
        return np.ones(len(self.labels), np.int32)

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Return all that is in the rows: labels and pixels."""
        return self.labels, self.pixels

    def batch(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """Return ``pixel_values`` (b, 3, h, w) float32.

        Args:
            rows: (b,) row numbers, in the order wanted.
        """
        return {"pixel_values": self.rules.normalised(self.rules.fitted(self.pixels[rows]))}


@dataclass(frozen=True, eq=False)
class TaskData:
    """A task ready for a backbone.

    Args:
        name: The task's name.
        classes: Class names; labels index them.
        train: Rows that vehicles hold.
        test: Rows that only measure.
        max_tokens: Tokens that texts were cut to; None where nothing was cut.
    """

    name: str
    classes: tuple[str, ...]
    train: TextExamples | ImageExamples
    test: TextExamples | ImageExamples
    max_tokens: int | None = None

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)
