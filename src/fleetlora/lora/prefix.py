"""The frozen part's output, computed once per example and kept while it fits.

Examples are run in groups of one exact length, without padding, and groups of a length are all of one size:
BLAS takes other paths, with other rounding, for products of other sizes. So an example's output does not
depend on which others it is computed with: with and without the cache, in whatever order examples are first
seen, and whatever ran before in the same process, the numbers are the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fleetlora.errors import InputError
from fleetlora.lora.backbone import Backbone
from fleetlora.lora.examples import Examples
from fleetlora.lora.memory import group_tokens

__all__ = ["PrefixCache", "PrefixStore", "token_counts"]


class PrefixCache:
    """A memory budget for prefix outputs, shared by all data sets and trainers that are given it.

    Args:
        limit_bytes: Memory for all data sets together; one that no longer fits is computed anew each time.
            0 turns keeping off.
    """

    def __init__(self, limit_bytes: int = 2 * 2**30) -> None:
        self.limit_bytes = limit_bytes
        self._stores: dict[tuple[int, int, int, torch.dtype], PrefixStore] = {}

    @property
    def room_bytes(self) -> int:
        """Memory that is still free."""
        return self.limit_bytes - sum(store.used_bytes for store in self._stores.values())

    def store(
        self, backbone: Backbone, examples: Examples, depth: int, dtype: torch.dtype = torch.float32
    ) -> PrefixStore:
        """Return the store of a data set below layer ``depth``, the same one each time.

        Args:
            backbone: The encoder.
            examples: The data set.
            depth: Layers that are run; if all of them, their outputs are pooled.
            dtype: Arithmetic of the encoder.

        Raises:
            InputError: An example has no tokens, or more than the backbone takes.
        """
        key = (id(backbone), id(examples), depth, dtype)
        if key not in self._stores:
            self._stores[key] = PrefixStore(self, backbone, examples, depth, dtype)
        return self._stores[key]

    def below(self, store: PrefixStore) -> PrefixStore | None:
        """Return the deepest store of the same data below ``store``'s depth that keeps all its outputs."""
        fitting = [
            other
            for (backbone, examples, depth, dtype), other in self._stores.items()
            if (backbone, examples, dtype) == (id(store.backbone), id(store.examples), store.dtype)
            and depth < store.depth
            and other.keeps_all
        ]
        return max(fitting, key=lambda other: other.depth, default=None)


class _Table:
    """Token rows of some examples, filled as they are asked for."""

    def __init__(self, rows: np.ndarray, sizes: np.ndarray, backbone: Backbone) -> None:
        self.rows = rows
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        self.memory = torch.empty(int(self.starts[-1]), backbone.width, device=backbone.device)
        self.filled = np.zeros(len(rows), dtype=bool)


class PrefixStore:
    """One data set's inputs of encoder layer ``depth``, or its pooled features: :meth:`PrefixCache.store`."""

    def __init__(
        self, cache: PrefixCache, backbone: Backbone, examples: Examples, depth: int, dtype: torch.dtype
    ) -> None:
        self.cache, self.backbone, self.examples, self.depth, self.dtype = (
            cache,
            backbone,
            examples,
            depth,
            dtype,
        )
        self.pooled = depth == backbone.n_layers
        self.tokens = token_counts(backbone, examples)
        self.sizes = np.ones_like(self.tokens) if self.pooled else self.tokens
        self._whole: _Table | None = None
        self._held: _Table | None = None
        every = np.arange(len(self.tokens))
        if self._bytes(every) <= cache.room_bytes:
            self._whole = _Table(every, self.sizes, backbone)

    @property
    def keeps_all(self) -> bool:
        """Whether the whole data set's outputs are kept."""
        return self._whole is not None

    @property
    def used_bytes(self) -> int:
        """Memory of the outputs that are kept now."""
        return sum(self._bytes(table.rows) for table in (self._whole, self._held) if table)

    def arithmetic(self) -> contextlib.AbstractContextManager[object]:
        """Return the context in which the encoder runs in this store's arithmetic."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.backbone.device.type, self.dtype)

    @contextlib.contextmanager
    def holding(self, rows: np.ndarray) -> Iterator[None]:
        """Compute the outputs of ``rows`` now; keep them at least this long, if there is room."""
        distinct = np.unique(rows)
        if self._whole:
            self._fill(self._whole, distinct)
        elif self._bytes(distinct) <= self.cache.room_bytes:
            self._held = self._filled(distinct)
        try:
            yield
        finally:
            self._held = None

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
        hidden = memory[self.backbone.tensor(index.ravel())].view(len(rows), longest, -1)
        return hidden, None if real.all() else self.backbone.tensor(real)

    def features(self, rows: np.ndarray) -> Tensor:
        """Return pooled features, (n, d), of ``rows`` (n,)."""
        memory, starts = self._rows(rows)
        return memory[self.backbone.tensor(starts)]

    def _bytes(self, rows: np.ndarray) -> int:
        return int(self.sizes[rows].sum()) * self.backbone.width * 4

    def _rows(self, rows: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Return a table of token rows and where each example begins in it."""
        table = self._held or self._whole
        if table is None:
            table = self._filled(np.unique(rows))
        elif table is self._whole:
            self._fill(table, np.unique(rows))
        return table.memory, table.starts[np.searchsorted(table.rows, rows)]

    def _filled(self, distinct: np.ndarray) -> _Table:
        table = _Table(distinct, self.sizes[distinct], self.backbone)
        self._fill(table, distinct)
        return table

    @torch.no_grad()
    def _fill(self, table: _Table, distinct: np.ndarray) -> None:
        """Compute what ``table`` lacks of some of its examples, in groups of one length."""
        lacking = distinct[~table.filled[np.searchsorted(table.rows, distinct)]]
        for length in np.unique(self.tokens[lacking]).tolist():
            same = lacking[self.tokens[lacking] == length]
            step = self._group(length)
            for begin in range(0, len(same), step):
                part = same[begin : begin + step]
                at = np.searchsorted(table.rows, part)
                index = (table.starts[at][:, None] + np.arange(self.sizes[part[0]])).ravel()
                table.memory[self.backbone.tensor(index)] = self._run(part, length).reshape(len(index), -1)
                table.filled[at] = True

    def _group(self, length: int) -> int:
        """Return how many examples of a length are run together, always."""
        return -(-min(group_tokens(self.backbone.device), self.backbone.block_tokens) // length)

    def _run(self, rows: np.ndarray, length: int) -> Tensor:
        """Return the outputs of at most a group of examples of one length, beside repeats that fill it up."""
        filled = np.resize(rows, self._group(length))
        below = self.cache.below(self) if self.pooled else None
        with self.arithmetic():
            if below is None:
                batch = dict(self.examples.batch(filled))
                batch.pop("attention_mask", None)  # nothing is padded
                hidden = self.backbone.prefix(batch, self.depth)
            else:
                hidden = self.backbone.suffix(below.hidden(filled)[0], None, below.depth)
            if hidden.shape[1] != length:
                raise InputError(
                    f"examples of length {length} came as batches of {hidden.shape[1]} tokens",
                    mend="let batch() pad to the longest of the rows it is given",
                )
            if self.pooled:
                hidden = self.backbone.pool(hidden, None)
        return hidden[: len(rows)].float()


def token_counts(backbone: Backbone, examples: Examples) -> np.ndarray:
    """Return the (N,) tokens that each example has inside the encoder."""
    if backbone.kind == "image":
        return np.full(len(examples.labels), backbone.image_tokens, dtype=np.int64)
    tokens = np.asarray(examples.lengths, dtype=np.int64)
    most = backbone.most_tokens
    if len(tokens) and (tokens.min() < 1 or tokens.max() > most):
        raise InputError(
            f"texts have {tokens.min()} to {tokens.max()} tokens; the backbone takes 1 to {most}",
            where=backbone.path,
            mend="encode them with fewer tokens each (max_tokens)",
        )
    return tokens
