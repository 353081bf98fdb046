"""The mean of the last models is the mean of their products and heads, over the part that is asked for."""

from __future__ import annotations

import pytest
import torch

from fleetlora.lora import Adapter, TailMean


def model(value: float, rank: int = 1) -> Adapter:
    """Return a model whose only layer is ``value`` times one matrix of rank one, and its head the same."""
    A, B = torch.zeros(rank, 3), torch.zeros(2, rank)
    A[0], B[:, 0] = torch.tensor([1.0, 2.0, 0.0]), value * torch.tensor([1.0, -1.0])
    head = {"weight": torch.full((2, 2), value), "bias": torch.zeros(2)}
    return Adapter(rank, float(rank), {"layer": A}, {"layer": B}, head)


def product(value: float) -> torch.Tensor:
    return value * torch.tensor([[1.0, 2.0, 0.0], [-1.0, -2.0, 0.0]])


@pytest.mark.parametrize(
    ("share", "mean"),
    [(0.0, 8.0), (0.25, 7.5), (0.5, 6.5), (1.0, 4.5)],
)
def test_the_mean_is_over_the_last_part_of_eight_models(share: float, mean: float) -> None:
    tail = TailMean(share)
    for value in range(1, 9):
        tail.add(model(float(value)))
    got = tail.mean(model(0.0))
    torch.testing.assert_close(got.delta("layer"), product(mean))
    torch.testing.assert_close(got.head["weight"], torch.full((2, 2), mean))


def test_before_the_first_sync_it_is_the_start() -> None:
    start = model(3.0)
    assert TailMean(0.5).mean(start) is start


def test_models_of_different_ranks_are_averaged_as_products() -> None:
    tail = TailMean(1.0)
    tail.add(model(2.0, rank=1))
    tail.add(model(4.0, rank=2))
    torch.testing.assert_close(tail.mean(model(0.0)).delta("layer"), product(3.0))


def test_heads_alone_are_averaged_too() -> None:
    tail = TailMean(1.0)
    for value in (1.0, 2.0):
        tail.add(model(value).head_only())
    got = tail.mean(model(0.0).head_only())
    assert got.rank <= 1
    torch.testing.assert_close(got.head["weight"], torch.full((2, 2), 1.5))
