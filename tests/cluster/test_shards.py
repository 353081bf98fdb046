"""A cohort on actors has the bits of a cohort here, also when an actor is killed in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fleetlora.cluster.shards import ShardedTrainer, Shards  # noqa: E402
from fleetlora.console import Quiet  # noqa: E402
from fleetlora.errors import FleetLoraError, InputError  # noqa: E402
from fleetlora.lora import (  # noqa: E402
    AGGREGATION_RULES,
    Adapter,
    Backbone,
    CohortTrainer,
    LocalResult,
    LocalTraining,
    LoraSpec,
    init_adapter,
)
from tests.cluster.conftest import workers  # noqa: E402
from tests.lora.conftest import Texts, bert_config, make_texts, save_model  # noqa: E402

SPEC = LoraSpec(layers=(-1, -2))
RANKS = (2, 4, 4, 2, 1, 4)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backbone]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Backbone.from_path(save_model(bert_config(), tmp_path_factory.mktemp("bert")))
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shards(cluster: Any, backbone: Backbone) -> Iterator[Shards]:
    made = Shards(cluster, backbone, 2**24, Quiet())
    assert len(made.actors) == 2
    yield made
    made.close()


def train(trainer: CohortTrainer, texts: Texts, progress: Any = None) -> tuple[list[LocalResult], Any]:
    layout, rng = trainer.backbone.layout(SPEC, 5), np.random.default_rng(0)
    adapters = [init_adapter(layout, rank, 1) for rank in RANKS]
    schedules = [rng.integers(0, 96, (2 + v % 3, 5)) for v in range(len(RANKS))]
    holdouts = [rng.integers(0, 96, 6) for _ in RANKS]
    base = init_adapter(layout, 2, 2)
    base = Adapter(2, base.alpha, base.A, {n: B + 0.01 for n, B in base.B.items()}, base.head)
    terms = AGGREGATION_RULES.get("hetlora")().terms(4)
    results = trainer.train(texts, adapters, schedules, holdouts, base=base, terms=terms, progress=progress)
    return results, trainer.evaluate(texts, results[1].adapter, base=base)


def assert_same_bits(one: tuple[list[LocalResult], Any], other: tuple[list[LocalResult], Any]) -> None:
    for a, b in zip(one[0], other[0], strict=True):
        pairs = zip(a.adapter.tensors().values(), b.adapter.tensors().values(), strict=True)
        assert all(torch.equal(x, y) for x, y in pairs)
        assert (a.train_loss, a.loss_before, a.loss_after) == (b.train_loss, b.loss_before, b.loss_after)
    assert (one[1].loss_sum, one[1].correct) == (other[1].loss_sum, other[1].correct)


@pytest.mark.slow
def test_a_cohort_on_actors_has_the_bits_of_one_here_though_an_actor_is_killed(
    shards: Shards, backbone: Backbone
) -> None:
    texts, killed = make_texts(), []
    options: dict[str, Any] = {"block_tokens": 64}  # several passes a step

    def kill_one(done: int, total: int) -> None:
        if not killed and done > total // 3:
            killed.append(workers("ray::_Holder")[0])
            os.kill(killed[0], signal.SIGKILL)

    here = train(CohortTrainer(backbone, SPEC, LocalTraining(), **options), texts)
    there = train(ShardedTrainer(backbone, SPEC, LocalTraining(), shards=shards, **options), texts, kill_one)
    assert killed
    assert_same_bits(here, there)


@pytest.mark.slow
def test_what_an_actor_finds_wrong_is_said_as_it_is_here(shards: Shards, backbone: Backbone) -> None:
    class Liar(Texts):
        def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
            return {name: value[:, :1] for name, value in super().batch(rows).items()}

    honest = make_texts()
    liar = Liar(honest.labels, honest.lengths, honest.tokens)
    with pytest.raises(InputError, match="came as batches"):
        train(ShardedTrainer(backbone, SPEC, LocalTraining(), shards=shards), liar)


@pytest.mark.slow
def test_more_threads_than_any_machine_has_cores_are_refused(cluster: Any, backbone: Backbone) -> None:
    torch.set_num_threads(3)
    try:
        with pytest.raises(FleetLoraError, match="no machine has 3 cores"):
            Shards(cluster, backbone, 0, Quiet())
    finally:
        torch.set_num_threads(1)
