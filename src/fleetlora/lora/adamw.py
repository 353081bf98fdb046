"""AdamW for many vehicles at once: one stacked tensor per parameter, one row per vehicle.

Equal, row by row, to ``torch.optim.AdamW`` run for every vehicle alone (decoupled weight decay, Loshchilov
& Hutter 2019). Vehicles that stop early simply leave: a step touches the first ``active`` rows only.
Zero padding stays zero: its gradient is zero, hence both moments, hence the update; decay scales zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fleetlora.lora.spec import LocalTraining

__all__ = ["StackedAdamW", "clip_rows"]


@dataclass
class _Slot:
    value: Tensor
    rate: float
    mean: Tensor
    square: Tensor


class StackedAdamW:
    """AdamW over stacked parameters whose first axis is the vehicle.

    Args:
        parameters: Pairs (tensor (C, …), learning rate); updated in place.
        training: Betas, eps and weight decay.
    """

    def __init__(self, parameters: Sequence[tuple[Tensor, float]], training: LocalTraining) -> None:
        self.training = training
        self.steps = 0
        self.slots = [_Slot(p, rate, torch.zeros_like(p), torch.zeros_like(p)) for p, rate in parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], active: int) -> None:
        """Apply one step to the first ``active`` vehicles.

        Args:
            gradients: One (active, …) tensor per parameter, in their order.
            active: Vehicles that still train; must never grow.
        """
        self.steps += 1
        beta1, beta2 = self.training.betas
        correction1, correction2 = 1 - beta1**self.steps, 1 - beta2**self.steps
        for slot, gradient in zip(self.slots, gradients, strict=True):
            value, mean, square = slot.value[:active], slot.mean[:active], slot.square[:active]
            value.mul_(1 - slot.rate * self.training.weight_decay)
            mean.lerp_(gradient, 1 - beta1)
            square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            denominator = square.sqrt().div_(correction2**0.5).add_(self.training.eps)
            value.addcdiv_(mean, denominator, value=-slot.rate / correction1)


@torch.no_grad()
def clip_rows(gradients: Sequence[Tensor], limit: float) -> None:
    """Scale each vehicle's gradients, in place, to a joint norm of at most ``limit``.

    Args:
        gradients: Tensors (C, …).
        limit: Largest norm, as in ``torch.nn.utils.clip_grad_norm_``.
    """
    squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0)
    factor = (limit / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))
