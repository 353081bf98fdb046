"""Cohorts: who trains beside a vehicle, how memory is bounded, and what is measured change no result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fleetlora.errors import InputError
from fleetlora.lora import (
    Adapter,
    Backbone,
    CohortTrainer,
    LocalTerms,
    LocalTraining,
    LoraSpec,
    PrefixCache,
    init_adapter,
)
from tests.lora.conftest import Images, Texts
from tests.lora.reference import PeftVehicle, distance, trained_like

SPEC = LoraSpec(target_modules=("query", "value", "output.dense"), layers=(-2, -1))
TRAINING = LocalTraining(weight_decay=0.02)
RANKS = (1, 4, 2, 8, 4, 1)
STEPS = (3, 2, 4, 1, 0, 3)


def make_cohort(
    backbone: Backbone, count: int, spec: LoraSpec = SPEC
) -> tuple[list[Adapter], list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(5)
    layout = backbone.layout(spec, 5)
    adapters = [trained_like(init_adapter(layout, r, seed), seed) for seed, r in enumerate(RANKS)]
    schedules = [rng.integers(0, count, size=(steps, 2 + v % 3)) for v, steps in enumerate(STEPS)]
    holdout = [rng.integers(0, count, size=size) for size in (5, 0, 3, 8, 4, 1)]
    return adapters, schedules, holdout


@pytest.fixture
def cohort(bert: Backbone, texts: Texts) -> tuple[list[Adapter], list[np.ndarray], list[np.ndarray]]:
    return make_cohort(bert, len(texts.labels))


def trainer(bert: Backbone, training: LocalTraining = TRAINING, **options: int) -> CohortTrainer:
    return CohortTrainer(bert, SPEC, training, PrefixCache(), **options)


def test_results_come_in_the_callers_order_and_shapes(
    bert: Backbone, texts: Texts, cohort: tuple[list[Adapter], list[np.ndarray], list[np.ndarray]]
) -> None:
    adapters, schedules, holdout = cohort
    results = trainer(bert).train(texts, adapters, schedules, holdout)
    for adapter, schedule, rows, result in zip(adapters, schedules, holdout, results, strict=True):
        shapes = {name: value.shape for name, value in adapter.tensors().items()}
        assert {name: value.shape for name, value in result.adapter.tensors().items()} == shapes
        assert (result.adapter.rank, result.steps, result.samples) == (
            adapter.rank,
            len(schedule),
            schedule.size,
        )
        assert (result.after is None) == (len(rows) == 0)


def test_a_vehicle_trains_alone_as_it_does_in_a_cohort(
    bert: Backbone, texts: Texts, cohort: tuple[list[Adapter], list[np.ndarray], list[np.ndarray]]
) -> None:
    adapters, schedules, holdout = cohort
    together = trainer(bert).train(texts, adapters, schedules, holdout)
    for v, result in enumerate(together):
        (alone,) = trainer(bert).train(texts, [adapters[v]], [schedules[v]], [holdout[v]])
        assert distance(result.adapter, alone.adapter) < 1e-5
        assert result.loss_after == pytest.approx(alone.loss_after, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize("block_tokens", [1, 30, 100])
def test_splitting_a_cohort_into_small_passes_changes_nothing(
    bert: Backbone,
    texts: Texts,
    cohort: tuple[list[Adapter], list[np.ndarray], list[np.ndarray]],
    block_tokens: int,
) -> None:
    whole = trainer(bert).train(texts, *cohort)
    split = trainer(bert, block_tokens=block_tokens).train(texts, *cohort)
    for ours, theirs in zip(split, whole, strict=True):
        assert distance(ours.adapter, theirs.adapter) < 1e-5
        assert ours.train_loss == pytest.approx(theirs.train_loss, abs=1e-5, nan_ok=True)
        assert ours.accuracy_after == pytest.approx(theirs.accuracy_after, nan_ok=True)


def test_splitting_for_memory_changes_nothing(
    bert: Backbone,
    texts: Texts,
    cohort: tuple[list[Adapter], list[np.ndarray], list[np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = trainer(bert).train(texts, *cohort)
    monkeypatch.setattr("fleetlora.lora.members.STATE_BYTES", 1)
    split = trainer(bert).train(texts, *cohort)
    assert max(distance(a.adapter, b.adapter) for a, b in zip(split, whole, strict=True)) < 1e-5


def test_with_own_classes_the_rows_of_all_other_classes_stay(
    bert: Backbone, texts: Texts, cohort: tuple[list[Adapter], list[np.ndarray], list[np.ndarray]]
) -> None:
    adapters, schedules, _ = cohort
    first = [schedule[:1] for schedule in schedules]  # in the first step nothing has been kept yet
    plain = trainer(bert, LocalTraining()).train(texts, adapters, first)
    own = trainer(bert, LocalTraining(own_classes=True)).train(texts, adapters, first)
    longer = trainer(bert, LocalTraining(own_classes=True, max_grad_norm=0.1)).train(
        texts, adapters, schedules
    )
    kept = 0
    for v, (adapter, schedule) in enumerate(zip(adapters, schedules, strict=True)):
        for result, seen in ((own[v], first[v]), (longer[v], schedule)):
            mine = np.isin(np.arange(adapter.n_classes), texts.labels[seen])
            kept += int((~mine).sum())
            for name, row in adapter.head.items():
                assert torch.equal(result.adapter.head[name][~mine], row[~mine])
                assert (result.adapter.head[name][mine] != row[mine]).any() == mine.any()
        mine = np.isin(np.arange(adapter.n_classes), texts.labels[first[v]])
        torch.testing.assert_close(own[v].adapter.head["bias"][mine], plain[v].adapter.head["bias"][mine])
        assert distance(replace(own[v].adapter, head={}), replace(plain[v].adapter, head={})) == 0.0
    assert kept > 20


def test_own_classes_and_weight_decay_are_refused_together() -> None:
    with pytest.raises(ValueError, match="weight_decay would shrink"):
        LocalTraining(own_classes=True, weight_decay=0.1)


def test_equal_inputs_give_bit_equal_results(
    bert: Backbone, texts: Texts, cohort: tuple[list[Adapter], list[np.ndarray], list[np.ndarray]]
) -> None:
    first = trainer(bert).train(texts, *cohort)
    second = trainer(bert).train(texts, *cohort)
    assert all(distance(a.adapter, b.adapter) == 0.0 for a, b in zip(first, second, strict=True))
    assert [r.train_loss for r in first if r.steps] == [r.train_loss for r in second if r.steps]


@pytest.mark.parametrize("family", ["text", "image"])
@pytest.mark.parametrize("train_adapter", [True, False])
def test_the_prefix_cache_changes_not_one_bit(
    family: str, train_adapter: bool, bert: Backbone, vit: Backbone, texts: Texts, images: Images
) -> None:
    backbone, examples = (bert, texts) if family == "text" else (vit, images)
    adapters, schedules, holdout = make_cohort(backbone, len(examples.labels))
    if not train_adapter:
        adapters = [adapter.head_only() for adapter in adapters]
    training = LocalTraining(train_adapter=train_adapter)
    results = [
        CohortTrainer(backbone, SPEC, training, cache).train(examples, adapters, schedules, holdout)
        for cache in (PrefixCache(), PrefixCache(20_000), PrefixCache(0))
    ]
    for kept, held, fresh in zip(*results, strict=True):
        assert distance(kept.adapter, fresh.adapter) == 0.0
        assert distance(kept.adapter, held.adapter) == 0.0


def test_training_moves_what_it_should_and_leaves_the_rest(
    bert: Backbone, texts: Texts, cohort: tuple[list[Adapter], list[np.ndarray], list[np.ndarray]]
) -> None:
    weights = {name: value.clone() for name, value in bert.model.state_dict().items()}
    inputs = [{name: value.clone() for name, value in a.tensors().items()} for a in cohort[0]]
    results = trainer(bert).train(texts, *cohort, base=trained_like(cohort[0][1], 77))
    assert all(torch.equal(value, weights[name]) for name, value in bert.model.state_dict().items())
    assert not any(module._forward_hooks for module in bert.layers.modules())
    for adapter, before, result in zip(cohort[0], inputs, results, strict=True):
        assert all(torch.equal(value, before[name]) for name, value in adapter.tensors().items())
        assert (distance(result.adapter, adapter) > 1e-4) == (result.steps > 0)


def test_a_failure_midway_restores_the_backbone(bert: Backbone, texts: Texts) -> None:
    adapters, schedules, _ = make_cohort(bert, len(texts.labels))
    weights = {name: value.clone() for name, value in bert.model.state_dict().items()}

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(bert).train(texts, adapters, schedules, base=trained_like(adapters[0], 1), progress=stop)
    assert all(torch.equal(value, weights[name]) for name, value in bert.model.state_dict().items())
    assert not any(module._forward_hooks for module in bert.layers.modules())


def test_negative_rows_are_no_samples(bert: Backbone, bert_dir: Path, texts: Texts) -> None:
    adapter = make_cohort(bert, 1)[0][1]
    schedule = np.array([[3, -1, 7, -1], [-1, -1, 5, 9]])
    (result,) = trainer(bert).train(texts, [adapter], [schedule])
    alone = PeftVehicle(bert_dir, adapter, "mean")
    alone.train(texts, schedule, TRAINING)
    assert distance(result.adapter, alone.result()) < 1e-5
    assert result.samples == 4


def test_holdout_metrics_are_those_of_the_adapters(
    bert: Backbone, texts: Texts, cohort: tuple[list[Adapter], list[np.ndarray], list[np.ndarray]]
) -> None:
    adapters, _, holdout = cohort
    engine = trainer(bert)
    for v, result in enumerate(engine.train(texts, *cohort)):
        if len(holdout[v]):
            before = engine.evaluate(texts, adapters[v], holdout[v])
            after = engine.evaluate(texts, result.adapter, holdout[v])
            assert result.before is not None
            assert result.before.count == len(holdout[v])
            assert result.loss_before == pytest.approx(before.loss, abs=1e-5)
            assert result.accuracy_before == before.accuracy
            assert result.loss_after == pytest.approx(after.loss, abs=1e-5)
            assert result.accuracy_after == after.accuracy


def test_a_rate_multiplies_both_step_sizes(bert: Backbone, texts: Texts) -> None:
    schedule = np.random.default_rng(0).integers(0, 40, (3, 4))
    start = [init_adapter(bert.layout(SPEC, 5), 4, 0)]
    trained = [
        CohortTrainer(bert, SPEC, LocalTraining(rate_factor=factor)).train(
            texts, start, [schedule], rate=rate
        )
        for factor, rate in ((2.0, 1.0), (4.0, 0.5))
    ]
    one, two = (result[0].adapter.tensors() for result in trained)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name])
    assert LocalTraining(rate_end=0.2).decay_at(0.0) == 1.0
    assert LocalTraining(rate_end=0.2).decay_at(1.0) == pytest.approx(0.2)
    assert LocalTraining(rate_end=0.2).decay_at(0.5) == pytest.approx(0.6)


def test_training_the_head_alone_is_a_linear_model_on_frozen_features(bert: Backbone, texts: Texts) -> None:
    training = LocalTraining(train_adapter=False, weight_decay=0.02)
    layout = bert.layout(SPEC, 5)
    schedule = np.random.default_rng(0).integers(0, 40, (5, 6))
    results = CohortTrainer(bert, SPEC, training).train(
        texts, [init_adapter(layout, 0, 0), init_adapter(layout, 4, 0)], [schedule, schedule]
    )
    head = torch.nn.Linear(32, 5)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    optimiser = torch.optim.AdamW(head.parameters(), lr=training.head_learning_rate, weight_decay=0.02)
    for rows in schedule:
        loss = torch.nn.functional.cross_entropy(
            head(bert.features(texts.batch(rows))), torch.from_numpy(texts.labels[rows])
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for result, rank in zip(results, (0, 4), strict=True):
        assert result.adapter.rank == rank
        torch.testing.assert_close(result.adapter.head["weight"], head.weight.detach(), atol=1e-5, rtol=1e-5)
        assert not any(B.any() for B in result.adapter.B.values())


def test_a_frozen_base_acts_under_the_adapters(bert: Backbone, texts: Texts) -> None:
    layout = bert.layout(SPEC, 5)
    base, own = trained_like(init_adapter(layout, 3, 0), 1), init_adapter(layout, 4, 2)
    both = replace(
        own,
        rank=7,
        alpha=7.0,  # scale 1: the factors below carry their own
        A={n: torch.cat([own.scale * own.A[n], base.scale * base.A[n]]) for n in own.names},
        B={n: torch.cat([own.B[n], base.B[n]], 1) for n in own.names},
        head=base.head,
    )
    engine = trainer(bert)
    rows = np.arange(20)
    assert engine.evaluate(texts, own.with_head(base.head), rows, base=base).loss == pytest.approx(
        engine.evaluate(texts, both, rows).loss, abs=1e-5
    )
    (trained,) = engine.train(texts, [own], [rows.reshape(4, 5)], [rows], base=base)
    assert trained.loss_before == pytest.approx(engine.evaluate(texts, own, rows, base=base).loss, abs=1e-5)
    assert trained.loss_after == pytest.approx(
        engine.evaluate(texts, trained.adapter, rows, base=base).loss, abs=1e-5
    )


def test_frozen_factors_do_not_move(
    bert: Backbone, texts: Texts, cohort: tuple[list[Adapter], list[np.ndarray], list[np.ndarray]]
) -> None:
    adapters, schedules, _ = cohort
    results = trainer(bert).train(texts, adapters, schedules, terms=LocalTerms(train_a=False))
    for adapter, result in zip(adapters, results, strict=True):
        assert all(torch.equal(result.adapter.A[n], adapter.A[n]) for n in adapter.names)
        if result.steps:
            assert any(not torch.equal(result.adapter.B[n], adapter.B[n]) for n in adapter.names)


def test_a_penalty_counts_once_however_a_batch_is_cut(bert: Backbone, texts: Texts) -> None:
    adapters, schedules, _ = make_cohort(bert, len(texts.labels))

    def tail(A: dict[str, torch.Tensor], B: dict[str, torch.Tensor], ranks: torch.Tensor) -> torch.Tensor:
        assert len(ranks) == len(next(iter(A.values())))
        return 0.5 * sum(B[n].square().sum((1, 2)) for n in B)

    terms = LocalTerms(penalty=tail)
    whole = trainer(bert).train(texts, adapters, schedules, terms=terms)
    cut = trainer(bert, block_tokens=1).train(texts, adapters, schedules, terms=terms)
    plain = trainer(bert).train(texts, adapters, schedules)
    for ours, theirs, without in zip(cut, whole, plain, strict=True):
        assert distance(ours.adapter, theirs.adapter) < 1e-5
        if ours.steps:
            assert distance(ours.adapter, without.adapter) > 1e-3


def test_vehicles_may_hold_different_layers(bert: Backbone, bert_dir: Path, texts: Texts) -> None:
    whole = make_cohort(bert, 1)[0][1]
    half = [name for name in whole.names if ".2." in name]
    part = replace(whole, A={n: whole.A[n] for n in half}, B={n: whole.B[n] for n in half})
    schedule = np.arange(12).reshape(3, 4)
    results = trainer(bert).train(texts, [whole, part], [schedule, schedule])
    for adapter, result in zip((whole, part), results, strict=True):
        alone = PeftVehicle(bert_dir, adapter, "mean")
        alone.train(texts, schedule, TRAINING)
        assert distance(result.adapter, alone.result()) < 1e-5


def test_bfloat16_trains_near_float32(bert: Backbone, texts: Texts) -> None:
    adapters, schedules, holdout = make_cohort(bert, len(texts.labels))
    half = LocalTraining(dtype="bfloat16")
    exact = CohortTrainer(bert, SPEC, LocalTraining()).train(texts, adapters, schedules, holdout)
    rough = CohortTrainer(bert, SPEC, half).train(texts, adapters, schedules, holdout)
    for a, b in zip(rough, exact, strict=True):
        assert a.adapter.A[a.adapter.names[0]].dtype == torch.float32
        assert a.loss_after == pytest.approx(b.loss_after, abs=0.1, nan_ok=True)


def test_training_on_learnable_texts_learns_them(bert: Backbone, texts: Texts) -> None:
    adapter = init_adapter(bert.layout(SPEC, 5), 4, 0)
    schedule = np.stack([np.random.default_rng(e).permutation(96)[:32] for e in range(60)])
    training = LocalTraining(learning_rate=5e-3, head_learning_rate=2e-2)
    (result,) = CohortTrainer(bert, SPEC, training).train(texts, [adapter], [schedule], [np.arange(96)])
    assert result.accuracy_before < 0.4
    assert result.accuracy_after > 0.9


def test_progress_counts_every_sample(
    bert: Backbone, texts: Texts, cohort: tuple[list[Adapter], list[np.ndarray], list[np.ndarray]]
) -> None:
    seen: list[tuple[int, int]] = []
    trainer(bert).train(texts, *cohort, progress=lambda done, total: seen.append((done, total)))
    total = sum(s.size for s in cohort[1]) + 2 * sum(len(h) for h in cohort[2])
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_empty_cohort_trains_to_nothing(bert: Backbone, texts: Texts) -> None:
    assert trainer(bert).train(texts, [], [], []) == []


def test_lists_that_do_not_match_are_refused(bert: Backbone, texts: Texts) -> None:
    adapters, schedules, _ = make_cohort(bert, 96)
    with pytest.raises(InputError, match="6 adapters, 5 schedules and 6 holdouts do not match"):
        trainer(bert).train(texts, adapters, schedules[:5])


@pytest.mark.parametrize(
    ("schedule", "holdout", "message"),
    [
        (np.array([[0, 96]]), [], "outside the 96 examples"),
        (np.array([[0, 1]]), [96], "outside the 96 examples"),
        (np.array([[0, 1]]), [-1], "outside the 96 examples"),
        (np.array([[0, 1], [-1, -1]]), [], "a step holds no sample"),
        (np.array([0, 1]), [], r"a schedule is \(steps, batch\)"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(
    bert: Backbone, texts: Texts, schedule: np.ndarray, holdout: list[int], message: str
) -> None:
    adapter = make_cohort(bert, 96)[0][0]
    with pytest.raises(InputError, match=f"vehicle 0 of the cohort: .*{message}"):
        trainer(bert).train(texts, [adapter], [schedule], [np.array(holdout, dtype=int)])


def test_an_adapter_of_another_setting_is_refused(bert: Backbone, texts: Texts) -> None:
    other = init_adapter(bert.layout(LoraSpec(target_modules=("key",)), 5), 2, 0)
    with pytest.raises(InputError, match=r"layer encoder\.layer\.0\.attention\.self\.key"):
        trainer(bert).train(texts, [other], [np.zeros((1, 1), int)])


def test_trained_factors_are_refused_where_the_head_alone_trains(bert: Backbone, texts: Texts) -> None:
    adapter = make_cohort(bert, 96)[0][0]
    engine = CohortTrainer(bert, SPEC, LocalTraining(train_adapter=False))
    with pytest.raises(InputError, match="head alone is trained"):
        engine.evaluate(texts, adapter)


def test_an_adapter_of_another_backbone_is_refused(bert: Backbone, texts: Texts) -> None:
    good = init_adapter(bert.layout(SPEC, 5), 2, 0)
    wide = replace(good, A={n: torch.zeros(2, A.shape[1] + 1) for n, A in good.A.items()})
    with pytest.raises(InputError, match=r"the adapter's layer encoder.* is \(32, 33\)"):
        trainer(bert).train(texts, [wide], [np.zeros((1, 1), int)])


def test_heads_that_do_not_fit_the_labels_or_each_other_are_refused(bert: Backbone, texts: Texts) -> None:
    few, right = (init_adapter(bert.layout(SPEC, classes), 2, 0) for classes in (4, 5))
    with pytest.raises(InputError, match=r"heads of \[4\] classes do not fit labels up to 4"):
        trainer(bert).evaluate(texts, few)
    with pytest.raises(InputError, match=r"heads of \[4, 5\] classes"):
        trainer(bert).train(texts, [few, right], [np.zeros((1, 1), int)] * 2)
