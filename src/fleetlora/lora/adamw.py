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
from torch.optim.adamw import adamw

from fleetlora.lora.spec import LocalTraining

__all__ = ["StackedAdamW", "clip_rows"]


@dataclass
class _Slot:
    value: Tensor
    rate: float
    mean: Tensor
    square: Tensor
    steps: Tensor


class StackedAdamW:
    """AdamW over stacked parameters whose first axis is the vehicle, in torch's fused form.

    Args:
        parameters: Pairs (tensor (C, …), learning rate); updated in place.
        training: Betas, eps and weight decay.
    """

    def __init__(self, parameters: Sequence[tuple[Tensor, float]], training: LocalTraining) -> None:
        self.training = training
        self.slots = [
            _Slot(p, rate, torch.zeros_like(p), torch.zeros_like(p), torch.zeros((), device=p.device))
            for p, rate in parameters
        ]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], active: int) -> None:
        """Apply one step to the first ``active`` vehicles.

        Args:
            gradients: One contiguous (active, …) tensor per parameter, in their order.
            active: Vehicles that still train; must never grow.
        """
        beta1, beta2 = self.training.betas
        for slot, gradient in zip(self.slots, gradients, strict=True):
            adamw(
                [slot.value[:active]],
                [gradient],
                [slot.mean[:active]],
                [slot.square[:active]],
                [],
                [slot.steps],
                fused=True,
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=slot.rate,
                weight_decay=self.training.weight_decay,
                eps=self.training.eps,
                maximize=False,
            )


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
