"""HetLoRA: each vehicle its own rank; factors are cut for it, zero-padded and averaged by their weight.

    down      B[:, :r], A[:r]                                   of the model's factors
    train     loss + lambda · sum over layers of |B[:, k:r]|·|A[k:r]|,   k = ranks that are not the tail
    prune     r ← k where the tail's norm after training is below that before
    merge     A = sum of w_i · pad(A_i),  B = sum of w_i · pad(B_i),   w_i ∝ |s_i · B_i · A_i|

Cho et al. 2024, "Heterogeneous LoRA for Federated Fine-tuning of On-Device Foundation Models",
arXiv 2401.06432. All norms are Frobenius norms over all layers. The paper's k = gamma·r would leave ranks
below 1/(1 − gamma) without a tail, never to be pruned: here the tail has at least one rank, unless gamma is
1, and one rank always stays. B carries the scale alpha/r where ranks change (:mod:`fleetlora.lora.averaged`).
The cloud weighs the RSUs' models as they weigh updates; heads are always averaged by samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from fleetlora.lora.adapter import Adapter
from fleetlora.lora.aggregation import LocalTerms, average_heads, check_finite, shares
from fleetlora.lora.averaged import AveragedRule, at_rank, average_of
from fleetlora.lora.factors import square_norm
from fleetlora.lora.rules import AGGREGATION_RULES
from fleetlora.settings import quantity

__all__ = ["HetLora"]


@AGGREGATION_RULES.register("hetlora")
class HetLora(AveragedRule):
    """Factors of different ranks, averaged apart by the size of their products, with self-pruning.

    Args:
        gamma: Part of the ranks that is not the tail; 1 means no tail: no penalty, no pruning.
        penalty: Weight lambda of the tail's norm in the loss.
        weighting: By the updates' norms as in the paper, or by samples.
        bytes_per_param: Bytes of a parameter on the wire.
    """

    gamma: float = quantity(0.99, "1", "part of a vehicle's ranks that pruning keeps; 1 is off", gt=0, le=1)
    penalty: float = quantity(
        5e-3, "1", "weight of the tail's norm in a vehicle's loss; 0 is off", "chosen small", ge=0
    )
    weighting: Literal["norm", "samples"] = quantity(
        "norm", "1", "weigh updates by their Frobenius norm, or by their samples", "arXiv 2401.06432"
    )

    def terms(self, rank: int) -> LocalTerms:
        """Return training under the tail's penalty."""
        if self.gamma == 1 or self.penalty == 0:
            return LocalTerms()
        return LocalTerms(penalty=lambda A, B, ranks: self.penalty * self._tail(A, B, ranks))

    def collect(self, received: Adapter, trained: Adapter) -> Adapter:
        """Return the trained adapter, without its tail if training has made that smaller."""
        if self._tail_of(trained) < self._tail_of(received):
            return at_rank(trained, int(self._kept(torch.tensor(trained.rank))))
        return trained

    def merge(self, updates: Sequence[Adapter], weights: Sequence[float], model: Adapter) -> Adapter:
        """Return the averages of the zero-padded factors, by norm or samples, and of heads by samples.

        Updates that are all zero have no norms to weigh them; samples do then.
        """
        return self.combine(updates, weights)

    def combine(
        self, models: Sequence[Adapter], weights: Sequence[float], before: Adapter | None = None
    ) -> Adapter:
        """Return the same of the RSUs' models: of RSUs with one update each, what one merge of all makes."""
        parts = shares(weights, len(models))
        check_finite(models)
        norms = [_norm(model) for model in models]
        by_norm = self.weighting == "norm" and any(norms)
        mine = shares(norms, len(models)) if by_norm else parts
        return average_of(models, mine, average_heads(models, parts))

    def _kept(self, ranks: Tensor) -> Tensor:
        """Return the ranks that are not the tail: max(1, min(r − 1, ceil(gamma·r))), r for gamma 1."""
        if self.gamma == 1:
            return ranks
        whole = torch.ceil(self.gamma * ranks.double() - 1e-9).long()  # 0.55 · 100 is a little over 55
        return torch.minimum(whole, ranks - 1).clamp(min=1)

    def _tail(self, A: Mapping[str, Tensor], B: Mapping[str, Tensor], ranks: Tensor) -> Tensor:
        """Return the norms of the tails, summed over layers: (C,) of A (C, R, n), B (C, m, R), ranks (C,)."""
        total = torch.zeros(len(ranks), device=ranks.device)
        for name, rows in A.items():
            place = torch.arange(rows.shape[1], device=ranks.device)
            tail = (place >= self._kept(ranks)[:, None]) & (place < ranks[:, None])  # (C, R)
            right = torch.linalg.vector_norm(rows * tail[:, :, None], dim=(1, 2))
            left = torch.linalg.vector_norm(B[name] * tail[:, None, :], dim=(1, 2))
            total = total + left * right
        return total

    def _tail_of(self, adapter: Adapter) -> float:
        A = {name: value[None] for name, value in adapter.A.items()}
        B = {name: value[None] for name, value in adapter.B.items()}
        return float(self._tail(A, B, torch.tensor([adapter.rank])))


def _norm(adapter: Adapter) -> float:
    """Return the Frobenius norm of s·B·A over all layers."""
    squares = sum(square_norm(adapter.B[name], adapter.A[name]) for name in adapter.names)
    return float(adapter.scale * squares**0.5)
