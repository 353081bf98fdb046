"""The default rule: average the products s·B·A themselves, exactly, whatever the ranks.

    model = sum of p_i · s_i · B_i · A_i        (p_i: sample shares, s_i = alpha_i / r_i)

Averaging A and B apart would add cross terms between vehicles, and leaving s out would weigh a vehicle by
its rank. The sum is kept as stacked factors; QR of both stacks and a small SVD give its singular components
(:mod:`fleetlora.lora.factors`), of which every receiver gets as many as its rank holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fleetlora.lora import factors
from fleetlora.lora.adapter import Adapter, init_adapter
from fleetlora.lora.aggregation import (
    LocalTerms,
    Traffic,
    average_heads,
    check_finite,
    shares,
)
from fleetlora.lora.factors import Components
from fleetlora.lora.rules import AGGREGATION_RULES
from fleetlora.lora.sizes import AdapterLayout, adapter_bytes
from fleetlora.settings import Settings, quantity

__all__ = ["Product"]


@AGGREGATION_RULES.register("product")
class Product(Settings):
    """Exact aggregation of the products; the model holds its components, largest first, split evenly.

    Args:
        max_rank: Highest rank an RSU or the cloud keeps; ``None`` keeps all there is: the sum of the
            updates' ranks, at most the layers' smaller dimension.
        bytes_per_param: Bytes of a parameter on the wire.
    """

    max_rank: int | None = quantity(
        None, "1", "highest rank of the aggregated model; none loses nothing", ge=1
    )
    bytes_per_param: int = quantity(4, "bytes", "bytes of a parameter on the wire", "float32", ge=1)

    def start(self, init: Adapter) -> Adapter:
        """Return ``init`` in the rule's own form."""
        return self.combine([init], [1.0])

    def init(self, layout: AdapterLayout, rank: int, seed: int) -> Adapter:
        """Return PEFT's initialisation: A Kaiming-uniform, B zero."""
        return init_adapter(layout, rank, seed)

    def dispatch(self, model: Adapter, rank: int, init: Adapter) -> Adapter:
        """Return the best approximation of the model of ``rank``, padded with ``init`` to that rank.

        The model's columns are its singular components, so the leading ``rank`` of them are the best
        approximation; they are rescaled from the model's alpha/rank to the receiver's. Where the model has
        fewer, rows of ``init``'s A over zero columns of B change nothing yet but can train.
        """
        A: dict[str, Tensor] = {}
        B: dict[str, Tensor] = {}
        for name, rows in init.A.items():
            A[name], B[name] = rows.clone(), torch.zeros_like(init.B[name])
            kept = min(rank, live_components(model, name))
            if kept:
                root = (model.scale / init.scale) ** 0.5
                A[name][:kept] = root * model.A[name][:kept]
                B[name][:, :kept] = root * model.B[name][:, :kept]
        return Adapter(rank, init.alpha, A, B, {k: v.clone() for k, v in model.head.items()})

    def base(self, model: Adapter) -> Adapter | None:
        """Return nothing: the vehicle's adapter holds the whole model."""
        return None

    def terms(self, rank: int) -> LocalTerms:
        """Return plain training of both factors."""
        return LocalTerms()

    def collect(self, received: Adapter, trained: Adapter) -> Adapter:
        """Return the trained adapter as it is."""
        return trained

    def merge(self, updates: Sequence[Adapter], weights: Sequence[float], model: Adapter) -> Adapter:
        """Return the weighted sum of the updates' products; the old model is part of each update."""
        return self.combine(updates, weights)

    def combine(self, models: Sequence[Adapter], weights: Sequence[float]) -> Adapter:
        """Return the weighted sum of products as singular components, and the average head."""
        parts = shares(weights, len(models))
        check_finite(models)
        sums: dict[str, Components] = {}
        for name in dict.fromkeys(name for m in models for name in m.names):
            left, right = factors.stack(
                [
                    (p * m.scale, m.B[name], m.A[name])
                    for p, m in zip(parts, models, strict=True)
                    if name in m.A
                ]
            )
            total = factors.components(left, right)
            sums[name] = total if self.max_rank is None else total.truncate(self.max_rank)
        return from_components(sums, models[0].alpha, average_heads(models, parts))

    def traffic(self, layout: AdapterLayout, rank: int | np.ndarray, model: Adapter) -> Traffic:
        """Return the same bytes both ways: an adapter of the vehicle's rank."""
        size = adapter_bytes(layout, rank, self.bytes_per_param)
        return Traffic(size, size)


def live_components(model: Adapter, name: str) -> int:
    """Return how many leading components of a layer are not zero padding."""
    if name not in model.B:
        return 0
    return int(model.B[name].any(dim=0).sum())


def from_components(sums: dict[str, Components], alpha: float, head: dict[str, Tensor]) -> Adapter:
    """Return components as an adapter of one common rank, layers of lower rank padded with zeros."""
    rank = max([1, *(c.rank for c in sums.values())]) if sums else 0
    A: dict[str, Tensor] = {}
    B: dict[str, Tensor] = {}
    for name, part in sums.items():
        left, right = part.split(alpha / rank)
        spare = rank - part.rank
        B[name] = torch.nn.functional.pad(left, (0, spare)).float().contiguous()
        A[name] = torch.nn.functional.pad(right, (0, 0, 0, spare)).float().contiguous()
    return Adapter(rank, alpha, A, B, head)
