"""Factor algebra against the dense matrices it never forms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlora.lora.factors import components, stack

SHAPES = [(12, 9), (9, 12), (7, 7)]


def draw(m: int, n: int, rank: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    B = torch.randn(m, rank, generator=generator, dtype=torch.float64)
    return B, torch.randn(rank, n, generator=generator, dtype=torch.float64)


@given(
    ranks=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_stack_is_the_weighted_sum_of_products(ranks: list[int], shape: tuple[int, int], seed: int) -> None:
    products = [(0.5 + i, *draw(*shape, rank, seed + i)) for i, rank in enumerate(ranks)]
    B, A = stack(products)
    assert B.shape[1] == A.shape[0] == sum(ranks)
    torch.testing.assert_close(B @ A, sum(w * (b @ a) for w, b, a in products))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [1, 5, 20])
def test_components_are_the_dense_svd(shape: tuple[int, int], rank: int) -> None:
    B, A = draw(*shape, rank)
    found = components(B, A)
    dense = B @ A
    singular = torch.linalg.svdvals(dense)[: min(rank, *shape)]
    torch.testing.assert_close(found.S, singular)
    torch.testing.assert_close(found.U * found.S @ found.Vt, dense)
    torch.testing.assert_close(found.U.T @ found.U, torch.eye(found.rank, dtype=torch.float64))
    torch.testing.assert_close(found.Vt @ found.Vt.T, torch.eye(found.rank, dtype=torch.float64))


@pytest.mark.parametrize("kept", [1, 2, 4])
def test_truncation_is_the_best_approximation_of_its_rank(kept: int) -> None:
    B, A = draw(12, 9, 6)
    found = components(B, A)
    cut = found.truncate(kept)
    error = torch.linalg.norm(B @ A - cut.U * cut.S @ cut.Vt)
    torch.testing.assert_close(error, torch.linalg.norm(torch.linalg.svdvals(B @ A)[kept:]))


def test_zero_components_are_left_out() -> None:
    B, A = draw(12, 9, 3)
    doubled = components(torch.cat([B, B], 1), torch.cat([A, A], 0))
    assert doubled.rank == 3
    assert components(torch.zeros(12, 4), torch.randn(4, 9)).rank == 0


@pytest.mark.parametrize("scale", [0.25, 16.0])
def test_split_is_balanced_and_takes_the_scale_out(scale: float) -> None:
    B, A = draw(12, 9, 4)
    left, right = components(B, A).split(scale)
    torch.testing.assert_close(scale * left @ right, B @ A)
    torch.testing.assert_close(left.norm(dim=0), right.norm(dim=1))
