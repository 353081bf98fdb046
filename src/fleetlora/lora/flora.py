"""FLoRA: stack the updates' factors, merge the stack into the frozen base, start afresh.

    W_{t+1} = W_t + sum of p_i · s_i · B_i · A_i = W_t + [p_1 s_1 B_1, p_2 s_2 B_2, …] · [A_1; A_2; …]

Wang et al. 2024, "FLoRA: Federated Fine-Tuning Large Language Models with Heterogeneous Low-Rank
Adaptations", arXiv 2409.05976. The model is everything ever learned, W_t − W_0: RSUs add their vehicles'
updates to it, the cloud averages the RSUs' models. It is kept as its singular components, which loses
nothing and never grows beyond a layer's smaller dimension as the stack itself would.

Traffic is what the method needs on the road: vehicles come and go, so a vehicle that takes part holds none
of the earlier stacks and downloads the whole model at the model's rank (dense where that is smaller), while
it uploads an adapter of its own rank. The download so grows round by round with the sum of all ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from fleetlora.lora.adapter import Adapter, init_adapter
from fleetlora.lora.aggregation import Traffic, average_heads, check_finite, layer_names, shares
from fleetlora.lora.rules import AGGREGATION_RULES
from fleetlora.lora.sizes import AdapterLayout, adapter_bytes
from fleetlora.lora.summed import SummedRule, products_of

__all__ = ["Flora"]


@AGGREGATION_RULES.register("flora")
class Flora(SummedRule):
    """Aggregation by stacking; the model is the delta under every vehicle's fresh adapter.

    Args:
        bytes_per_param: Bytes of a parameter on the wire.
    """

    personal: ClassVar[bool] = True

    def init(self, layout: AdapterLayout, rank: int, seed: int, draw: int = 0) -> Adapter:
        """Return the vehicle's own random A, new in every round, so that rounds span new directions."""
        return init_adapter(layout, rank, draw)

    def dispatch(self, model: Adapter, rank: int, init: Adapter) -> Adapter:
        """Return ``init`` under the model's head: all else that was learned lies in the base."""
        return init.copy().with_head(model.copy().head)

    def base(self, model: Adapter) -> Adapter | None:
        """Return the model, once anything has been learned."""
        return model if model.trained else None

    def merge(self, updates: Sequence[Adapter], weights: Sequence[float], model: Adapter) -> Adapter:
        """Return the model and, on top of it, the weighted sum of the updates; heads are averaged."""
        parts = shares(weights, len(updates))
        check_finite(updates)
        layers = {
            name: products_of([model, *updates], [1.0, *parts], name)
            for name in layer_names([model, *updates])
        }
        return self.summed(layers, updates[0].alpha, average_heads(updates, parts))

    def traffic(self, layout: AdapterLayout, rank: int | np.ndarray, model: Adapter) -> Traffic:
        """Return the whole model down, an adapter of the vehicle's rank up."""
        up = adapter_bytes(layout, rank, self.bytes_per_param)
        whole = model if model.trained else model.head_only()
        return Traffic(np.full_like(up, self.model_bytes(whole)), up)
