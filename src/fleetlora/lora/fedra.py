"""FedRA: every vehicle trains a random part of the layers, anew in every round.

    layer l:  W_l = sum over its owners of p_i · s_i · B_i · A_i / sum over its owners of p_i,
              the old W_l where it has no owner

Su et al. 2023, "FedRA: A Random Allocation Strategy for Federated Tuning to Unleash the Power of
Heterogeneous Clients", arXiv 2311.11227. A layer is an encoder layer with all its adapted projections; a
vehicle draws max(1, round(share·L)) of the L layers. Three things differ from the paper: the layers that a
vehicle does not own act as they are in the backbone, where the paper leaves them out of the vehicle's model;
all vehicles own equally many, and what a vehicle can afford shows in its rank; and products are averaged
instead of A and B apart, which is what lets ranks differ. At the cloud each RSU's model counts with its
samples in every layer, whether or not one of its vehicles owned it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import comb
from typing import ClassVar

import numpy as np

from fleetlora.lora.adapter import Adapter, init_adapter
from fleetlora.lora.aggregation import Traffic, average_heads, check_finite, layer_names, shares
from fleetlora.lora.rules import AGGREGATION_RULES
from fleetlora.lora.sizes import AdapterLayout, adapter_bytes
from fleetlora.lora.summed import SummedRule, products_of
from fleetlora.rng import stream
from fleetlora.settings import quantity

__all__ = ["FedRa"]


@AGGREGATION_RULES.register("fedra")
class FedRa(SummedRule):
    """Random layers for each vehicle and round; each layer is the mean over those that own it.

    Args:
        share: Part of the encoder's adapted layers that a vehicle trains in a round.
        bytes_per_param: Bytes of a parameter on the wire.
    """

    personal: ClassVar[bool] = True

    share: float = quantity(0.5, "1", "part of the adapted encoder layers a vehicle trains", gt=0, le=1)

    def init(self, layout: AdapterLayout, rank: int, seed: int, draw: int = 0) -> Adapter:
        """Return an initialisation of the layers that ``draw`` allots; A itself is the same for all."""
        layers = _encoder_layers(layout)
        chosen = stream(draw, "layers").permutation(len(layers))[: self._count(len(layers))]
        mine = {name for i in chosen for name in layers[i]}
        part = replace(layout, shapes={n: shape for n, shape in layout.shapes.items() if n in mine})
        return init_adapter(part, rank, seed)

    def draws(self, layers: Sequence[int]) -> list[tuple[float, tuple[int, ...]]]:
        """Return, for each layer that may be the lowest one drawn, a draw like it and their probability.

        How far back a step computes, and so its cost, is settled by the lowest layer and the number of them.
        """
        n, k = len(layers), self._count(len(layers))
        return [
            (comb(n - 1 - low, k - 1) / comb(n, k), tuple(layers[low : low + k])) for low in range(n - k + 1)
        ]

    def merge(self, updates: Sequence[Adapter], weights: Sequence[float], model: Adapter) -> Adapter:
        """Return every layer's mean over its owners, and the model's where nobody trained it."""
        parts = shares(weights, len(updates))
        check_finite(updates)
        layers = {}
        for name in layer_names([model, *updates]):
            owned = sum(part for part, update in zip(parts, updates, strict=True) if name in update.A)
            layers[name] = products_of(updates, [part / (owned or 1.0) for part in parts], name)
            if not owned:
                layers[name] += products_of([model], [1.0], name)
        return self.summed(layers, updates[0].alpha, average_heads(updates, parts))

    def traffic(self, layout: AdapterLayout, rank: int | np.ndarray, model: Adapter) -> Traffic:
        """Return an adapter of the vehicle's layers each way: its share of all layers, on average.

        The draw is not known before; where the encoder's layers are alike, as they are in a transformer,
        every draw has these very bytes.
        """
        layers = len(_encoder_layers(layout))
        per_rank = layout.per_rank * self._count(layers) / max(1, layers)
        size = adapter_bytes(layout, rank, self.bytes_per_param, per_rank=per_rank)
        return Traffic(size, size)

    def _count(self, layers: int) -> int:
        return max(1, round(self.share * layers))


def _encoder_layers(layout: AdapterLayout) -> list[list[str]]:
    """Return the adapted modules of each encoder layer; a module outside any layer is one of its own."""
    found: dict[str, list[str]] = {}
    for name in layout.shapes:
        numbered = re.match(r"(?:.*?\.)?\d+(?=\.|$)", name)
        found.setdefault(numbered.group() if numbered else name, []).append(name)
    return list(found.values())
