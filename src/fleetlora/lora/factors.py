"""Exact algebra on low-rank products: sums, truncation and splitting without the dense matrix.

A product is a pair (B, A) that stands for B·A. A weighted sum of products is the product of the stacks,
and QR of both stacks brings its singular value decomposition down to a small core:

    Q_b R_b = B,  Q_a R_a = Aᵀ,  R_b R_aᵀ = U S Vᵀ   =>   B·A = (Q_b U) S (Q_a V)ᵀ

Stacks wider than the layer itself hold more numbers than the dense matrix; only those are multiplied out.
Everything is computed in float64 and returned so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Components", "Weighted", "components", "dense_components", "square_norm", "stack"]

#: A product with its weight: (weight, B (m, r), A (r, n)).
Weighted = tuple[float, Tensor, Tensor]

#: Singular values below this share of the largest are rounding noise of float32 inputs.
DEAD = 1e-7


def stack(products: Sequence[Weighted]) -> tuple[Tensor, Tensor]:
    """Return factors of the weighted sum of products, their ranks added up.

    Args:
        products: Triples (weight, B (m, r_i), A (r_i, n)).

    Returns:
        (B (m, sum r_i), A (sum r_i, n)), float64, with B·A = sum of weight·B_i·A_i.
    """
    left = torch.cat([weight * B.double() for weight, B, _ in products], dim=1)
    right = torch.cat([A.double() for _, _, A in products], dim=0)
    return left, right


@dataclass(frozen=True)
class Components:
    """The singular components of a product, largest first, without its zero ones.

    Args:
        U: (m, k) orthonormal columns.
        S: (k,) positive singular values, descending.
        Vt: (k, n) orthonormal rows.
    """

    U: Tensor
    S: Tensor
    Vt: Tensor

    @property
    def rank(self) -> int:
        """Number k of components."""
        return len(self.S)

    def truncate(self, rank: int) -> Components:
        """Keep the ``rank`` largest: the best approximation of that rank (Eckart–Young)."""
        return Components(self.U[:, :rank], self.S[:rank], self.Vt[:rank])

    def split(self, scale: float) -> tuple[Tensor, Tensor]:
        """Return balanced factors (B (m, k), A (k, n)) with scale·B·A equal to the product."""
        root = (self.S / scale).sqrt()
        return self.U * root, root[:, None] * self.Vt


def components(B: Tensor, A: Tensor) -> Components:
    """Return the singular components of B·A.

    Args:
        B: (m, r).
        A: (r, n).
    """
    if B.shape[1] > min(B.shape[0], A.shape[1]):
        return dense_components(B.double() @ A.double())
    q_left, r_left = torch.linalg.qr(B.double())
    q_right, r_right = torch.linalg.qr(A.double().T)
    core = dense_components(r_left @ r_right.T)
    return Components(q_left @ core.U, core.S, core.Vt @ q_right.T)


def dense_components(matrix: Tensor) -> Components:
    """Return the singular components of a dense matrix (m, n)."""
    U, S, Vt = torch.linalg.svd(matrix.double(), full_matrices=False)
    live = int(torch.count_nonzero(S / S.max() > DEAD)) if S.any() else 0
    return Components(U[:, :live], S[:live], Vt[:live])


def square_norm(B: Tensor, A: Tensor) -> float:
    """Return the squared Frobenius norm of B·A: the sum over all entries of (BᵀB) ∘ (AAᵀ), both (r, r)."""
    left, right = B.double(), A.double()
    return float(((left.T @ left) * (right @ right.T)).sum())
