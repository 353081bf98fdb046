"""Adapters that a test makes up or writes out by hand, and the dense matrices they stand for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fleetlora.lora import Adapter, AdapterLayout, init_adapter
from tests.lora.reference import trained_like

LAYOUT = AdapterLayout({"low.query": (12, 9), "low.dense": (20, 12), "top.query": (9, 12)}, 12, 4, alpha=16.0)


def update(rank: int, seed: int, alpha: float = 16.0) -> Adapter:
    """Return an adapter of ``LAYOUT`` whose factors and head are all random."""
    layout = AdapterLayout(LAYOUT.shapes, LAYOUT.width, LAYOUT.n_classes, alpha)
    return trained_like(init_adapter(layout, rank, seed), seed)


def product(adapter: Adapter, name: str) -> Tensor:
    """Return s·B·A of one layer in float64."""
    return (adapter.alpha / adapter.rank) * adapter.B[name].double() @ adapter.A[name].double()


def dense(adapters: Sequence[Adapter], weights: Sequence[float], name: str) -> Tensor:
    """Return the weighted mean of one layer's products."""
    total = sum(weights)
    return sum(
        (w / total * product(a, name) for a, w in zip(adapters, weights, strict=True)), torch.zeros(())
    )


def assert_same_product(adapter: Adapter, expected: dict[str, Tensor]) -> None:
    """Compare every layer's product."""
    for name in LAYOUT.shapes:
        torch.testing.assert_close(product(adapter, name), expected[name].double(), atol=1e-5, rtol=1e-5)


def products(adapter: Adapter) -> dict[str, Tensor]:
    """Return the products of all layers."""
    return {name: product(adapter, name) for name in adapter.names}


Rows = Sequence[Sequence[float]]


def by_hand(A: Rows, B: Rows, alpha: float = 2.0, bias: float = 0.0, name: str = "w") -> Adapter:
    """Return an adapter of one layer from its written-out factors, with a head of one class."""
    head = {"weight": torch.zeros(1, 2), "bias": torch.tensor([bias])}
    return Adapter(len(A), alpha, {name: torch.tensor(A).float()}, {name: torch.tensor(B).float()}, head)


def is_matrix(found: Tensor, rows: Rows) -> None:
    """Compare a matrix with its written-out rows."""
    torch.testing.assert_close(found.double(), torch.tensor(rows, dtype=torch.float64), atol=1e-6, rtol=1e-6)
