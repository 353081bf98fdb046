"""Frozen weights in the arithmetic of a pass, cast once rather than in every pass.

Autocast keeps the casts of weights that train; frozen ones it casts anew each time their layer runs, which
for a small group of examples takes longer than the products. Results are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

__all__ = ["CastWeights"]


class CastWeights:
    """The linear layers of an encoder, and their weights as autocast would cast them.

    Args:
        layers: The encoder's layers, lowest first.
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        self._linears = [[m for m in layer.modules() if type(m) is nn.Linear] for layer in layers]
        self._kept: dict[nn.Linear, tuple[tuple[object, ...], Tensor, Tensor | None]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the casts behind: another process makes its own."""
        return {**self.__dict__, "_kept": {}}

    @contextmanager
    def acting(self, layers: slice, device: torch.device) -> Iterator[None]:
        """Let some layers run with the casts inside the block; where there is no autocast do nothing."""
        found = [m for layer in self._linears[layers] for m in layer] if _autocasts(device.type) else []
        casts = [self._cast(module, torch.get_autocast_dtype(device.type)) for module in found]
        for module, (weight, bias) in zip(found, casts, strict=True):
            module.forward = partial(linear, weight=weight, bias=bias)  # type: ignore[method-assign]
        try:
            yield
        finally:
            for module in found:
                del module.forward

    def _cast(self, module: nn.Linear, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        """Return a layer's weight and bias, cast anew if they have changed or moved."""
        now = (dtype, *((v.data_ptr(), v._version) for v in (module.weight, module.bias) if v is not None))
        kept = self._kept.get(module)
        if kept is None or kept[0] != now:
            with torch.inference_mode(False):  # whoever trains later may use them
                bias = None if module.bias is None else module.bias.detach().to(dtype)
                kept = self._kept[module] = now, module.weight.detach().to(dtype), bias
        return kept[1:]


def _autocasts(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
