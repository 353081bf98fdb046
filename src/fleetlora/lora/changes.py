"""What a vehicle changed of what it received, and how changes compare, from their factors alone.

The change of vehicle i in a layer is the product of its stacked factors, those it received subtracted:

    d_i = s_i·B_i·A_i − s·B·A = [s_i·B_i, −s·B] · [A_i; A]

Scalar products need no dense matrix: <d_i, d_j> = trace(A_iᵀ·B_iᵀ·B_j·A_j) is the sum over all entries of
(B_iᵀ·B_j) ∘ (A_i·A_jᵀ), small matrices of ranks; norms and distances follow from them. A head's change is
the plain difference of its tensors. Layers and head have no common scale, so they are kept as two parts.
Everything is computed in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fleetlora.lora.adapter import Adapter

__all__ = ["PARTS", "Change", "change_of", "grams", "heads_of", "norms", "owners", "square_distances"]

#: The parts of a change, in the order of every column of two.
PARTS = ("layers", "head")


@dataclass(frozen=True, eq=False)
class Change:
    """What one vehicle changed.

    Args:
        layers: Factors (B (m, k), A (k, n)) of every layer's change B·A, float64.
        head: Change of every tensor of the head, float64.
    """

    layers: Mapping[str, tuple[Tensor, Tensor]]
    head: Mapping[str, Tensor]


def change_of(received: Adapter, upload: Adapter) -> Change:
    """Return what ``upload`` changes of ``received``, which may be of another rank."""
    layers = {}
    for name in upload.names:
        left, right = [upload.scale * upload.B[name].double()], [upload.A[name].double()]
        if name in received.B and bool(received.B[name].any()):
            left.append(-received.scale * received.B[name].double())
            right.append(received.A[name].double())
        layers[name] = torch.cat(left, dim=1), torch.cat(right, dim=0)
    head = {name: value.double() - received.head[name].double() for name, value in upload.head.items()}
    return Change(layers, head)


def owners(changes: Sequence[Change], parts: Sequence[float]) -> dict[str, list[tuple[int, float]]]:
    """Return who holds each layer, with their shares among those who do: (number of the change, share).

    Every vehicle holds every layer, but for FedRA's. Shares that are all zero become equal ones.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for name in dict.fromkeys(name for change in changes for name in change.layers):
        held = [i for i, change in enumerate(changes) if name in change.layers]
        total = sum(parts[i] for i in held)
        found[name] = [(i, parts[i] / total if total else 1 / len(held)) for i in held]
    return found


def grams(changes: Sequence[Change]) -> Tensor:
    """Return the scalar products of n changes, (2, n, n): of the layers, and of the heads.

    A layer that a vehicle does not hold is unchanged by it.
    """
    n = len(changes)
    found = torch.zeros(len(PARTS), n, n, dtype=torch.float64)
    for name in dict.fromkeys(name for change in changes for name in change.layers):
        held = [i for i, change in enumerate(changes) if name in change.layers]
        left = torch.cat([changes[i].layers[name][0] for i in held], dim=1)
        right = torch.cat([changes[i].layers[name][1] for i in held], dim=0)
        of = torch.zeros(left.shape[1], n, dtype=torch.float64)  # which column is whose
        start = 0
        for i in held:
            stop = start + changes[i].layers[name][0].shape[1]
            of[start:stop, i] = 1.0
            start = stop
        found[0] += of.T @ ((left.T @ left) * (right @ right.T)) @ of
    heads = torch.stack([torch.cat([t.flatten() for t in change.head.values()]) for change in changes])
    found[1] = heads @ heads.T
    return found


def heads_of(changes: Sequence[Change]) -> dict[str, Tensor]:
    """Return n changes of every tensor of the head, (n, …)."""
    return {name: torch.stack([change.head[name] for change in changes]) for name in changes[0].head}


def norms(changes: Sequence[Change]) -> Tensor:
    """Return the Frobenius norms of n changes, (n, 2): over all layers, and of the head."""
    return torch.cat([grams([change]).reshape(1, -1) for change in changes]).clamp(min=0).sqrt()


def square_distances(changes: Sequence[Change]) -> Tensor:
    """Return the squared Frobenius distances of n changes, (2, n, n): of the layers, and of the heads."""
    found = grams(changes)
    own = torch.diagonal(found, dim1=1, dim2=2)
    return (own[:, :, None] + own[:, None, :] - 2 * found).clamp(min=0)
