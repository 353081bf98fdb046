"""Counting the floating-point operations of a vehicle's local step.

The count is of what a vehicle does that trains alone and keeps nothing: the whole encoder forward, and
backward down to the lowest adapted layer. It runs on meta tensors, which have shapes and no values.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from fleetlora.lora.adapter import Adapter
from fleetlora.lora.backbone import Backbone
from fleetlora.lora.branches import Stack, branched
from fleetlora.lora.sizes import AdapterLayout, check_rank
from fleetlora.lora.spec import LoraSpec

__all__ = ["step_flops"]


def step_flops(
    backbone: Backbone,
    spec: LoraSpec,
    rank: int,
    batch: int,
    length: int,
    n_classes: int,
    train_adapter: bool = True,
) -> float:
    """Return the FLOPs of one local step (forward and backward), counted by torch's FlopCounterMode.

    Args:
        backbone: The encoder.
        spec: Which layers are adapted.
        rank: The adapter's rank.
        batch: Samples of the step.
        length: Tokens of each sample; not read for images.
        n_classes: Classes of the head.
        train_adapter: False counts a step that trains the head alone.

    Raises:
        ConfigError: A rank no adapted layer can carry.
    """
    tokens = backbone.image_tokens if backbone.kind == "image" else length
    step = (spec, rank if train_adapter else 0, batch, tokens, n_classes)
    known = _known(_architecture(backbone))
    if step not in known:
        known[step] = _counted(backbone, *step)
    return known[step]


@lru_cache(maxsize=16)
def _known(architecture: str) -> dict[tuple[LoraSpec, int, int, int, int], float]:
    """Return the counts of one architecture so far; whichever model of it asked for them."""
    return {}


def _architecture(backbone: Backbone) -> str:
    """Return all of a model that its operations depend on, and nothing of its weights or its place."""
    config: Any = backbone.model.config
    values = {**config.to_dict(), "_name_or_path": ""}
    kind = f"{type(backbone.model).__name__} {backbone.pooling}"
    return f"{kind} {json.dumps(values, sort_keys=True, default=str)}"


def _counted(backbone: Backbone, spec: LoraSpec, rank: int, batch: int, tokens: int, n_classes: int) -> float:
    layout = backbone.layout(spec, n_classes)
    check_rank(layout, rank)
    twin = _twin(backbone)
    depth = backbone.lowest_adapted(spec) if rank else backbone.n_layers
    with torch.device("meta"):
        stack = Stack.of([_shapes_only(layout, rank)])
        inputs, labels = twin.blank_inputs(batch, tokens), torch.zeros(batch, dtype=torch.long)
    leaves = [
        value.requires_grad_() for value in (*stack.A.values(), *stack.B.values(), stack.weight, stack.bias)
    ]
    # The fused CPU kernels are not in the counter's table; the plain ones are the same arithmetic.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, branched(twin, stack):
        hidden = twin.run_below(inputs, depth)
        features = twin.pool(twin.suffix(hidden, None, depth), None)
        loss = cross_entropy(stack.logits(features[None])[0], labels)
        torch.autograd.grad(loss, leaves)
    return float(counter.get_total_flops())


@lru_cache(maxsize=4)
def _twin(backbone: Backbone) -> Backbone:
    return backbone.on_meta()


def _shapes_only(layout: AdapterLayout, rank: int) -> Adapter:
    shapes = layout.shapes if rank else {}
    return Adapter(
        rank,
        layout.alpha,
        {name: torch.empty(rank, n) for name, (_, n) in shapes.items()},
        {name: torch.empty(m, rank) for name, (m, _) in shapes.items()},
        {"weight": torch.empty(layout.n_classes, layout.width), "bias": torch.empty(layout.n_classes)},
    )
