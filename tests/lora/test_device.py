"""Where passes are computed, and what happens where memory ends. The GPU is imagined: torch's meta device."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fleetlora.errors import InputError
from fleetlora.lora import Backbone, CohortTrainer, LocalTerms, LocalTraining, LoraSpec, PrefixCache
from fleetlora.lora.branches import Stack
from fleetlora.lora.calls import Gradients, Holdouts, Score, made
from fleetlora.lora.hetlora import HetLora
from fleetlora.lora.memory import block_tokens, kept_bytes
from fleetlora.lora.passes import Passes
from tests.lora.conftest import Texts
from tests.lora.test_cohort import RANKS, make_cohort

SPEC = LoraSpec(target_modules=("query", "value", "output.dense"), layers=(-2, -1))
PENALTY = HetLora(gamma=0.6, penalty=1.0).terms(8)


def with_memory(total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the GPU have ``total`` bytes."""
    properties = SimpleNamespace(total_memory=total)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)


@pytest.fixture
def imagined(bert: Backbone, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """The encoder on another device, which refuses to be mixed with the processor and holds no values."""
    with_memory(2**30, monkeypatch)
    cpu = Tensor.cpu
    monkeypatch.setattr(Tensor, "cpu", lambda x: torch.zeros(x.shape, dtype=x.dtype) if x.is_meta else cpu(x))
    backbone = copy.copy(bert)
    backbone.model = copy.deepcopy(bert.model).to("meta")
    backbone.layers = backbone.model.get_submodule(bert.layers_path)
    return backbone


@pytest.mark.parametrize("terms", [LocalTerms(), PENALTY], ids=["plain", "penalty"])
@pytest.mark.parametrize("limit", [0, 2**30], ids=["nothing kept", "outputs kept"])
def test_a_cohort_trains_on_another_device_and_comes_back(
    imagined: Backbone, texts: Texts, terms: LocalTerms, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapters, schedules, holdout = make_cohort(imagined, len(texts.labels))
    seen: list[str] = []
    linear = torch.nn.functional.linear
    monkeypatch.setattr(
        torch.nn.functional, "linear", lambda x, *rest: (seen.append(x.device.type), linear(x, *rest))[1]
    )
    training = LocalTraining(max_grad_norm=1.0)
    trainer = CohortTrainer(imagined, SPEC, training, PrefixCache(limit), block_tokens=60)
    results = trainer.train(texts, adapters, schedules, holdout, base=adapters[0], terms=terms)
    assert seen
    assert set(seen) == {"meta"}
    assert [result.adapter.rank for result in results] == list(RANKS)
    for result in results:
        assert {value.device.type for value in result.adapter.tensors().values()} == {"cpu"}
    metrics = trainer.evaluate(texts, adapters[0])
    assert metrics.count == len(texts.labels)


def test_weights_do_not_move_where_there_is_no_gpu(bert: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"no GPU.*\n.*cpu"):
        bert.to("cuda")
    assert bert.to("cpu").device.type == "cpu"


def test_a_pass_and_what_is_kept_have_their_shares_of_the_gpus_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_memory(80 * 10**9, monkeypatch)
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    # BERT's base size: 12 layers, of a token 12 · 768 + 3 · 3072 numbers of four bytes each
    assert block_tokens(gpu, 12, 768, 3072) == int(40e9) // (4 * 12 * 18_432)
    assert block_tokens(cpu, 12, 768, 3072) == 24 * 2**20 // (4 * 3072)
    assert (kept_bytes(gpu, 10**9), kept_bytes(gpu, 10**11), kept_bytes(cpu, 10**11)) == (
        10**9,
        int(16e9),
        10**11,
    )


class Narrow:
    """A call that has memory for one sample only."""

    def __init__(self, call: Any, sizes: list[int]) -> None:
        self.call, self.sizes = call, sizes

    def on(self, passes: Passes) -> Any:
        if self.call.rows.size > 1:
            raise torch.OutOfMemoryError("imagined")
        self.sizes.append(self.call.rows.size)
        return self.call.on(passes)

    def halves(self) -> Any:
        both = self.call.halves()
        return both and tuple(Narrow(half, self.sizes) for half in both)

    def joined(self, one: Any, other: Any) -> Any:
        return self.call.joined(one, other)


def test_what_does_not_fit_is_made_in_halves_to_the_same_result(bert: Backbone, texts: Texts) -> None:
    adapters, _, _ = make_cohort(bert, len(texts.labels))
    trainer = CohortTrainer(bert, SPEC, LocalTraining())
    passes = Passes(bert, trainer.cache.store(bert, texts, trainer.depth))
    rows = np.array([[0, 1, 2], [3, 4, -1], [5, 6, 7]])
    stack = Stack.of([adapters[0], adapters[2], adapters[4]])
    sizes: list[int] = []
    whole = Gradients(stack, rows, np.array([3, 2, 3]), PENALTY)
    losses, gradients = whole.on(passes)
    cut_losses, cut_gradients = made(Narrow(whole, sizes), passes)
    np.testing.assert_allclose(cut_losses, losses, rtol=1e-5)
    for cut, gradient in zip(cut_gradients, gradients, strict=True):
        torch.testing.assert_close(cut, gradient, rtol=1e-4, atol=1e-6)
    assert sizes == [1] * 9, "a place without a sample is cut off like one"
    holdouts, score = Holdouts(stack, rows), Score(Stack.of([adapters[0].head_only()]), np.arange(5))
    for found, wanted in zip(made(Narrow(holdouts, []), passes), holdouts.on(passes), strict=True):
        assert (found.correct, found.count) == (wanted.correct, wanted.count)
        assert found.loss_sum == pytest.approx(wanted.loss_sum, rel=1e-5)
    found, wanted = made(Narrow(score, []), passes), score.on(passes)
    assert (found.correct, found.count) == (wanted.correct, wanted.count) == (wanted.correct, 5)


def test_no_memory_for_one_sample_is_told_with_its_mend(bert: Backbone, texts: Texts) -> None:
    adapters, _, _ = make_cohort(bert, len(texts.labels))
    trainer = CohortTrainer(bert, SPEC, LocalTraining())
    passes = Passes(bert, trainer.cache.store(bert, texts, trainer.depth))

    class Never(Narrow):
        def on(self, passes: Passes) -> Any:
            raise torch.OutOfMemoryError("imagined")

        def halves(self) -> Any:
            return self.call.halves()

    call = Gradients(Stack.of(adapters[:1]), np.array([[0]]), np.array([1]), LocalTerms())
    with pytest.raises(InputError, match=r"single sample.*\n.*cpu"):
        made(Never(call, []), passes)
