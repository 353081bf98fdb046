"""Counted FLOPs against counts by hand: 2·m·n multiply-adds of every product, forward and backward."""

from __future__ import annotations

import pytest

from fleetlora.errors import ConfigError
from fleetlora.lora import Backbone, LoraSpec, step_flops

BATCH, LENGTH, CLASSES = 4, 10, 5


def linear(tokens: int, m: int, n: int) -> int:
    return 2 * tokens * m * n


def test_a_step_of_one_adapted_layer_is_what_a_hand_count_gives(bert: Backbone) -> None:
    d, f, heads, layers, rank = 32, 48, 4, 3, 3
    tokens = BATCH * LENGTH
    projection, feed, product = (
        linear(tokens, d, d),
        linear(tokens, d, f),
        BATCH * heads * 2 * LENGTH**2 * (d // heads),
    )
    layer = 4 * projection + 2 * feed + 2 * product
    head = linear(BATCH, CLASSES, d)
    branch = linear(tokens, rank, d)
    forward = layers * layer + 2 * branch + head
    # The top layer's query alone is adapted: back through head, feed-forward, output projection, the
    # attention weights (not the values), and into both factors, whose input needs no gradient.
    backward = 2 * head + 2 * feed + projection + 2 * product + 3 * branch
    found = step_flops(bert, LoraSpec(target_modules=("query",), layers=(-1,)), rank, BATCH, LENGTH, CLASSES)
    assert found == forward + backward


def test_a_head_alone_costs_the_forward_pass_and_the_head(bert: Backbone) -> None:
    spec = LoraSpec(layers=(-1,))
    alone = step_flops(bert, spec, 4, BATCH, LENGTH, CLASSES, train_adapter=False)
    assert alone == step_flops(bert, spec, 0, BATCH, LENGTH, CLASSES)
    d, f, heads = 32, 48, 4
    tokens = BATCH * LENGTH
    layer = 4 * linear(tokens, d, d) + 2 * linear(tokens, d, f) + 4 * BATCH * heads * LENGTH**2 * (d // heads)
    assert alone == 3 * layer + 2 * linear(BATCH, CLASSES, d)


@pytest.mark.parametrize("family", ["bert", "vit"])
def test_flops_grow_with_rank_batch_and_depth(family: str, request: pytest.FixtureRequest) -> None:
    backbone = request.getfixturevalue(family)
    top, every = LoraSpec(layers=(-1,)), LoraSpec()
    base = step_flops(backbone, top, 2, BATCH, LENGTH, CLASSES)
    assert step_flops(backbone, top, 4, BATCH, LENGTH, CLASSES) > base
    assert step_flops(backbone, top, 2, 2 * BATCH, LENGTH, CLASSES) == 2 * base
    assert step_flops(backbone, every, 2, BATCH, LENGTH, CLASSES) > base


def test_counting_touches_neither_the_weights_nor_the_gradients(bert: Backbone) -> None:
    step_flops(bert, LoraSpec(), 2, BATCH, LENGTH, CLASSES)
    assert all(p.device.type == "cpu" and p.grad is None for p in bert.model.parameters())
    assert not any(module._forward_hooks for module in bert.layers.modules())


def test_a_rank_above_a_layers_smaller_dimension_is_refused(bert: Backbone) -> None:
    with pytest.raises(ConfigError, match="use ranks up to 32"):
        step_flops(bert, LoraSpec(), 33, BATCH, LENGTH, CLASSES)
