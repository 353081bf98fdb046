"""Symmetric matrices by their lower triangle: half the work of general ones.

BLAS ``syrk`` makes one triangle of a square, LAPACK ``sygst`` one of a congruence, and ``syevr`` only those
eigenvectors that are wanted. What lies above the diagonal of a matrix here is never read. All are (k, k)
float64.
"""

from __future__ import annotations

import torch
from scipy.linalg import eigh
from scipy.linalg.blas import dsymm, dsyrk, dtrmm
from scipy.linalg.lapack import dpotrf, dsygst
from torch import Tensor

__all__ = ["cholesky", "congruent", "largest_eigen", "lower_times", "square", "times"]


def square(X: Tensor) -> Tensor:
    """Return X·Xᵀ of X (k, n)."""
    values = X.numpy()
    if values.flags.c_contiguous:  # BLAS reads columns: to it, this is Xᵀ
        return torch.from_numpy(dsyrk(1.0, values.T, trans=1, lower=1))
    return torch.from_numpy(dsyrk(1.0, values, lower=1))


def cholesky(matrix: Tensor) -> Tensor | None:
    """Return the lower triangular L with L·Lᵀ equal to the matrix; nothing if it is not positive definite."""
    root, failed = dpotrf(matrix.numpy(), lower=1, clean=1)
    return None if failed else torch.from_numpy(root)


def congruent(root: Tensor, matrix: Tensor) -> Tensor:
    """Return Lᵀ·M·L of a lower triangular L."""
    found, _ = dsygst(matrix.numpy(), root.numpy(), itype=2, lower=1)
    return torch.from_numpy(found)


def largest_eigen(matrix: Tensor, most: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the largest eigenvalues (j,), descending, and their vectors (k, j).

    Args:
        matrix: The matrix; its memory is used up.
        most: How many are wanted; all if not given, or if there are no more.
    """
    k = len(matrix)
    wanted = None if most is None or most >= k else [k - most, k - 1]
    values, vectors = eigh(matrix.numpy(), subset_by_index=wanted, overwrite_a=True, check_finite=False)
    return torch.from_numpy(values[::-1].copy()), torch.from_numpy(vectors[:, ::-1].copy())


def lower_times(root: Tensor, X: Tensor) -> Tensor:
    """Return L·X of a lower triangular L and X (k, j)."""
    return torch.from_numpy(dtrmm(1.0, root.numpy(), X.numpy(), lower=1))


def times(matrix: Tensor, X: Tensor) -> Tensor:
    """Return M·X of X (k, j)."""
    return torch.from_numpy(dsymm(1.0, matrix.numpy(), X.numpy(), lower=1))
