"""Weights that are cast once make the passes that autocast makes, bit for bit."""

from __future__ import annotations

import contextlib
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fleetlora.lora import Adapter, Backbone, Examples, LoraSpec, PrefixCache, init_adapter
from fleetlora.lora.branches import merged
from fleetlora.lora.casting import CastWeights
from tests.lora.reference import trained_like

SPEC = LoraSpec(target_modules=("query", "dense"), layers=(-2, -1))


@pytest.fixture(params=["text", "image"])
def case(request: pytest.FixtureRequest) -> tuple[Backbone, Examples, Adapter]:
    kind = {"text": ("bert", "texts"), "image": ("vit", "images")}[request.param]
    backbone, examples = (request.getfixturevalue(name) for name in kind)
    return backbone, examples, trained_like(init_adapter(backbone.layout(SPEC, 5), 6, 0), 1, size=0.3)


def outputs(backbone: Backbone, examples: Examples, delta: Adapter | None = None) -> Tensor:
    """The last layer's output for some examples, all layers in bfloat16."""
    store = PrefixCache(0).store(backbone, examples, 1, torch.bfloat16)
    hidden, mask = store.hidden(np.arange(3))
    with torch.no_grad(), merged(backbone, delta), store.arithmetic():
        return backbone.suffix(hidden, mask, store.depth)


def test_passes_are_those_of_autocast(
    case: tuple[Backbone, Examples, Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, examples, delta = case
    ours = [outputs(backbone, examples, d) for d in (None, delta, None)]
    monkeypatch.setattr(CastWeights, "acting", lambda *_: contextlib.nullcontext())
    theirs = [outputs(backbone, examples, d) for d in (None, delta, None)]
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert not torch.equal(ours[0], ours[1]), "the delta is cast with the weights it is merged into"


def test_a_weight_is_cast_once_and_anew_when_it_changes(
    case: tuple[Backbone, Examples, Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, examples, delta = case
    outputs(backbone, examples)
    cast: list[Tensor] = []
    detach = Tensor.detach
    monkeypatch.setattr(Tensor, "detach", lambda x: (cast.append(x), detach(x))[1])
    outputs(backbone, examples)
    assert cast == []
    outputs(backbone, examples, delta)
    assert {id(value) for value in cast} >= {id(backbone.linear(name).weight) for name in delta.names}


def test_layers_are_left_as_they_were_even_by_an_error(bert: Backbone, texts: Examples) -> None:
    outputs(bert, texts)
    store = PrefixCache(0).store(bert, texts, 1, torch.bfloat16)
    with pytest.raises(RuntimeError), store.arithmetic():
        bert.suffix(torch.zeros(1, 2, 3), None, 0)
    assert not any("forward" in vars(module) for module in bert.model.modules())


def test_without_autocast_nothing_is_cast(
    bert: Backbone, texts: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CastWeights, "_cast", lambda *_: pytest.fail("cast"))
    PrefixCache(0).store(bert, texts, 1).hidden(np.arange(3))


def test_casts_do_not_travel_to_other_processes(bert: Backbone, texts: Examples) -> None:
    before = len(pickle.dumps(bert))
    outputs(bert, texts)
    assert len(pickle.dumps(bert)) == before
    assert torch.equal(outputs(pickle.loads(pickle.dumps(bert)), texts), outputs(bert, texts))


def test_a_layer_that_moved_is_cast_again(bert: Backbone) -> None:
    layer = nn.Linear(4, 4).requires_grad_(False)
    weights = CastWeights([layer])
    with torch.autocast("cpu", torch.bfloat16):
        with weights.acting(slice(None), torch.device("cpu")):
            before = layer(torch.ones(1, 4))
        layer.weight.data = layer.weight.data * 2
        with weights.acting(slice(None), torch.device("cpu")):
            assert not torch.equal(layer(torch.ones(1, 4)), before)
