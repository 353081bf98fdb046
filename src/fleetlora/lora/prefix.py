"""The frozen part's output, computed once per example and kept while it fits.

Examples are run in groups of one exact length, without padding and never in very small products, so an
example's output does not depend on which others it is computed with: with and without the cache, and in
whatever order examples are first seen, the numbers are the same.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fleetlora.lora.backbone import Backbone
from fleetlora.lora.examples import Examples

__all__ = ["PrefixStore"]

#: Fewest tokens of one run; BLAS takes other paths, with other rounding, for smaller products.
FEWEST_TOKENS = 64


class PrefixStore:
    """Inputs of encoder layer ``depth`` (or pooled features) for the examples of one data set.

    Args:
        backbone: The encoder.
        examples: The data set.
        depth: Layers that are run; all of them, and the outputs are pooled.
        limit_bytes: Memory it may use; if the whole data set needs more, nothing is kept.
        chunk_tokens: Most tokens of one run through the encoder.
        dtype: Arithmetic of the encoder.
    """

    def __init__(
        self,
        backbone: Backbone,
        examples: Examples,
        depth: int,
        limit_bytes: int,
        chunk_tokens: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.backbone, self.examples, self.depth, self.dtype = backbone, examples, depth, dtype
        self.chunk_tokens = chunk_tokens
        self.pooled = depth == backbone.n_layers
        count = len(examples.labels)
        if backbone.kind == "image":
            self.tokens = np.full(count, backbone.image_tokens, dtype=np.int64)
        else:
            self.tokens = np.asarray(examples.lengths, dtype=np.int64)
        rows = np.ones(count, dtype=np.int64) if self.pooled else self.tokens
        self.offsets = np.concatenate([[0], np.cumsum(rows)])
        needed = int(self.offsets[-1]) * backbone.width * 4
        self.kept = needed <= limit_bytes
        self.used_bytes = needed if self.kept else 0
        self._seen = np.zeros(count, dtype=bool)
        self._memory = torch.empty(int(self.offsets[-1]) if self.kept else 0, backbone.width)

    def hidden(self, rows: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Return padded inputs of layer ``depth`` and the mask of real tokens.

        Args:
            rows: (n,) examples, repeats allowed.

        Returns:
            (n, L, d) with L the longest of them, and (n, L) bool or ``None`` when nothing is padded.
        """
        lengths = self.tokens[rows]
        longest = int(lengths.max())
        place = np.arange(longest)
        real = place < lengths[:, None]
        memory, starts = self._rows(rows)
        index = np.where(real, starts[:, None] + place, starts[:, None])
        hidden = memory[torch.from_numpy(index.ravel())].view(len(rows), longest, -1)
        return hidden, None if real.all() else torch.from_numpy(real)

    def features(self, rows: np.ndarray) -> Tensor:
        """Return pooled features, (n, d), of ``rows`` (n,)."""
        memory, starts = self._rows(rows)
        return memory[torch.from_numpy(starts)]

    def _rows(self, rows: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Return a table of token rows and where each example begins in it."""
        if self.kept:
            fresh = np.unique(rows[~self._seen[rows]])
            self._compute(fresh, self._memory, self.offsets[fresh])
            self._seen[fresh] = True
            return self._memory, self.offsets[rows]
        distinct, where = np.unique(rows, return_inverse=True)
        sizes = self.offsets[distinct + 1] - self.offsets[distinct]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        table = torch.empty(int(starts[-1]), self.backbone.width)
        self._compute(distinct, table, starts[:-1])
        return table, starts[where]

    @torch.no_grad()
    def _compute(self, rows: np.ndarray, table: Tensor, starts: np.ndarray) -> None:
        for length in np.unique(self.tokens[rows]):
            same = np.flatnonzero(self.tokens[rows] == length)
            step = max(1, self.chunk_tokens // int(length))
            for begin in range(0, len(same), step):
                part = same[begin : begin + step]
                values = self._run(rows[part], int(length))
                size = 1 if self.pooled else int(length)
                index = (starts[part][:, None] + np.arange(size)).ravel()
                table[torch.from_numpy(index)] = values.reshape(len(index), -1)

    def _run(self, rows: np.ndarray, length: int) -> Tensor:
        fewest = -(-FEWEST_TOKENS // length)
        filled = np.resize(rows, max(len(rows), fewest))
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            hidden = self.backbone.prefix(self.examples.batch(filled), self.depth)
            if self.pooled:
                hidden = self.backbone.pool(hidden, None)
        return hidden[: len(rows)].float()
