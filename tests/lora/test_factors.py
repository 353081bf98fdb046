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
@settings(max_examples=40)
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


def spectrum(values: torch.Tensor, m: int = 60, n: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    """Return factors of a product with these singular values, the columns mixed so that they do not show."""
    k = len(values)
    mix = draw(k, k, k, seed=3)[0]
    left, _ = torch.linalg.qr(draw(m, 1, k, seed=1)[0])
    right, _ = torch.linalg.qr(draw(n, 1, k, seed=2)[0])
    return (left * values.sqrt()) @ mix, torch.linalg.solve(mix, values.sqrt()[:, None] * right.T)


@pytest.mark.parametrize("smallest", [1e-1, 1e-3, 1e-5, 3e-7])
@pytest.mark.parametrize("most", [None, 12])
def test_small_components_keep_the_digits_of_float32(smallest: float, most: int | None) -> None:
    values = torch.logspace(0, float(torch.tensor(smallest).log10()), 20, dtype=torch.float64)
    found = components(*spectrum(values), most)
    kept = most or 20
    assert found.rank == kept
    torch.testing.assert_close(found.S, values[:kept], rtol=1e-7, atol=0)
    eye = torch.eye(kept, dtype=torch.float64)
    torch.testing.assert_close(found.U.T @ found.U, eye, rtol=0, atol=1e-7)
    torch.testing.assert_close(found.Vt @ found.Vt.T, eye, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("m", "n"), [(60, 50), (50, 60)])
@pytest.mark.parametrize("rank", [7, 30, 80])
def test_squaring_costs_the_product_less_than_its_inputs_were_rounded_by(m: int, n: int, rank: int) -> None:
    B, A = (factor.float() for factor in draw(m, n, rank))
    dense = B.double() @ A.double()
    found = components(B, A)
    error = torch.linalg.norm(found.U * found.S @ found.Vt - dense)
    assert error < 1e-10 * torch.linalg.norm(B) * torch.linalg.norm(A)


@pytest.mark.parametrize("copies", [3, 12])
def test_dependent_stacks_have_no_component_more_than_their_rank(copies: int) -> None:
    B, A = (factor.float() for factor in draw(60, 50, 5))
    B, A = torch.cat([B, 0.5 * B] * copies, 1), torch.cat([A, A] * copies, 0)
    found = components(torch.nn.functional.pad(B, (0, 2)), torch.nn.functional.pad(A, (0, 0, 0, 2)))
    assert found.rank == 5
    torch.testing.assert_close(found.U * found.S @ found.Vt, B.double() @ A.double())


def test_products_that_cancel_are_found_without_squaring() -> None:
    B, A = draw(60, 50, 5)
    b, a = draw(60, 50, 2, seed=1)
    found = components(torch.cat([B, B, 1e-5 * b], 1), torch.cat([A, -A, a], 0))
    singular = torch.linalg.svdvals(1e-5 * b @ a)[:2]
    torch.testing.assert_close(found.S[:2], singular, rtol=1e-7, atol=0)
