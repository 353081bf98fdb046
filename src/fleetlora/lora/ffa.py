"""FFA-LoRA: A stays frozen at its initial value, which everyone shares; B trains and is averaged.

    B = sum of p_i · (s_i / s) · B_i,   s·B·A = sum of p_i · s_i · B_i · A        (exact, for A is common)

Sun et al. 2024, "Improving LoRA in Privacy-preserving Federated Learning", arXiv 2403.12313. A lower rank's
A is the first rows of a higher one's, so ranks may differ: B is padded with zero columns. Only B travels, in
both directions: A comes from the seed. The paper's equal ranks make s_i / s one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from fleetlora.errors import InputError
from fleetlora.lora.adapter import Adapter
from fleetlora.lora.aggregation import LocalTerms, Traffic
from fleetlora.lora.averaged import AveragedRule, at_rank
from fleetlora.lora.rules import AGGREGATION_RULES
from fleetlora.lora.sizes import HEADER_BYTES, AdapterLayout, adapter_bytes

__all__ = ["Ffa"]


@AGGREGATION_RULES.register("ffa")
class Ffa(AveragedRule):
    """A frozen and common, B averaged.

    Args:
        bytes_per_param: Bytes of a parameter on the wire.
    """

    def terms(self, rank: int) -> LocalTerms:
        """Return training of B alone."""
        return LocalTerms(train_a=False)

    def merge(self, updates: Sequence[Adapter], weights: Sequence[float], model: Adapter) -> Adapter:
        """Return the weighted average of the updates' B over the A that all of them share."""
        whole = at_rank(self.combine(updates, weights), max(model.rank, *(u.rank for u in updates)))
        return replace(whole, A=_common_a([model, *updates]))

    def combine(
        self, models: Sequence[Adapter], weights: Sequence[float], before: Adapter | None = None
    ) -> Adapter:
        """Return the weighted average of the models' B over the A that all of them share."""
        return replace(super().combine(models, weights), A=_common_a(models))

    def traffic(self, layout: AdapterLayout, rank: int | np.ndarray, model: Adapter) -> Traffic:
        """Return the same bytes both ways: B of the vehicle's rank and the head."""
        outputs = sum(m for m, _ in layout.shapes.values())
        size = adapter_bytes(layout, rank, self.bytes_per_param, per_rank=outputs)
        return Traffic(size, size)

    def model_bytes(self, model: Adapter) -> int:
        """Return the bytes of a model's B and head."""
        parameters = sum(value.numel() for value in (*model.B.values(), *model.head.values()))
        return parameters * self.bytes_per_param + HEADER_BYTES


def _common_a(adapters: Sequence[Adapter]) -> dict[str, torch.Tensor]:
    """Return a copy of the longest A of every layer, of which all others must be the first rows.

    Raises:
        InputError: An adapter has another A.
    """
    longest: dict[str, torch.Tensor] = {}
    for adapter in sorted(adapters, key=lambda a: -a.rank):
        for name, rows in adapter.A.items():
            if name not in longest:
                longest[name] = rows.clone()
            elif not torch.equal(rows, longest[name][: len(rows)]):
                raise InputError(
                    f"ffa averages B over one common A, and an adapter of layer {name} has another A",
                    where="aggregation.rule",
                    mend="start all adapters from the same seed and train B alone",
                )
    return longest
