"""Rules that average the factors A and B apart, and what ranks that differ need for that.

An adapter of rank r acts with alpha/r, so cutting or padding it changes its scale. B carries the difference:

    at rank R:  A' = A cut or padded,   B' = (s_r / s_R) · B cut or padded,   s_R·B'·A' = s_r·B·A

on what is kept, which leaves A, and with it the rows that all vehicles share at first, as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from fleetlora.lora.adapter import Adapter
from fleetlora.lora.aggregation import average_heads, check_finite, layer_names, shares
from fleetlora.lora.plain import PlainRule

__all__ = ["AveragedRule", "at_rank", "average_of"]


class AveragedRule(PlainRule):
    """The model holds averaged factors; a receiver gets their first rows and columns."""

    def start(self, init: Adapter) -> Adapter:
        """Return ``init``."""
        return init.copy()

    def dispatch(self, model: Adapter, rank: int, init: Adapter) -> Adapter:
        """Return the model's first ``rank`` rows of A and columns of B, padded with ``init``.

        A row of A that is all zero could never train again; it becomes ``init``'s, over a zero column of B.
        """
        A: dict[str, Tensor] = {}
        B: dict[str, Tensor] = {}
        received = at_rank(model, rank, init.alpha)
        for name, rows in init.A.items():
            A[name], B[name] = rows.clone(), torch.zeros_like(init.B[name])
            if name in received.A:
                alive = received.A[name].any(dim=1)
                A[name][alive] = received.A[name][alive]
                B[name][:, alive] = received.B[name][:, alive]
        return Adapter(rank, init.alpha, A, B, received.head)

    def combine(
        self, models: Sequence[Adapter], weights: Sequence[float], before: Adapter | None = None
    ) -> Adapter:
        """Return the weighted averages of the models' factors and heads."""
        parts = shares(weights, len(models))
        check_finite(models)
        return average_of(models, parts, average_heads(models, parts))


def at_rank(adapter: Adapter, rank: int, alpha: float | None = None) -> Adapter:
    """Return a copy cut or zero-padded to ``rank``, which acts on what is kept as before.

    Args:
        adapter: Factors A (r, n) and B (m, r).
        rank: The new rank.
        alpha: The new numerator; the adapter's own if not given.
    """
    numerator = adapter.alpha if alpha is None else alpha
    ratio = adapter.scale / (numerator / rank) if rank else 1.0
    spare = rank - adapter.rank  # negative cuts
    return Adapter(
        rank,
        numerator,
        {name: pad(A, (0, 0, 0, spare)) for name, A in adapter.A.items() if rank},
        {name: ratio * pad(B, (0, spare)) for name, B in adapter.B.items() if rank},
        {name: value.clone() for name, value in adapter.head.items()},
    )


def average_of(adapters: Sequence[Adapter], parts: Sequence[float], head: dict[str, Tensor]) -> Adapter:
    """Return the averages of A and of B, all zero-padded to the highest rank, under ``head``.

    Args:
        adapters: Ranks may differ; a layer that one lacks is zero for it.
        parts: Weights that sum to one.
        head: The result's head.
    """
    rank = max(adapter.rank for adapter in adapters)
    padded = [at_rank(adapter, rank, adapters[0].alpha) for adapter in adapters]
    A: dict[str, Tensor] = {}
    B: dict[str, Tensor] = {}
    for name in layer_names(padded):
        held = [(part, a) for part, a in zip(parts, padded, strict=True) if name in a.A]
        A[name] = torch.stack([part * a.A[name].double() for part, a in held]).sum(0).float()
        B[name] = torch.stack([part * a.B[name].double() for part, a in held]).sum(0).float()
    return Adapter(rank, adapters[0].alpha, A, B, head)
