"""The real MiniLM: loaded, split, trained as PEFT trains it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fleetlora.assets import resolve
from fleetlora.lora import (
    Backbone,
    CohortTrainer,
    LocalTraining,
    LoraSpec,
    PrefixCache,
    init_adapter,
    step_flops,
)
from tests.lora.conftest import Texts
from tests.lora.reference import PeftVehicle, distance

pytestmark = pytest.mark.slow

SPEC = LoraSpec(layers=(-3, -2, -1))


@pytest.fixture(scope="module")
def minilm_dir(real_inputs: None) -> Path:
    return resolve("asset:minilm")


@pytest.fixture(scope="module")
def minilm(minilm_dir: Path) -> Backbone:
    return Backbone.from_path(minilm_dir)


@pytest.fixture(scope="module")
def words() -> Texts:
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 16, 64).astype(np.int32)
    labels = rng.integers(0, 5, 64)
    tokens = [np.concatenate([[101], rng.integers(2000, 20000, n - 2), [102]]) for n in lengths]
    return Texts(labels, lengths, tokens)


def test_its_shape_and_adapted_layers_are_known(minilm: Backbone) -> None:
    assert (minilm.n_layers, minilm.width, minilm.most_tokens, minilm.pooling) == (6, 384, 512, "mean")
    layout = minilm.layout(SPEC, 20)
    assert list(layout.shapes.values()) == [(384, 384)] * 6
    assert minilm.lowest_adapted(SPEC) == 3


def test_its_features_put_like_meanings_together(minilm: Backbone, minilm_dir: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm_dir)
    texts = ["The bus is late because of traffic.", "Traffic delays the bus.", "She cooked soup for dinner."]
    batch = {k: np.asarray(v) for k, v in tokenizer(texts, padding=True).items()}
    features = torch.nn.functional.normalize(minilm.features(batch), dim=1)
    like, unlike = float(features[0] @ features[1]), float(features[0] @ features[2])
    assert like > 0.7
    assert unlike < 0.3


def test_a_cohort_of_mixed_ranks_equals_peft(minilm: Backbone, minilm_dir: Path, words: Texts) -> None:
    layout = minilm.layout(SPEC, 5)
    adapters = [init_adapter(layout, rank, rank) for rank in (2, 16, 4)]
    schedules = [np.random.default_rng(s).integers(0, 64, (steps, 8)) for s, steps in enumerate((3, 2, 3))]
    training = LocalTraining(eps=1e-6)  # the gradients of the first step are all but zero: the head is zero
    results = CohortTrainer(minilm, SPEC, training).train(words, adapters, schedules)
    for adapter, schedule, result in zip(adapters, schedules, results, strict=True):
        alone = PeftVehicle(minilm_dir, adapter, "mean")
        alone.train(words, schedule, training)
        assert distance(result.adapter, alone.result()) < 1e-5


def test_the_prefix_cache_changes_not_one_bit(minilm: Backbone, words: Texts) -> None:
    adapter = init_adapter(minilm.layout(SPEC, 5), 4, 0)
    schedule = np.random.default_rng(0).integers(0, 64, (2, 8))
    (kept,), (fresh,) = (
        CohortTrainer(minilm, SPEC, LocalTraining(), cache).train(words, [adapter], [schedule])
        for cache in (PrefixCache(), PrefixCache(0))
    )
    assert distance(kept.adapter, fresh.adapter) == 0.0


def test_a_local_step_costs_the_counted_flops(minilm: Backbone) -> None:
    # 6 layers forward and a little under 3 back, 12·384² weights each, 2 FLOPs a weight and token.
    layers_and_tokens = 2 * 12 * 384**2 * 8 * 32
    low, high = (step_flops(minilm, SPEC, rank, 8, 32, 20) for rank in (1, 16))
    assert 8.5 * layers_and_tokens < low < high < 9.5 * layers_and_tokens
