"""The product rule against the dense weighted sum of s·B·A."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fleetlora.errors import ConfigError, InputError
from fleetlora.lora import Adapter, AdapterLayout, Product, adapter_bytes
from tests.lora.updates import LAYOUT, assert_same_product, by_hand, dense, is_matrix, product, update


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


def test_a_class_is_heard_only_from_those_that_changed_its_row() -> None:
    before, one, other = update(2, 0), update(2, 1), update(2, 2)
    still = {name: value.clone() for name, value in before.head.items()}
    pair = []
    for mine, rows in ((one, [0, 1]), (other, [1])):
        head = {name: value.clone() for name, value in still.items()}
        for name in head:
            head[name][rows] = mine.head[name][rows]
        pair.append(mine.with_head(head))
    rule = Product(keep_classes=True)
    for model in (rule.merge(pair, [1, 3], before), rule.combine(pair, [1, 3], before)):
        for name in still:
            assert torch.equal(model.head[name][0], one.head[name][0])
            torch.testing.assert_close(
                model.head[name][1], 0.25 * one.head[name][1] + 0.75 * other.head[name][1]
            )
            assert torch.equal(model.head[name][2:], still[name][2:])
    plain = Product().combine(pair, [1, 3], before)
    torch.testing.assert_close(plain.head["bias"][0], 0.25 * one.head["bias"][0] + 0.75 * still["bias"][0])
    assert_same_product(model, {name: product(plain, name) for name in LAYOUT.shapes})


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


def test_components_a_vehicle_never_received_stay_for_its_share_by_hand() -> None:
    model = by_hand([[2, 0], [0, 1]], [[2, 0], [0, 1]])  # s = 1: diag(4, 1)
    one = by_hand([[1, 0]], [[3], [0]])  # rank 1, s = 2: received diag(4, 0), returns diag(6, 0)
    two = by_hand([[1, 0], [0, 1]], [[4, 2], [0, 1]])  # rank 2: received all
    plain = Product().merge([one, two], [1, 3], model)
    kept = Product(keep_tail=True).merge([one, two], [1, 3], model)
    is_matrix(product(plain, "w"), [[4.5, 1.5], [0, 0.75]])  # the second component shrinks by a quarter
    is_matrix(product(kept, "w"), [[4.5, 1.5], [0, 1.0]])  # 0.25 · (6 − 4) and 0.75 · 2 on top of diag(4, 1)


def test_keeping_the_tail_is_the_model_plus_what_each_vehicle_changed(updates: list[Adapter]) -> None:
    rule = Product(keep_tail=True)
    model = rule.merge([update(3, 8), update(4, 9)], [1, 1], update(1, 0))
    received = [rule.dispatch(model, a.rank, rule.init(LAYOUT, a.rank, 0)) for a in updates]
    merged = rule.merge(updates, WEIGHTS, model)
    expected = {
        n: product(model, n) + dense(updates, WEIGHTS, n) - dense(received, WEIGHTS, n) for n in LAYOUT.shapes
    }
    assert_same_product(merged, expected)


def test_keeping_the_tail_changes_nothing_where_all_received_the_whole_model() -> None:
    start = Product().merge([update(2, 8), update(1, 9)], [1, 1], update(1, 0))
    updates = [update(3, 0), update(8, 1), update(4, 2)]  # the model's rank is 3
    plain = Product().merge(updates, [1, 2, 3], start)
    kept = Product(keep_tail=True).merge(updates, [1, 2, 3], start)
    assert all(torch.equal(value, kept.tensors()[name]) for name, value in plain.tensors().items())


def test_a_layer_that_an_update_lacks_stays_for_its_share() -> None:
    whole, part, model = update(2, 0), update(2, 1), Product().start(update(2, 2))
    less = Adapter(2, 16.0, {"low.query": part.A["low.query"]}, {"low.query": part.B["low.query"]}, part.head)
    merged = Product(keep_tail=True).merge([whole, less], [1, 3], model)
    expected = 0.25 * product(whole, "top.query") + 0.75 * product(model, "top.query")
    torch.testing.assert_close(product(merged, "top.query"), expected, atol=1e-5, rtol=1e-5)


def test_products_sum_by_hand() -> None:
    one = by_hand([[1, 0]], [[1], [0]], bias=4.0)  # rank 1, s = 2: [[2, 0], [0, 0]]
    two = by_hand([[1, 0], [0, 1]], [[0, 1], [2, 0]], bias=8.0)  # rank 2, s = 1: [[0, 1], [2, 0]]
    merged = Product().merge([one, two], [1, 3], one)
    is_matrix(product(merged, "w"), [[0.5, 0.75], [1.5, 0]])
    assert float(merged.head["bias"]) == 7.0
