"""The aggregated model's measures against one plain pass per example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fleetlora.lora import (
    Adapter,
    Backbone,
    CohortTrainer,
    Examples,
    LocalTraining,
    LoraSpec,
    Metrics,
    init_adapter,
)
from fleetlora.lora.metrics import tally
from tests.lora.reference import PeftVehicle, trained_like

SPEC = LoraSpec(target_modules=("query", "dense"), layers=(-2, -1))


@pytest.fixture(params=["text", "image"])
def case(request: pytest.FixtureRequest) -> tuple[Backbone, Path, Examples, Adapter]:
    kind = {"text": ("bert", "texts"), "image": ("vit", "images")}[request.param]
    backbone, examples = (request.getfixturevalue(name) for name in kind)
    adapter = trained_like(init_adapter(backbone.layout(SPEC, 5), 6, 0), 1, size=0.3)
    return backbone, request.getfixturevalue(f"{kind[0]}_dir"), examples, adapter


@pytest.mark.parametrize("block_tokens", [None, 1, 40])
def test_evaluation_is_pefts_model_example_by_example(
    case: tuple[Backbone, Path, Examples, Adapter], block_tokens: int | None
) -> None:
    backbone, directory, examples, adapter = case
    alone = PeftVehicle(directory, adapter, backbone.pooling)
    with torch.no_grad():
        logits = torch.cat([alone.logits(examples.batch(np.array([r]))) for r in range(len(examples.labels))])
    expected = tally(logits, examples.labels)
    engine = CohortTrainer(backbone, SPEC, LocalTraining(), block_tokens=block_tokens)
    found = engine.evaluate(examples, adapter)
    assert (found.correct, found.count) == (expected.correct, expected.count)
    assert found.loss_sum == pytest.approx(expected.loss_sum, rel=1e-5)


def test_rows_are_measured_as_often_as_they_are_named(case: tuple[Backbone, Path, Examples, Adapter]) -> None:
    backbone, _, examples, adapter = case
    engine = CohortTrainer(backbone, SPEC, LocalTraining())
    once, thrice = (engine.evaluate(examples, adapter, np.array(rows)) for rows in ([4], [4, 4, 4]))
    assert thrice.count == 3
    assert thrice.loss == pytest.approx(once.loss)


def test_no_rows_measure_nothing(case: tuple[Backbone, Path, Examples, Adapter]) -> None:
    backbone, _, examples, adapter = case
    found = CohortTrainer(backbone, SPEC, LocalTraining()).evaluate(examples, adapter, np.empty(0, int))
    assert found.count == 0
    assert np.isnan([found.accuracy, found.loss]).all()


def test_evaluation_leaves_the_weights_as_they_were(case: tuple[Backbone, Path, Examples, Adapter]) -> None:
    backbone, _, examples, adapter = case
    weights = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    CohortTrainer(backbone, SPEC, LocalTraining()).evaluate(examples, adapter, base=adapter)
    assert all(torch.equal(value, weights[name]) for name, value in backbone.model.state_dict().items())


def test_progress_reaches_the_number_of_samples(case: tuple[Backbone, Path, Examples, Adapter]) -> None:
    backbone, _, examples, adapter = case
    seen: list[tuple[int, int]] = []
    engine = CohortTrainer(backbone, SPEC, LocalTraining(), block_tokens=40)
    engine.evaluate(examples, adapter, progress=lambda *count: seen.append(count))
    assert seen[-1] == (len(examples.labels),) * 2


def test_metrics_add_up_and_never_average_averages() -> None:
    logits = torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 2, 0], [0, 0, 2], [2, 0, 0]])
    labels = np.array([0, 1, 0, 2, 1])
    whole = tally(logits, labels)
    parts = tally(logits[:1], labels[:1]) + tally(logits[1:], labels[1:])
    assert (parts.correct, parts.count) == (whole.correct, whole.count) == (3, 5)
    assert parts.loss == pytest.approx(whole.loss)
    assert whole.accuracy == 0.6
    assert Metrics.total([]).count == 0
