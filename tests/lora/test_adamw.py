"""Stacked AdamW is torch.optim.AdamW, row by row."""

from __future__ import annotations

import pytest
import torch

from fleetlora.lora import LocalTraining
from fleetlora.lora.adamw import StackedAdamW, clip_rows

TRAINING = LocalTraining(weight_decay=0.1, betas=(0.8, 0.95), eps=1e-6)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_every_row_is_torch_adamw_though_rows_leave_early() -> None:
    steps = [5, 3, 3, 1]
    stacked = draw(4, 3, 6)
    start = stacked.clone()
    optimiser = StackedAdamW([(stacked, 0.05)], TRAINING)
    gradients = [draw(4, 3, 6, seed=10 + t) for t in range(5)]
    for t, gradient in enumerate(gradients):
        active = sum(count > t for count in steps)
        optimiser.step([gradient[:active]], active)
    for row, count in enumerate(steps):
        alone = start[row].clone().requires_grad_()
        reference = torch.optim.AdamW([alone], lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)
        for gradient in gradients[:count]:
            alone.grad = gradient[row].clone()
            reference.step()
        torch.testing.assert_close(stacked[row], alone.detach(), atol=1e-6, rtol=1e-6)


def test_zero_padding_stays_exactly_zero() -> None:
    value, gradient = draw(2, 4, 6), draw(2, 4, 6, seed=1)
    value[1, 2:], gradient[1, 2:] = 0.0, 0.0
    optimiser = StackedAdamW([(value, 0.05)], TRAINING)
    for _ in range(4):
        optimiser.step([gradient], 2)
    assert not value[1, 2:].any()
    assert value[1, :2].all()


def test_tensors_have_their_own_rates() -> None:
    one, two = torch.zeros(1, 2), torch.zeros(1, 2)
    StackedAdamW([(one, 0.1), (two, 0.2)], TRAINING).step([torch.ones(1, 2)] * 2, 1)
    torch.testing.assert_close(2 * one, two)


def test_each_row_is_clipped_to_its_own_norm_over_all_tensors() -> None:
    gradients = [draw(3, 2, 5), draw(3, 4, seed=1)]
    gradients = [g * torch.tensor([0.01, 1.0, 30.0]).view(3, *[1] * (g.dim() - 1)) for g in gradients]
    expected = [[g[row].clone() for g in gradients] for row in range(3)]
    clip_rows(gradients, 1.0)
    for row, alone in enumerate(expected):
        parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in alone]
        for parameter, gradient in zip(parameters, alone, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for ours, parameter in zip(gradients, parameters, strict=True):
            torch.testing.assert_close(ours[row], parameter.grad)


@pytest.mark.parametrize("betas", [(1.0, 0.9), (-0.1, 0.9)])
def test_decays_outside_the_unit_interval_are_refused(betas: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="both betas"):
        LocalTraining(betas=betas)
