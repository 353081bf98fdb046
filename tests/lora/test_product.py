"""The product rule against the dense weighted sum of s·B·A."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fleetlora.errors import ConfigError, InputError
from fleetlora.lora import AGGREGATION_RULES, Adapter, AdapterLayout, Product, adapter_bytes, init_adapter
from tests.lora.reference import trained_like

LAYOUT = AdapterLayout({"low.query": (12, 9), "low.dense": (20, 12), "top.query": (9, 12)}, 12, 4, alpha=16.0)


def update(rank: int, seed: int, alpha: float = 16.0) -> Adapter:
    layout = AdapterLayout(LAYOUT.shapes, LAYOUT.width, LAYOUT.n_classes, alpha)
    return trained_like(init_adapter(layout, rank, seed), seed)


def dense(adapters: list[Adapter], weights: list[float], name: str) -> torch.Tensor:
    total = sum(weights)
    return sum(
        (
            w / total * (a.alpha / a.rank) * a.B[name].double() @ a.A[name].double()
            for a, w in zip(adapters, weights, strict=True)
        ),
        torch.zeros(()),
    )


def product(adapter: Adapter, name: str) -> torch.Tensor:
    return (adapter.alpha / adapter.rank) * adapter.B[name].double() @ adapter.A[name].double()


def assert_same_product(adapter: Adapter, expected: dict[str, torch.Tensor]) -> None:
    for name in LAYOUT.shapes:
        torch.testing.assert_close(product(adapter, name), expected[name].double(), atol=1e-5, rtol=1e-5)


@pytest.fixture
def rule() -> Product:
    return Product()


@pytest.fixture
def updates() -> list[Adapter]:
    return [update(rank, seed) for seed, rank in enumerate((1, 4, 2, 8))]


WEIGHTS = [3.0, 1.0, 4.0, 2.0]


def test_merging_mixed_ranks_is_the_dense_weighted_sum(rule: Product, updates: list[Adapter]) -> None:
    merged = rule.merge(updates, WEIGHTS, rule.start(updates[0]))
    assert_same_product(merged, {name: dense(updates, WEIGHTS, name) for name in LAYOUT.shapes})
    assert merged.rank == 12  # 1 + 4 + 2 + 8 = 15 is more than any of the layers holds


def test_every_update_acts_with_alpha_over_its_own_rank(rule: Product) -> None:
    one, four = update(1, 0), update(4, 1)
    merged = rule.merge([one, four], [1, 1], one)
    expected = {n: 0.5 * (16 * one.B[n] @ one.A[n] + 4 * four.B[n] @ four.A[n]) for n in LAYOUT.shapes}
    assert_same_product(merged, expected)


def test_updates_of_different_alpha_merge_exactly(rule: Product) -> None:
    pair = [update(2, 0, alpha=8.0), update(3, 1, alpha=32.0)]
    assert_same_product(rule.combine(pair, [1, 2]), {n: dense(pair, [1, 2], n) for n in LAYOUT.shapes})


def test_vehicles_to_rsus_to_cloud_is_the_same_as_all_at_once(rule: Product, updates: list[Adapter]) -> None:
    start = rule.start(updates[0])
    flat = rule.merge(updates, WEIGHTS, start)
    left = rule.merge(updates[:2], WEIGHTS[:2], start)
    right = rule.merge(updates[2:], WEIGHTS[2:], start)
    cloud = rule.combine([left, right], [sum(WEIGHTS[:2]), sum(WEIGHTS[2:])])
    assert_same_product(cloud, {name: product(flat, name) for name in LAYOUT.shapes})
    for name, value in flat.head.items():
        torch.testing.assert_close(cloud.head[name], value)


@pytest.mark.parametrize("max_rank", [1, 3, 6])
def test_a_capped_model_is_the_best_approximation_of_its_rank(max_rank: int, updates: list[Adapter]) -> None:
    merged = Product(max_rank=max_rank).merge(updates, WEIGHTS, updates[0])
    assert merged.rank == max_rank
    for name in LAYOUT.shapes:
        whole = dense(updates, WEIGHTS, name)
        error = torch.linalg.norm(whole - product(merged, name))
        best = torch.linalg.norm(torch.linalg.svdvals(whole)[max_rank:])
        torch.testing.assert_close(error, best, atol=1e-5, rtol=1e-4)


def test_dispatch_at_the_models_rank_loses_nothing_though_alpha_differs(updates: list[Adapter]) -> None:
    rule = Product(max_rank=9)
    model = rule.merge(updates, WEIGHTS, updates[0])
    init = rule.init(AdapterLayout(LAYOUT.shapes, 12, 4, alpha=2.0), 9, 5)
    received = rule.dispatch(model, 9, init)
    assert (received.rank, received.alpha) == (9, 2.0)
    assert_same_product(received, {name: product(model, name) for name in LAYOUT.shapes})


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_a_receiver_gets_the_best_approximation_of_its_rank(
    rule: Product, updates: list[Adapter], rank: int
) -> None:
    model = rule.merge(updates, WEIGHTS, updates[0])
    received = rule.dispatch(model, rank, rule.init(LAYOUT, rank, 9))
    for name in LAYOUT.shapes:
        U, S, Vt = torch.linalg.svd(product(model, name), full_matrices=False)
        best = U[:, :rank] * S[:rank] @ Vt[:rank]
        torch.testing.assert_close(product(received, name), best, atol=1e-5, rtol=1e-4)


def test_padding_keeps_the_product_and_can_train(rule: Product) -> None:
    model = rule.merge([update(2, 0), update(1, 1)], [1, 1], update(1, 2))
    init = rule.init(LAYOUT, 8, 3)
    received = rule.dispatch(model, 8, init)
    assert_same_product(received, {name: product(model, name) for name in LAYOUT.shapes})
    for name in LAYOUT.shapes:
        assert torch.equal(received.A[name][3:], init.A[name][3:])
        assert not received.B[name][:, 3:].any()
        assert received.A[name][3:].any(dim=1).all()  # a gradient can reach B's zero columns


def test_an_untrained_model_dispatches_the_initialisation(rule: Product) -> None:
    init = rule.init(LAYOUT, 4, 0)
    received = rule.dispatch(rule.start(init), 4, init)
    assert all(torch.equal(received.A[n], init.A[n]) and not received.B[n].any() for n in LAYOUT.shapes)


def test_starting_from_a_trained_adapter_keeps_its_product(rule: Product) -> None:
    warm = update(4, 7)
    received = rule.dispatch(rule.start(warm), 4, rule.init(LAYOUT, 4, 0))
    assert_same_product(received, {name: product(warm, name) for name in LAYOUT.shapes})


def test_heads_are_weighted_averages(rule: Product, updates: list[Adapter]) -> None:
    merged = rule.merge(updates, WEIGHTS, updates[0])
    for name in ("weight", "bias"):
        expected = sum(w * a.head[name] for w, a in zip(WEIGHTS, updates, strict=True)) / sum(WEIGHTS)
        torch.testing.assert_close(merged.head[name], expected)
    received = rule.dispatch(merged, 2, rule.init(LAYOUT, 2, 0))
    assert torch.equal(received.head["weight"], merged.head["weight"])


def test_a_layer_that_only_some_updates_hold_counts_for_their_share_only(rule: Product) -> None:
    whole, part = update(2, 0), update(2, 1)
    less = Adapter(2, 16.0, {"low.query": part.A["low.query"]}, {"low.query": part.B["low.query"]}, part.head)
    merged = rule.combine([whole, less], [1, 3])
    torch.testing.assert_close(
        product(merged, "top.query"), 0.25 * product(whole, "top.query"), atol=1e-5, rtol=1e-5
    )


def test_heads_alone_merge_to_a_head_alone(rule: Product) -> None:
    heads = [update(2, seed).head_only() for seed in range(3)]
    merged = rule.merge(heads, [1, 1, 1], heads[0])
    assert merged.rank == 0
    assert merged.names == ()
    assert rule.dispatch(merged, 0, rule.init(LAYOUT, 0, 0)).rank == 0


def test_what_is_dispatched_shares_no_memory_with_the_model(rule: Product, updates: list[Adapter]) -> None:
    model = rule.merge(updates, WEIGHTS, updates[0])
    before = {name: value.clone() for name, value in model.tensors().items()}
    init = rule.init(LAYOUT, 4, 0)
    for value in rule.dispatch(model, 4, init).tensors().values():
        value.add_(1.0)
    assert all(torch.equal(value, before[name]) for name, value in model.tensors().items())
    assert torch.equal(init.A["low.query"], rule.init(LAYOUT, 4, 0).A["low.query"])


def test_traffic_is_an_adapter_of_the_vehicles_rank_each_way(rule: Product) -> None:
    ranks = np.array([0, 1, 4])
    traffic = rule.traffic(LAYOUT, ranks, update(8, 0))
    np.testing.assert_array_equal(traffic.down_bytes, adapter_bytes(LAYOUT, ranks))
    np.testing.assert_array_equal(traffic.up_bytes, traffic.down_bytes)
    assert Product(bytes_per_param=2).traffic(LAYOUT, 4, update(8, 0)).up_bytes < traffic.up_bytes[2]


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, float("nan")]])
def test_senseless_weights_are_refused(rule: Product, weights: list[float]) -> None:
    with pytest.raises(InputError, match="weights"):
        rule.combine([update(1, 0), update(1, 1)], weights)


def test_an_update_that_diverged_is_refused_by_name(rule: Product) -> None:
    bad = update(2, 0)
    bad.B["top.query"][0, 0] = float("inf")
    with pytest.raises(InputError, match=r"B/top\.query.*diverged"):
        rule.combine([update(1, 1), bad], [1, 1])


def test_a_rank_no_layer_can_carry_is_refused(rule: Product) -> None:
    with pytest.raises(ConfigError, match=r"rank 10 is above what layer low\.query"):
        rule.init(LAYOUT, 10, 0)


@pytest.mark.parametrize("name", list(AGGREGATION_RULES))
def test_every_registered_rule_is_deterministic(name: str) -> None:
    rule = AGGREGATION_RULES.get(name)()

    def play() -> Adapter:
        model = rule.start(rule.init(LAYOUT, 4, 0))
        for seed in range(3):
            sent = [rule.dispatch(model, 4, rule.init(LAYOUT, 4, seed)) for _ in range(2)]
            uploads = [rule.collect(a, trained_like(a, seed + i)) for i, a in enumerate(sent)]
            model = rule.merge(uploads, [1, 2], model)
        return rule.combine([model, model], [1, 1])

    first, second = play(), play()
    assert all(torch.equal(value, second.tensors()[key]) for key, value in first.tensors().items())


def test_the_rule_is_found_by_name() -> None:
    assert AGGREGATION_RULES.get("product") is Product
