"""What every registered aggregation rule keeps, and how the rules relate to each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fleetlora.errors import InputError
from fleetlora.lora import (
    AGGREGATION_RULES,
    Adapter,
    AggregationRule,
    Backbone,
    CohortTrainer,
    LocalTerms,
    LocalTraining,
    LoraSpec,
    init_adapter,
)
from tests.lora.conftest import Texts
from tests.lora.reference import trained_like
from tests.lora.updates import LAYOUT, assert_same_product, dense, product, products, update

NAMES = list(AGGREGATION_RULES)
WEIGHTS = [3.0, 1.0, 4.0, 2.0]
SPEC = LoraSpec(target_modules=("query", "value"), layers=(1, 2), alpha=8.0)


def make(name: str, **options: object) -> AggregationRule:
    return AGGREGATION_RULES.get(name)(**options)


def trained(received: Adapter, seed: int, terms: LocalTerms) -> Adapter:
    """Return random training of what a rule lets train."""
    after = trained_like(received, seed)
    A = after.A if terms.train_a else {name: value.clone() for name, value in received.A.items()}
    return Adapter(after.rank, after.alpha, A, after.B, after.head)


def round_of(rule: AggregationRule, model: Adapter, seed: int, ranks: tuple[int, ...]) -> list[Adapter]:
    """Return the uploads of one round's vehicles."""
    uploads = []
    for vehicle, rank in enumerate(ranks):
        init = rule.init(LAYOUT, rank, 0, draw=100 * seed + vehicle)
        sent = rule.dispatch(model, rank, init)
        uploads.append(rule.collect(sent, trained(sent, 10 * seed + vehicle, rule.terms(rank))))
    return uploads


def play(rule: AggregationRule, ranks: tuple[int, ...], rounds: int = 3) -> Adapter:
    model = rule.start(init_adapter(LAYOUT, max(ranks), 0))
    for seed in range(rounds):
        model = rule.merge(round_of(rule, model, seed, ranks), [1.0 + v for v in range(len(ranks))], model)
    return rule.combine([model, model], [1, 1])


def ranks_for(name: str) -> tuple[int, ...]:
    return (4, 4, 4) if name == "fedit" else (1, 4, 2)


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_is_deterministic(name: str) -> None:
    first, second = (play(make(name), ranks_for(name)).tensors() for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_averages_heads_by_samples_and_hands_them_on(name: str) -> None:
    rule = make(name)
    model = rule.start(init_adapter(LAYOUT, 4, 0))
    uploads = round_of(rule, model, 1, ranks_for(name))
    merged = rule.merge(uploads, [1, 2, 5], model)
    for part in ("weight", "bias"):
        mean = sum(w * a.head[part] for w, a in zip([1, 2, 5], uploads, strict=True)) / 8
        torch.testing.assert_close(merged.head[part], mean)
    received = rule.dispatch(merged, 4, rule.init(LAYOUT, 4, 0, draw=1))
    assert torch.equal(received.head["weight"], merged.head["weight"])


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_dispatches_the_rank_asked_for_over_the_layers_of_init(name: str) -> None:
    rule = make(name)
    model = rule.start(init_adapter(LAYOUT, 4, 0))
    model = rule.merge(round_of(rule, model, 1, ranks_for(name)), [1, 1, 1], model)
    for rank in (4,) if name == "fedit" else (1, 3, 4, 9):
        init = rule.init(LAYOUT, rank, 0, draw=7)
        received = rule.dispatch(model, rank, init)
        assert received.rank == rank
        assert received.names == init.names
        for layer in init.names:
            assert received.A[layer].any(dim=1).all(), "every rank can train"
            assert received.A[layer].shape == init.A[layer].shape
            assert received.B[layer].shape == init.B[layer].shape


@pytest.mark.parametrize("name", NAMES)
def test_what_any_rule_dispatches_shares_no_memory_with_its_model(name: str) -> None:
    rule = make(name)
    model = play(rule, ranks_for(name))
    before = {key: value.clone() for key, value in model.tensors().items()}
    for value in rule.dispatch(model, 4, rule.init(LAYOUT, 4, 0, draw=1)).tensors().values():
        value.add_(1.0)
    assert all(torch.equal(value, before[key]) for key, value in model.tensors().items())


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_merges_heads_alone_to_a_head_alone(name: str) -> None:
    rule = make(name)
    model = rule.start(init_adapter(LAYOUT, 0, 0))
    heads = [trained_like(rule.dispatch(model, 0, rule.init(LAYOUT, 0, 0, draw=v)), v) for v in range(3)]
    merged = rule.merge([rule.collect(model, head) for head in heads], [1, 1, 1], model)
    assert (merged.rank, merged.names, rule.base(merged)) == (0, (), None)


@pytest.mark.parametrize("name", NAMES)
def test_an_untrained_model_dispatches_the_initialisation(name: str) -> None:
    rule = make(name)
    model = rule.start(init_adapter(LAYOUT, 4, 0))
    init = rule.init(LAYOUT, 2, 0, draw=3)
    received = rule.dispatch(model, 2, init)
    assert rule.base(model) is None
    assert all(torch.equal(received.A[n], init.A[n]) and not received.B[n].any() for n in init.names)


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_refuses_senseless_weights_and_updates_that_diverged(name: str) -> None:
    rule = make(name)
    model = rule.start(init_adapter(LAYOUT, 4, 0))
    uploads = round_of(rule, model, 1, ranks_for(name))
    with pytest.raises(InputError, match="weights"):
        rule.merge(uploads, [1.0, -1.0, 1.0], model)
    next(iter(uploads[1].B.values()))[0, 0] = float("nan")
    with pytest.raises(InputError, match="diverged"):
        rule.merge(uploads, [1.0, 1.0, 1.0], model)


@pytest.mark.parametrize("name", NAMES)
def test_traffic_grows_with_the_rank_and_a_models_bytes_cover_its_head(name: str) -> None:
    rule = make(name)
    model = play(rule, ranks_for(name))
    traffic = rule.traffic(LAYOUT, np.array([0, 1, 4]), model)
    assert traffic.up_bytes.dtype == traffic.down_bytes.dtype == np.int64
    assert (np.diff(traffic.up_bytes) > 0).all()
    assert (traffic.down_bytes >= traffic.up_bytes[0]).all()
    assert rule.model_bytes(model) > traffic.up_bytes[0] == 4 * LAYOUT.head + 1024
    half = make(name, bytes_per_param=2)
    assert half.model_bytes(model) - 1024 == (rule.model_bytes(model) - 1024) // 2


@pytest.mark.parametrize("name", ["product", "flora", "flexlora", "ffa"])
def test_vehicles_to_rsus_to_cloud_is_the_same_as_all_at_once(name: str) -> None:
    rule = make(name)
    model = play(rule, (1, 4, 2), rounds=1)
    uploads = round_of(rule, model, 5, (1, 4, 2, 8))
    flat = rule.merge(uploads, WEIGHTS, model)
    left = rule.merge(uploads[:2], WEIGHTS[:2], model)
    right = rule.merge(uploads[2:], WEIGHTS[2:], model)
    cloud = rule.combine([left, right], [sum(WEIGHTS[:2]), sum(WEIGHTS[2:])])
    assert_same_product(cloud, products(flat))
    for part, value in flat.head.items():
        torch.testing.assert_close(cloud.head[part], value)


def test_heads_heard_by_row_are_the_same_from_vehicles_to_rsus_to_cloud_as_all_at_once() -> None:
    rule = make("product", keep_classes=True)
    model = play(rule, (1, 4, 2), rounds=1)
    changed = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0]], dtype=torch.bool)
    uploads = [
        upload.with_head(
            {
                name: torch.where(mine if value.dim() == 1 else mine[:, None], value, model.head[name])
                for name, value in upload.head.items()
            }
        )
        for upload, mine in zip(round_of(rule, model, 5, (1, 4, 2, 8)), changed, strict=True)
    ]
    flat = rule.merge(uploads, WEIGHTS, model)
    pairs = (slice(0, 2), slice(2, 4))
    rsus = [rule.merge(uploads[pair], WEIGHTS[pair], model) for pair in pairs]
    rows = torch.tensor(WEIGHTS, dtype=torch.float64)[:, None] * changed
    behind = [sum(WEIGHTS[pair]) for pair in pairs]
    cloud = rule.combine_rows(rsus, behind, model, torch.stack([rows[pair].sum(0) for pair in pairs]))
    assert_same_product(cloud, products(flat))
    for part, value in flat.head.items():
        torch.testing.assert_close(cloud.head[part], value)
        assert torch.equal(cloud.head[part][3], model.head[part][3]), "nobody changed it"


@pytest.mark.parametrize(
    ("name", "options"), [*((name, {}) for name in NAMES), ("product", {"keep_classes": True})]
)
def test_rows_that_every_vehicle_changed_combine_to_the_same_bits_as_whole_heads(
    name: str, options: dict[str, bool]
) -> None:
    rule = make(name, **options)
    model = play(rule, ranks_for(name), rounds=1)
    rsus = [rule.merge(round_of(rule, model, seed, ranks_for(name)), [1, 1, 1], model) for seed in (5, 6, 7)]
    weights = [30.0, 7.0, 11.0]
    rows = torch.tensor(weights, dtype=torch.float64)[:, None].expand(3, 4)
    whole = rule.combine(rsus, weights, model).tensors()
    by_row = rule.combine_rows(rsus, weights, model, rows).tensors()
    assert all(torch.equal(value, by_row[key]) for key, value in whole.items())


def test_flora_is_product_is_flexlora_at_full_rank() -> None:
    """Two rounds: fresh factors over a base against one adapter of full rank that holds the same."""
    updates = [update(rank, seed) for seed, rank in enumerate((1, 4, 2, 8))]
    start = {name: make(name).start(init_adapter(LAYOUT, 4, 0)) for name in ("flora", "product", "flexlora")}
    first = {name: make(name).merge(updates, WEIGHTS, model) for name, model in start.items()}
    for model in first.values():
        assert_same_product(model, {n: dense(updates, WEIGHTS, n) for n in LAYOUT.shapes})
    gains = [update(rank, seed) for seed, rank in enumerate((2, 2, 3, 1), start=9)]
    second = {"flora": make("flora").merge(gains, WEIGHTS, first["flora"])}
    for name in ("product", "flexlora"):  # each vehicle trained the whole model by its gain
        whole = [make(name).merge([first[name], gain], [1, 1], gain) for gain in gains]
        doubled = [Adapter(a.rank, 2 * a.alpha, a.A, a.B, a.head) for a in whole]
        second[name] = make(name).merge(doubled, WEIGHTS, first[name])
    expected = {n: dense(updates, WEIGHTS, n) + dense(gains, WEIGHTS, n) for n in LAYOUT.shapes}
    for model in second.values():
        assert_same_product(model, expected)


@pytest.mark.parametrize("rank", [1, 3, 9])
def test_product_and_flexlora_dispatch_the_same(rank: int) -> None:
    updates = [update(r, seed) for seed, r in enumerate((1, 4, 2, 8))]
    received = []
    for name in ("product", "flexlora"):
        rule = make(name)
        model = rule.merge(updates, WEIGHTS, updates[0])
        received.append(rule.dispatch(model, rank, rule.init(LAYOUT, rank, 0)))
    assert_same_product(received[0], products(received[1]))


def test_hetlora_of_one_rank_without_tail_is_fedit_when_samples_weigh() -> None:
    updates = [update(4, seed) for seed in range(4)]
    ours = make("hetlora", gamma=1.0, weighting="samples").merge(updates, WEIGHTS, updates[0])
    theirs = make("fedit").merge(updates, WEIGHTS, updates[0])
    assert all(torch.equal(value, theirs.tensors()[key]) for key, value in ours.tensors().items())


def test_hetlora_of_one_rank_is_fedit_when_norms_are_equal() -> None:
    base = update(3, 0)
    updates = [base]
    for sign in (-1.0, 1.0):  # other factors, the same norm of the product
        A = {n: sign * value.flip(0) for n, value in base.A.items()}
        updates.append(Adapter(3, 16.0, A, {n: value.flip(1) for n, value in base.B.items()}, base.head))
    ours = make("hetlora").merge(updates, [1, 1, 1], base)
    theirs = make("fedit").merge(updates, [1, 1, 1], base)
    for key, value in ours.tensors().items():
        torch.testing.assert_close(value, theirs.tensors()[key])


def test_norms_weigh_at_the_cloud_too() -> None:
    rule = make("hetlora")
    model = rule.start(init_adapter(LAYOUT, 8, 0))
    uploads = round_of(rule, model, 2, (1, 4, 2, 8))
    flat = rule.merge(uploads, WEIGHTS, model)
    rsus = [rule.merge([one], [weight], model) for one, weight in zip(uploads, WEIGHTS, strict=True)]
    cloud = rule.combine(rsus, WEIGHTS)
    for key, value in flat.tensors().items():
        torch.testing.assert_close(cloud.tensors()[key], value)


def test_ffa_is_product_since_a_is_common() -> None:
    rule = make("ffa")
    model = rule.start(init_adapter(LAYOUT, 8, 0))
    uploads = round_of(rule, model, 1, (1, 4, 2, 8))
    assert_same_product(
        rule.merge(uploads, WEIGHTS, model), products(make("product").merge(uploads, WEIGHTS, model))
    )


def test_fedit_is_not_product() -> None:
    updates = [update(4, seed) for seed in range(4)]
    biased = make("fedit").merge(updates, WEIGHTS, updates[0])
    error = torch.linalg.norm(product(biased, "top.query") - dense(updates, WEIGHTS, "top.query"))
    assert error > 0.1 * torch.linalg.norm(dense(updates, WEIGHTS, "top.query"))


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_trains_a_round_on_a_model_and_survives_merge_combine_and_dispatch(
    name: str, bert: Backbone, texts: Texts
) -> None:
    trainer = CohortTrainer(bert, SPEC, LocalTraining(steps=2, batch_size=4, learning_rate=0.01))
    layout = bert.layout(SPEC, 5)
    rule = make(name)
    model = rule.start(init_adapter(layout, 4, 0))
    schedule = np.arange(24).reshape(3, 2, 4)
    for number in range(2):
        ranks = ranks_for(name)
        inits = [rule.init(layout, rank, 0, draw=10 * number + v) for v, rank in enumerate(ranks)]
        sent = [rule.dispatch(model, rank, init) for rank, init in zip(ranks, inits, strict=True)]
        results = trainer.train(
            texts, sent, list(schedule), base=rule.base(model), terms=rule.terms(max(ranks))
        )
        uploads = [rule.collect(a, r.adapter) for a, r in zip(sent, results, strict=True)]
        before = model
        model = rule.combine([rule.merge(uploads, [2, 1, 1], model), model], [3, 1])
        assert model.trained
        assert trainer.evaluate(texts, model).loss != trainer.evaluate(texts, before).loss
