"""Symmetric matrices by one triangle are the whole ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fleetlora.lora.symmetric import cholesky, congruent, largest_eigen, lower_times, square, times


def mirrored(matrix: Tensor) -> Tensor:
    """Return the whole of a matrix of which the lower triangle counts."""
    return times(matrix, torch.eye(len(matrix), dtype=matrix.dtype))


def _drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("transposed", [False, True])
def test_a_square_is_that_of_the_rows_however_they_lie(transposed: bool) -> None:
    X = _drawn(30, 7).T if transposed else _drawn(7, 30)
    torch.testing.assert_close(mirrored(square(X)), X @ X.T)


def test_a_root_gives_the_matrix_back_and_there_is_none_of_a_dependent_stack() -> None:
    X = _drawn(6, 20)
    root = cholesky(square(X))
    assert root is not None
    assert torch.equal(root, root.tril())
    torch.testing.assert_close(root @ root.T, X @ X.T)
    assert cholesky(square(torch.zeros(3, 4, dtype=torch.float64))) is None


def test_a_triangle_times_columns_is_the_product() -> None:
    root, X = _drawn(6, 6).tril(), _drawn(6, 3)
    torch.testing.assert_close(lower_times(root, X), root @ X)


def test_a_congruence_is_the_product_of_three() -> None:
    X, M = _drawn(6, 20), _drawn(6, 9)
    root = cholesky(square(X))
    assert root is not None
    torch.testing.assert_close(mirrored(congruent(root, square(M))), root.T @ (M @ M.T) @ root)


@pytest.mark.parametrize("most", [None, 1, 3, 8, 20])
def test_eigenvalues_come_largest_first_with_their_vectors(most: int | None) -> None:
    X = _drawn(8, 20)
    values, vectors = largest_eigen(square(X), most)
    assert len(values) == min(8, most or 8)
    torch.testing.assert_close(values, torch.linalg.eigvalsh(X @ X.T).flip(0)[:most])
    torch.testing.assert_close(X @ (X.T @ vectors), vectors * values)


def test_what_lies_above_the_diagonal_is_not_read() -> None:
    lower = square(_drawn(5, 9))
    spoiled = lower + torch.full_like(lower, 1e9).triu(1)
    assert torch.equal(largest_eigen(spoiled.clone(), 2)[0], largest_eigen(lower.clone(), 2)[0])
    assert torch.equal(mirrored(spoiled), mirrored(lower))
