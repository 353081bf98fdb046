"""A cohort trained in one batched pass is every vehicle trained alone with PEFT and torch's AdamW."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fleetlora.lora import Adapter, Backbone, CohortTrainer, Examples, LocalTraining, LoraSpec, init_adapter
from tests.lora.reference import PeftVehicle, distance, trained_like

RANKS = (1, 4, 2, 8, 4)
STEPS = (3, 4, 1, 2, 4)

QUERY_VALUE = LoraSpec(target_modules=("query", "value"), layers=(-2, -1))
EVERYTHING = LoraSpec(target_modules=("query", "key", "value", "dense"), alpha=8.0)


def cohort(
    backbone: Backbone, spec: LoraSpec, count: int, classes: int = 5
) -> tuple[list[Adapter], list[np.ndarray]]:
    rng = np.random.default_rng(3)
    layout = backbone.layout(spec, classes)
    adapters = [trained_like(init_adapter(layout, r, seed), seed) for seed, r in enumerate(RANKS)]
    schedules = [rng.integers(0, count, size=(steps, 4)) for steps in STEPS]
    return adapters, schedules


def assert_equals_peft(
    backbone: Backbone, directory: Path, spec: LoraSpec, examples: Examples, training: LocalTraining
) -> None:
    adapters, schedules = cohort(backbone, spec, len(examples.labels))
    results = CohortTrainer(backbone, spec, training).train(examples, adapters, schedules)
    for adapter, schedule, result in zip(adapters, schedules, results, strict=True):
        alone = PeftVehicle(directory, adapter, backbone.pooling)
        loss = alone.train(examples, schedule, training)
        assert result.train_loss == pytest.approx(loss, abs=1e-5)
        assert distance(result.adapter, alone.result()) < 1e-5
        assert distance(result.adapter, adapter) > 1e-3


@pytest.mark.parametrize("spec", [QUERY_VALUE, EVERYTHING], ids=["query-value", "everything"])
def test_text_cohort_of_mixed_ranks_and_steps_equals_peft(
    bert: Backbone, bert_dir: Path, texts: Examples, spec: LoraSpec
) -> None:
    assert_equals_peft(bert, bert_dir, spec, texts, LocalTraining(weight_decay=0.05))


@pytest.mark.parametrize("spec", [QUERY_VALUE, EVERYTHING], ids=["query-value", "everything"])
def test_image_cohort_of_mixed_ranks_and_steps_equals_peft(
    vit: Backbone, vit_dir: Path, images: Examples, spec: LoraSpec
) -> None:
    assert_equals_peft(vit, vit_dir, spec, images, LocalTraining(weight_decay=0.05))


def test_gradient_clipping_equals_peft(bert: Backbone, bert_dir: Path, texts: Examples) -> None:
    assert_equals_peft(bert, bert_dir, QUERY_VALUE, texts, LocalTraining(max_grad_norm=0.1))
