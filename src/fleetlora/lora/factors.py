"""Exact algebra on low-rank products: sums, truncation and splitting without the dense matrix.

A product is a pair (B, A) that stands for B·A. A weighted sum of products is the product of the stacks, and
the Gram matrices of both stacks bring its singular value decomposition down to the size of the stack:

    L Lᵀ = BᵀB,   Lᵀ (A Aᵀ) L = Y S² Yᵀ   =>   Vᵀ = S⁻¹ (L Y)ᵀ A,   U = B (A Aᵀ) (L Y) S⁻²,   B·A = U S Vᵀ

Squaring halves the digits: zeros come out at some 1e-9 of |B|·|A|, below ``DEAD``, but a live component that
is wanted and lies below ``SQUARABLE`` of it would lose too many. Then factors are taken that square nothing:

    Q_b R_b = B,  Q_a R_a = Aᵀ,  R_b R_aᵀ = U' S V'ᵀ   =>   B·A = (Q_b U') S (Q_a V')ᵀ

Stacks wider than the layer itself hold more numbers than the dense matrix; only those are multiplied out,
and squared at the shorter side. Everything is computed in float64 and returned so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fleetlora.lora.symmetric import cholesky, congruent, largest_eigen, lower_times, square, times

__all__ = ["Components", "Weighted", "components", "dense_components", "square_norm", "stack"]

#: A product with its weight: (weight, B (m, r), A (r, n)).
Weighted = tuple[float, Tensor, Tensor]

#: Singular values below this share of the largest are rounding noise of float32 inputs.
DEAD = 1e-7

#: Singular values above this share of |B|·|A| keep, when squared, all digits that float32 holds.
SQUARABLE = 1e-4


def stack(products: Sequence[Weighted]) -> tuple[Tensor, Tensor]:
    """Return factors of the weighted sum of products, their ranks added up.

    Args:
        products: Triples (weight, B (m, r_i), A (r_i, n)).

    Returns:
        (B (m, sum r_i), A (sum r_i, n)), float64, with B·A = sum of weight·B_i·A_i; B lies column by column.
    """
    _, first, last = products[0]
    columns = sum(B.shape[1] for _, B, _ in products)
    # numpy asks for huge pages, which torch does not: more than half of the time went into page faults
    left, right = (torch.from_numpy(np.empty((columns, side))) for side in (len(first), last.shape[1]))
    start = 0
    for weight, B, A in products:
        rows = slice(start, start := start + B.shape[1])
        left[rows], right[rows] = B.T, A
        left[rows] *= weight  # while it is in the cache
    return left.T, right


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


def components(B: Tensor, A: Tensor, most: int | None = None) -> Components:
    """Return the singular components of B·A.

    The product of what is returned differs from that of the ``most`` largest by less than 1e-10 of |B|·|A|
    (Frobenius norms), less than float32 inputs are rounded by; U and Vt are orthonormal to 1e-7.

    Args:
        B: (m, r).
        A: (r, n).
        most: How many of the largest are wanted; all if not given.
    """
    left, right = B.double(), A.double()
    shortest = min(left.shape[0], right.shape[1])
    if left.shape[1] < shortest:
        found = _squared(left, right, most) or _by_qr(left, right)
    else:
        dense = left @ right
        found = _squared_dense(dense, most) or dense_components(dense)
    return found if most is None else found.truncate(most)


def _squared(left: Tensor, right: Tensor, most: int | None) -> Components | None:
    """Return the largest components by way of the Gram matrices; nothing if they are too small for that."""
    gram, other = square(left.T), square(right)
    norm = float((gram.trace() * other.trace()).sqrt())
    root = cholesky(gram)
    if root is None:  # the stack is dependent
        values, vectors = largest_eigen(gram)
        alive = values > len(values) * torch.finfo(values.dtype).eps * values[0]
        root = vectors[:, alive] * values[alive].sqrt()
        core, triangular = root.T @ times(other, root), False
    else:
        core, triangular = congruent(root, other), True
    found = _largest(core, most, norm)
    if found is None:
        return None
    S, Y = found
    V = lower_times(root, Y) if triangular else root @ Y
    Ut = (times(other, V) / S**2).T @ left.T
    return Components(Ut.T, S, (V / S).T @ right)


def _squared_dense(matrix: Tensor, most: int | None) -> Components | None:
    """Return the largest components of a dense matrix by way of its square at the shorter side."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    found = _largest(square(tall.T), most, float(torch.linalg.norm(tall)))
    if found is None:
        return None
    S, V = found
    U = tall @ V / S
    return Components(U, S, V.T) if tall is matrix else Components(V, S, U.T)


def _largest(squared: Tensor, most: int | None, norm: float) -> tuple[Tensor, Tensor] | None:
    """Return the largest live singular values, descending, and their vectors (k, live), from their squares.

    Nothing is returned if one of them lies below ``SQUARABLE`` of ``norm``.
    """
    values, vectors = largest_eigen(squared, most)
    S = values.clamp_min(0.0).sqrt()
    live = _live(S)
    if norm and not (live and S[live - 1] > SQUARABLE * norm):
        return None
    return S[:live], vectors[:, :live]


def _live(S: Tensor) -> int:
    """Return how many of the singular values, descending, are more than noise."""
    return int(torch.count_nonzero(S / S[0] > DEAD)) if S.any() else 0


def _by_qr(left: Tensor, right: Tensor) -> Components:
    q_left, r_left = torch.linalg.qr(left)
    q_right, r_right = torch.linalg.qr(right.T)
    core = dense_components(r_left @ r_right.T)
    return Components(q_left @ core.U, core.S, core.Vt @ q_right.T)


def dense_components(matrix: Tensor) -> Components:
    """Return the singular components of a dense matrix (m, n)."""
    U, S, Vt = torch.linalg.svd(matrix.double(), full_matrices=False)
    live = _live(S)
    return Components(U[:, :live], S[:live], Vt[:live])


def square_norm(B: Tensor, A: Tensor) -> float:
    """Return the squared Frobenius norm of B·A: the sum over all entries of (BᵀB) ∘ (AAᵀ), both (r, r)."""
    left, right = B.double(), A.double()
    return float(((left.T @ left) * (right @ right.T)).sum())
