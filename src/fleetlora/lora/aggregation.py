"""Aggregation rules: how updates of different ranks become one model, and a model a vehicle's adapter.

A rule owns the form of its model: whatever ``start``, ``merge`` and ``combine`` return goes back into
``dispatch``, ``base``, ``merge`` and ``combine`` of the same rule only. One vehicle's round reads

    init    = rule.init(layout, rank, seed, draw)     # what untrained capacity looks like
    adapter = rule.dispatch(model, rank, init)        # what the vehicle receives and trains …
    base    = rule.base(model)                        # … on top of this frozen delta, if there is one
    trained = trainer.train(…, base=base, terms=rule.terms(rank))
    upload  = rule.collect(adapter, trained)          # what it sends back
    model   = rule.merge([upload, …], weights, model) # at the RSU
    model   = rule.combine_rows([model, …], weights, model, rows) # RSU models at the cloud

Two families share their code: rules whose model is a sum of products (:mod:`fleetlora.lora.summed`: product,
FlexLoRA, FLoRA, FedRA) and rules that average A and B apart (:mod:`fleetlora.lora.averaged`: FedIT, HetLoRA,
FFA). HetLoRA prunes and regularises on the vehicle (``collect``, ``terms``); FLoRA hands out a fresh adapter
over a stack that joins the base (``base``, ``traffic``); FFA freezes A (``terms``); FedRA gives each vehicle
some layers (``init``) and keeps the model's old value where nobody trained (``merge``'s model).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from fleetlora.errors import InputError
from fleetlora.lora.adapter import Adapter
from fleetlora.lora.sizes import AdapterLayout

__all__ = [
    "AggregationRule",
    "LocalTerms",
    "Traffic",
    "average_changed_rows",
    "average_heads",
    "average_rows",
    "changed_rows",
    "check_finite",
    "layer_names",
    "share_rows",
    "shares",
]

#: A term per vehicle (C,), of a cohort's factors A {name: (C, R, n)}, B {name: (C, m, R)}, ranks (C,).
Penalty = Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class LocalTerms:
    """What a rule asks of training on the vehicle.

    Args:
        train_a: Whether the factors A train.
        train_b: Whether the factors B train.
        penalty: A term added to every vehicle's loss.
    """

    train_a: bool = True
    train_b: bool = True
    penalty: Penalty | None = None


@dataclass(frozen=True)
class Traffic:
    """What one round moves between a vehicle and its RSU.

    Args:
        down_bytes: int64, of the ranks' shape.
        up_bytes: int64, of the ranks' shape.
    """

    down_bytes: np.ndarray
    up_bytes: np.ndarray


class AggregationRule(Protocol):
    """One way to aggregate: a ``Settings`` registered in :data:`~fleetlora.lora.AGGREGATION_RULES`.

    Attributes:
        personal: Whether ``init`` depends on ``draw``; if not, vehicles of one RSU and rank receive the same.
    """

    personal: ClassVar[bool]

    def start(self, init: Adapter) -> Adapter:
        """Return the model of a task before any update, with the product and head of ``init``.

        Args:
            init: An adapter of all layers.
        """
        ...

    def init(self, layout: AdapterLayout, rank: int, seed: int, draw: int = 0) -> Adapter:
        """Return the untrained adapter whose modules and rank a vehicle is to train.

        Args:
            layout: The shapes of all layers.
            rank: The vehicle's rank.
            seed: Common to all vehicles and rounds of a task.
            draw: The vehicle's own seed of this round.
        """
        ...

    def draws(self, layers: Sequence[int]) -> list[tuple[float, tuple[int, ...]]]:
        """Return which of ``layers``, adapted and lowest first, a vehicle trains, and how probably."""
        ...

    def dispatch(self, model: Adapter, rank: int, init: Adapter) -> Adapter:
        """Return the adapter of exactly ``rank`` that a vehicle receives, over ``init``'s modules."""
        ...

    def base(self, model: Adapter) -> Adapter | None:
        """Return the frozen delta that every receiver of ``model`` adds to its backbone, if any."""
        ...

    def terms(self, rank: int) -> LocalTerms:
        """Return what the rule asks of local training at ``rank``."""
        ...

    def collect(self, received: Adapter, trained: Adapter) -> Adapter:
        """Return what a vehicle uploads after training what it received; its rank may be lower."""
        ...

    def merge(self, updates: Sequence[Adapter], weights: Sequence[float], model: Adapter) -> Adapter:
        """Return the model that vehicles' ``updates`` make of ``model``, which they were dispatched from.

        Args:
            updates: At least one upload; ranks may differ.
            weights: Non-negative, for example sample counts; only their proportions count.
            model: The model before this round.
        """
        ...

    def combine(
        self, models: Sequence[Adapter], weights: Sequence[float], before: Adapter | None = None
    ) -> Adapter:
        """Return the one model that several RSUs' models make at the cloud.

        Args:
            models: At least one.
            weights: As for ``merge``.
            before: The cloud's model that they began from.
        """
        ...

    def combine_rows(
        self, models: Sequence[Adapter], weights: Sequence[float], before: Adapter, rows: Tensor
    ) -> Adapter:
        """Return what ``combine`` does, for a rule that hears each row of a head from those that changed it.

        Args:
            models: n of them.
            weights: As for ``merge``.
            before: The cloud's model that they began from.
            rows: (n, classes) what of each weight stands for updates that changed the row, float64.
        """
        ...

    def traffic(self, layout: AdapterLayout, rank: int | np.ndarray, model: Adapter) -> Traffic:
        """Return the bytes a vehicle moves at each of ``rank``, before anything is dispatched."""
        ...

    def model_bytes(self, model: Adapter) -> int:
        """Return the bytes of a whole model, as it travels between an RSU and the cloud."""
        ...


def shares(weights: Sequence[float], count: int) -> list[float]:
    """Return ``weights`` scaled to sum to one.

    Raises:
        InputError: Their number is not ``count``, or they are negative, not finite, or all zero.
    """
    values = np.asarray(weights, dtype=np.float64)
    if len(values) != count or count == 0:
        raise InputError(f"{len(values)} weights for {count} updates", mend="give one weight for each update")
    if not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise InputError("aggregation weights must be finite, not negative, and not all zero")
    return [float(v) for v in values / values.sum()]


def check_finite(adapters: Sequence[Adapter]) -> None:
    """Refuse adapters that training has driven to infinity.

    Raises:
        InputError: Names the tensor.
    """
    for adapter in adapters:
        if name := not_finite(adapter):
            raise InputError(
                f"an update's tensor {name} is not finite: its training diverged",
                where="training",
                mend="lower learning_rate or head_learning_rate, or set max_grad_norm",
            )


def not_finite(adapter: Adapter) -> str | None:
    """Return the name of the first tensor that holds what is not finite; nothing if none does."""
    tensors = adapter.tensors().items()
    return next((name for name, value in tensors if not bool(torch.isfinite(value).all())), None)


def layer_names(adapters: Iterable[Adapter]) -> tuple[str, ...]:
    """Return the layers that any of the adapters holds, in their order."""
    return tuple(dict.fromkeys(name for adapter in adapters for name in adapter.names))


def average_heads(adapters: Sequence[Adapter], parts: Sequence[float]) -> dict[str, Tensor]:
    """Return the weighted average of the adapters' heads; ``parts`` sum to one."""
    return {
        name: torch.stack([p * a.head[name].double() for p, a in zip(parts, adapters, strict=True)])
        .sum(0)
        .float()
        for name in adapters[0].head
    }


def average_changed_rows(
    adapters: Sequence[Adapter], parts: Sequence[float], before: Adapter
) -> dict[str, Tensor]:
    """Return a head whose every row is the average of those adapters that changed it.

    Args:
        adapters: n of them, all begun from ``before``.
        parts: (n,) their shares.
        before: Its rows stay where none of the adapters changed them.
    """
    changed = torch.stack([changed_rows(adapter, before) for adapter in adapters])
    return average_rows(adapters, torch.tensor(parts, dtype=torch.float64)[:, None] * changed, before)


def changed_rows(adapter: Adapter, before: Adapter) -> Tensor:
    """Return which rows of a head are not as they were before, bool (classes,)."""
    weight: Tensor = (adapter.head["weight"] != before.head["weight"]).any(1)
    return weight | (adapter.head["bias"] != before.head["bias"])


def share_rows(weights: Tensor) -> Tensor:
    """Return weights (n, classes) scaled so that each row of a head has one in all; zeros stay."""
    total = weights.sum(0)
    return weights / torch.where(total > 0, total, 1.0)


def average_rows(adapters: Sequence[Adapter], weights: Tensor, before: Adapter) -> dict[str, Tensor]:
    """Return a head whose every row is averaged with weights of its own.

    Args:
        adapters: n of them.
        weights: (n, classes) not negative, float64; only a row's proportions count.
        before: Its rows stay where all weights are zero.
    """
    parts, heard = share_rows(weights), weights.sum(0) > 0
    head = {}
    for name, still in before.head.items():
        rows = torch.stack([a.head[name].double() for a in adapters])
        mean = torch.einsum("nc,nc...->c...", parts, rows)
        head[name] = torch.where(heard.view(-1, *[1] * (still.dim() - 1)), mean, still.double()).float()
    return head
