"""How factors act inside the frozen encoder: as branches beside its linear layers, or merged into them.

A branch adds s·B·A·x to a layer's output; for a cohort the samples of vehicle c meet the factors of
vehicle c in one batched product. Both ways leave the encoder as they found it, bit for bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fleetlora.errors import InputError
from fleetlora.lora.adapter import Adapter
from fleetlora.lora.backbone import Backbone

__all__ = ["Stack", "branched", "check_fit", "merged"]


@dataclass
class Stack:
    """The adapters of a cohort of C vehicles, zero-padded to their highest rank R.

    Args:
        A: (C, R, n) by module path.
        B: (C, m, R) by module path.
        scale: (C, 1, 1): alpha/r of each vehicle's own rank.
        weight: Heads, (C, c, d).
        bias: Heads, (C, c).
        ranks: (C,) int64.
    """

    A: dict[str, Tensor]
    B: dict[str, Tensor]
    scale: Tensor
    weight: Tensor
    bias: Tensor
    ranks: Tensor

    @classmethod
    def of(cls, adapters: list[Adapter], device: torch.device | None = None) -> Stack:
        """Stack copies of ``adapters`` on a device; a module one of them lacks is zero for it."""
        names = list(dict.fromkeys(name for a in adapters for name in a.names))
        highest = max(a.rank for a in adapters)
        A = {n: torch.zeros(len(adapters), highest, _inputs(adapters, n)) for n in names}
        B = {n: torch.zeros(len(adapters), _outputs(adapters, n), highest) for n in names}
        alike: dict[tuple[int, tuple[str, ...]], list[int]] = {}
        for c, adapter in enumerate(adapters):
            alike.setdefault((adapter.rank, tuple(adapter.names)), []).append(c)
        for (rank, held), members in alike.items():
            for name in held:
                A[name][members, :rank] = torch.stack([adapters[c].A[name] for c in members])
                B[name][members, :, :rank] = torch.stack([adapters[c].B[name] for c in members])
        return cls(
            {name: value.to(device) for name, value in A.items()},
            {name: value.to(device) for name, value in B.items()},
            torch.tensor([a.scale for a in adapters], device=device).view(-1, 1, 1),
            torch.stack([a.head["weight"] for a in adapters]).float().to(device),
            torch.stack([a.head["bias"] for a in adapters]).float().to(device),
            torch.tensor([a.rank for a in adapters], device=device),
        )

    def select(self, order: np.ndarray) -> Stack:
        """Return the vehicles ``order`` (k,): views if they are the first k in order, else copies."""
        whole = np.array_equal(order, np.arange(len(order)))
        index = slice(len(order)) if whole else torch.from_numpy(order).to(self.scale.device)
        return Stack(
            {name: value[index] for name, value in self.A.items()},
            {name: value[index] for name, value in self.B.items()},
            self.scale[index],
            self.weight[index],
            self.bias[index],
            self.ranks[index],
        )

    def adapter(self, c: int, like: Adapter) -> Adapter:
        """Return a copy of vehicle c's adapter in ``like``'s shapes, with its factors if none are here."""
        A = {n: _copied(self.A[n][c, : like.rank]) if n in self.A else like.A[n] for n in like.names}
        B = {n: _copied(self.B[n][c, :, : like.rank]) if n in self.B else like.B[n] for n in like.names}
        head = {"weight": _copied(self.weight[c]), "bias": _copied(self.bias[c])}
        return Adapter(like.rank, like.alpha, A, B, head)

    def logits(self, features: Tensor) -> Tensor:
        """Return every vehicle's head on its own features: (k, b, d) to (k, b, c), k ≤ C."""
        count = len(features)
        return torch.baddbmm(
            self.bias[:count, None], features.to(self.weight.dtype), self.weight[:count].transpose(1, 2)
        )


def _copied(value: Tensor) -> Tensor:
    return value.clone().cpu()


def _inputs(adapters: list[Adapter], name: str) -> int:
    return next(int(a.A[name].shape[1]) for a in adapters if name in a.A)


def _outputs(adapters: list[Adapter], name: str) -> int:
    return next(int(a.B[name].shape[0]) for a in adapters if name in a.B)


def check_fit(backbone: Backbone, adapter: Adapter) -> None:
    """Refuse an adapter whose factors or head have other shapes than the backbone's layers and features.

    Raises:
        InputError: They have; names the first.
    """
    modules = dict(backbone.model.named_modules())
    mine = {name: (adapter.B[name].shape[0], adapter.A[name].shape[1]) for name in adapter.names}
    for name, shape in mine.items():
        layer = modules.get(name)
        theirs = (
            (layer.out_features, layer.in_features) if isinstance(layer, nn.Linear) else "no linear layer"
        )
        if shape != theirs:
            raise _misfit(backbone, f"the adapter's layer {name} is {shape}, the backbone's {theirs}")
    width = adapter.head["weight"].shape[1]
    if width != backbone.width:
        raise _misfit(backbone, f"the head reads features {width} wide, the backbone's are {backbone.width}")


def _misfit(backbone: Backbone, problem: str) -> InputError:
    return InputError(problem, where=backbone.path, mend="use the backbone the adapter was made for")


@contextlib.contextmanager
def branched(backbone: Backbone, stack: Stack) -> Iterator[None]:
    """Let the stack's factors act on inputs whose rows are its vehicles' samples, vehicle after vehicle."""
    handles = []
    try:
        for name in stack.A:
            hook = _branch(stack.A[name], stack.B[name], stack.scale)
            handles.append(backbone.linear(name).register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _branch(A: Tensor, B: Tensor, scale: Tensor) -> Any:
    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        vehicles, _, inputs = A.shape
        rows = args[0].reshape(vehicles, -1, inputs).to(output.dtype)
        low = torch.bmm(rows, A.transpose(1, 2).to(output.dtype)) * scale.to(output.dtype)
        wide = output.view(vehicles, -1, output.shape[-1])
        return torch.baddbmm(wide, low, B.transpose(1, 2).to(output.dtype)).view_as(output)

    return hook


@contextlib.contextmanager
def merged(backbone: Backbone, adapter: Adapter | None) -> Iterator[None]:
    """Add an adapter's s·B·A to the encoder's weights for a while; ``None`` adds nothing.

    In place on the weights themselves, not on their ``data``, so that whoever keeps casts of them sees it.
    """
    saved: dict[str, Tensor] = {}
    try:
        if adapter is not None:
            for name in adapter.names:
                weight = backbone.linear(name).weight
                saved[name] = weight.clone()
                B, A = (factor[name].to(weight.device) for factor in (adapter.B, adapter.A))
                weight.addmm_(B, A, alpha=adapter.scale)
        yield
    finally:
        for name, weight in saved.items():
            backbone.linear(name).weight.copy_(weight)
