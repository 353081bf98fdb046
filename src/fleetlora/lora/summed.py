"""Rules whose model is a sum of products, kept as its singular components, largest first.

    model = sum of w_i · s_i · B_i · A_i        (s_i = alpha_i / r_i)

A receiver of rank r gets the r largest components, which is the best approximation of that rank. What is
summed with which weights, and how the sum is decomposed, is what such rules differ in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from fleetlora.lora import factors
from fleetlora.lora.adapter import Adapter
from fleetlora.lora.aggregation import average_heads, check_finite, layer_names, shares
from fleetlora.lora.factors import Components, Weighted
from fleetlora.lora.plain import PlainRule

__all__ = ["SummedRule", "products_of"]


class SummedRule(PlainRule):
    """The model holds the components of a sum of products, split evenly between B and A."""

    @property
    def by_row(self) -> bool:
        """Whether a row of the head is averaged over those alone that changed it."""
        return False

    def start(self, init: Adapter) -> Adapter:
        """Return ``init`` in the rule's own form."""
        return self.combine([init], [1.0])

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
            kept = min(rank, _live(model, name))
            if kept:
                root = (model.scale / init.scale) ** 0.5
                A[name][:kept] = root * model.A[name][:kept]
                B[name][:, :kept] = root * model.B[name][:, :kept]
        return Adapter(rank, init.alpha, A, B, {k: v.clone() for k, v in model.head.items()})

    def merge(self, updates: Sequence[Adapter], weights: Sequence[float], model: Adapter) -> Adapter:
        """Return the weighted sum of the updates' products; the old model is part of each update."""
        return self.combine(updates, weights, model)

    def combine(
        self, models: Sequence[Adapter], weights: Sequence[float], before: Adapter | None = None
    ) -> Adapter:
        """Return the weighted sum of products as singular components, and the head."""
        parts = shares(weights, len(models))
        check_finite(models)
        layers = {name: products_of(models, parts, name) for name in layer_names(models)}
        return self.summed(layers, models[0].alpha, self.head(models, parts, before))

    def head(
        self, adapters: Sequence[Adapter], parts: Sequence[float], before: Adapter | None
    ) -> dict[str, Tensor]:
        """Return the average of the adapters' heads; ``before`` is the model that they began from."""
        return average_heads(adapters, parts)

    def summed(
        self, layers: Mapping[str, Sequence[Weighted]], alpha: float, head: dict[str, Tensor]
    ) -> Adapter:
        """Return the model whose every layer is the sum of its weighted products."""
        return _from_components({n: self.add_up(products) for n, products in layers.items()}, alpha, head)

    def add_up(self, products: Sequence[Weighted]) -> Components:
        """Return the components of a weighted sum, from its stacked factors."""
        return factors.components(*factors.stack(products))


def products_of(adapters: Iterable[Adapter], parts: Iterable[float], name: str) -> list[Weighted]:
    """Return one layer's products, each weighted with its part and its own alpha/rank; (p·s, B, A) each."""
    return [
        (part * adapter.scale, adapter.B[name], adapter.A[name])
        for part, adapter in zip(parts, adapters, strict=True)
        if name in adapter.A
    ]


def _live(model: Adapter, name: str) -> int:
    """Return how many leading components of a layer are not zero padding."""
    if name not in model.B:
        return 0
    return int(model.B[name].any(dim=0).sum())


def _from_components(sums: dict[str, Components], alpha: float, head: dict[str, Tensor]) -> Adapter:
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
