"""An adapter: the low-rank factors of every adapted layer and the task's head, as plain tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fleetlora.lora.sizes import AdapterLayout, check_rank
from fleetlora.rng import stream

__all__ = ["Adapter", "init_adapter"]


@dataclass(frozen=True, eq=False)
class Adapter:
    """One task's LoRA factors and head: every adapted layer acts as W0 + (alpha/rank)·B·A.

    Args:
        rank: Rank r of every factor; 0 means a head alone.
        alpha: LoRA's numerator.
        A: Down-projections by module path inside the backbone, float32 (r, n).
        B: Up-projections by the same names, float32 (m, r).
        head: ``weight`` (c, d) and ``bias`` (c,).
    """

    rank: int
    alpha: float
    A: Mapping[str, Tensor]
    B: Mapping[str, Tensor]
    head: Mapping[str, Tensor]

    @property
    def names(self) -> tuple[str, ...]:
        """Adapted module paths, in the layout's order."""
        return tuple(self.A)

    @property
    def scale(self) -> float:
        """S = alpha / rank (0 for a head alone)."""
        return self.alpha / self.rank if self.rank else 0.0

    @property
    def n_classes(self) -> int:
        """Classes c the head tells apart."""
        return int(self.head["weight"].shape[0])

    @property
    def narrowest(self) -> int:
        """The smallest dimension of any adapted layer; 0 for a head alone."""
        return min((min(self.B[n].shape[0], self.A[n].shape[1]) for n in self.names), default=0)

    @property
    def parameters(self) -> int:
        """Number of all its parameters, the head's included."""
        return sum(value.numel() for value in self.tensors().values())

    @property
    def trained(self) -> bool:
        """Whether any factor B is not zero, so that the adapter changes the backbone."""
        return any(bool(B.any()) for B in self.B.values())

    def delta(self, name: str) -> Tensor:
        """Return the dense update s·B·A of one layer, (m, n)."""
        return self.scale * (self.B[name] @ self.A[name])

    def copy(self) -> Adapter:
        """Return an equal adapter that shares no memory with this one."""
        clones = {name: value.clone() for name, value in self.tensors().items()}
        return self.from_tensors(self.rank, self.alpha, clones)

    def with_head(self, head: Mapping[str, Tensor]) -> Adapter:
        """Return the same factors under another head."""
        return replace(self, head=head)

    def head_only(self) -> Adapter:
        """Return the head alone, as an adapter of rank 0."""
        return Adapter(0, self.alpha, {}, {}, self.head)

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor under a flat name: ``A/<path>``, ``B/<path>``, ``head/<name>``."""
        flat = {f"A/{name}": value for name, value in self.A.items()}
        flat |= {f"B/{name}": value for name, value in self.B.items()}
        return flat | {f"head/{name}": value for name, value in self.head.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return rank, alpha and the tensors as arrays."""
        arrays = {name: value.numpy() for name, value in self.tensors().items()}
        return {"rank": self.rank, "alpha": self.alpha, "tensors": arrays}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Adapter:
        """Rebuild an adapter from what :meth:`state_dict` returned."""
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in state["tensors"].items()}
        return cls.from_tensors(int(state["rank"]), float(state["alpha"]), tensors)

    @classmethod
    def from_tensors(cls, rank: int, alpha: float, flat: Mapping[str, Tensor]) -> Adapter:
        """Rebuild an adapter from what :meth:`tensors` returned."""

        def under(kind: str) -> dict[str, Tensor]:
            return {
                name[len(kind) + 1 :]: value for name, value in flat.items() if name.startswith(kind + "/")
            }

        return cls(rank, alpha, under("A"), under("B"), under("head"))


def init_adapter(layout: AdapterLayout, rank: int, seed: int) -> Adapter:
    """Return the untrained adapter of ``rank``: B and head zero, A Kaiming-uniform as in PEFT.

    A is uniform in ±1/sqrt(n), drawn row by row from one stream per layer, so that of two adapters with
    the same seed the lower rank's A is the higher one's first rows.

    Args:
        layout: The adapter's shapes.
        rank: Rank r; 0 gives a head alone.
        seed: Seed of the draws.

    Raises:
        ConfigError: A rank no layer of that size can carry.
    """
    check_rank(layout, rank)
    A: dict[str, Tensor] = {}
    B: dict[str, Tensor] = {}
    for name, (m, n) in layout.shapes.items() if rank else ():
        draws = stream(seed, "lora A", name).random((rank, n), dtype=np.float32)
        A[name] = torch.from_numpy((2 * draws - 1) / np.float32(np.sqrt(n)))
        B[name] = torch.zeros(m, rank)
    head = {
        "weight": torch.zeros(layout.n_classes, layout.width),
        "bias": torch.zeros(layout.n_classes),
    }
    return Adapter(rank, layout.alpha, A, B, head)
