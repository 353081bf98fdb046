"""What every aggregation rule does unless it says otherwise: plain LoRA with an adapter each way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from fleetlora.lora.adapter import Adapter, init_adapter
from fleetlora.lora.aggregation import LocalTerms, Traffic
from fleetlora.lora.sizes import HEADER_BYTES, AdapterLayout, adapter_bytes
from fleetlora.settings import Settings, quantity

__all__ = ["PlainRule"]


class PlainRule(Settings, ABC):
    """The part of a rule that needs no thought; a rule overrides what it does differently.

    Args:
        bytes_per_param: Bytes of a parameter on the wire.
    """

    personal: ClassVar[bool] = False

    bytes_per_param: int = quantity(4, "bytes", "bytes of a parameter on the wire", "float32", ge=1)

    def init(self, layout: AdapterLayout, rank: int, seed: int, draw: int = 0) -> Adapter:
        """Return PEFT's initialisation: A Kaiming-uniform, B zero; the same for every vehicle."""
        return init_adapter(layout, rank, seed)

    def draws(self, layers: Sequence[int]) -> list[tuple[float, tuple[int, ...]]]:
        """Return which of ``layers``, adapted and lowest first, a vehicle trains, and how probably.

        What a local step costs in FLOPs is the mean over them.
        """
        return [(1.0, tuple(layers))]

    def base(self, model: Adapter) -> Adapter | None:
        """Return nothing: the vehicle's adapter holds all it receives."""
        return None

    def terms(self, rank: int) -> LocalTerms:
        """Return plain training of both factors."""
        return LocalTerms()

    def collect(self, received: Adapter, trained: Adapter) -> Adapter:
        """Return the trained adapter as it is."""
        return trained

    @abstractmethod
    def combine(
        self, models: Sequence[Adapter], weights: Sequence[float], before: Adapter | None = None
    ) -> Adapter:
        """Return the one model that several RSUs' models make at the cloud."""

    def combine_rows(
        self, models: Sequence[Adapter], weights: Sequence[float], before: Adapter, rows: Tensor
    ) -> Adapter:
        """Return the combined models: a head is heard as a whole."""
        return self.combine(models, weights, before)

    def traffic(self, layout: AdapterLayout, rank: int | np.ndarray, model: Adapter) -> Traffic:
        """Return the same bytes both ways: an adapter of the vehicle's rank."""
        size = adapter_bytes(layout, rank, self.bytes_per_param)
        return Traffic(size, size)

    def model_bytes(self, model: Adapter) -> int:
        """Return the bytes of a whole model: each layer as factors, or dense where that is smaller."""
        parameters = sum(value.numel() for value in model.head.values())
        for name, A in model.A.items():
            m, n = len(model.B[name]), A.shape[1]
            parameters += min(model.rank * (m + n), m * n)
        return parameters * self.bytes_per_param + HEADER_BYTES
