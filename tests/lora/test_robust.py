"""Robust rules, each worked out by hand, and what they have to do with dense matrices and plain means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch

from fleetlora.errors import ConfigError
from fleetlora.lora import AGGREGATION_RULES, Adapter, init_adapter
from fleetlora.lora.changes import change_of, grams, norms, square_distances
from fleetlora.lora.coordinates import median, trimmed_mean
from fleetlora.lora.multi_krum import krum_choice
from fleetlora.lora.robust_rules import ROBUST_RULES
from tests.lora.updates import LAYOUT, by_hand, is_matrix, product, update

SUMMED = ("product", "flexlora", "flora", "fedra")


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def one_number(value: float, bias: float = 0.0) -> Adapter:
    """An adapter of rank 1 whose product is [[value, 0], [0, 0]]: alpha 2, so s = 2."""
    return by_hand([[1, 0]], [[value / 2], [0]], bias=bias)


def merged(
    name: str, values: Sequence[float], weights: Sequence[float] | None = None, **options: float
) -> Adapter:
    """Merge updates of one number each, product and bias alike, sent out as zero."""
    rule, zero = AGGREGATION_RULES.get("product")(), one_number(0.0)
    updates = [one_number(value, value) for value in values]
    weights = weights or [1.0] * len(updates)
    return ROBUST_RULES.get(name)(**options).merge(rule, [zero] * len(updates), updates, weights, zero)


def test_the_trimmed_mean_leaves_out_both_ends_and_weighs_what_stays_by_hand() -> None:
    values, weights = column(5, -100, 1, 3, 100), torch.tensor([1.0, 1, 3, 1, 1], dtype=torch.float64)
    assert trimmed_mean(values, weights, 0.2).item() == pytest.approx((3 * 1 + 3 + 5) / 5)
    assert trimmed_mean(values, weights, 0.0).item() == pytest.approx((5 - 100 + 3 + 3 + 100) / 7)
    assert trimmed_mean(values, torch.zeros(5, dtype=torch.float64), 0.2).item() == pytest.approx(3)


def test_the_median_of_an_even_number_is_between_the_two_in_the_middle() -> None:
    assert median(column(9, 1, 4)).item() == 4
    assert median(column(9, 1, 4, 6)).item() == 5


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("mean", {}, (1 + 2 + 3 + 4 - 100) / 5),
        ("trimmed-mean", {"trim": 0.2}, 2.0),
        ("median", {}, 2.0),
        ("norm-clip", {}, (1 + 2 + 3 + 3 - 3) / 5),  # norms 1, 2, 3, 4, 100: the median is 3
        ("norm-clip", {"factor": 2.0}, (1 + 2 + 3 + 4 - 6) / 5),
        ("norm-clip", {"layers_norm": 1.0, "head_norm": 1.0}, 3 / 5),
        ("multi-krum", {"share": 0.2}, 2.5),  # f = 1: the one far off goes
    ],
)
def test_each_rule_merges_five_numbers_as_by_hand(
    name: str, options: dict[str, float], expected: float
) -> None:
    model = merged(name, [1, 2, 3, 4, -100], **options)
    is_matrix(product(model, "w"), [[expected, 0], [0, 0]])
    assert model.head["bias"].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("rule_name", SUMMED)
@pytest.mark.parametrize(
    ("name", "options"), [("trimmed-mean", {"trim": 0.0}), ("norm-clip", {"factor": 1e9})]
)
def test_with_nothing_trimmed_or_clipped_they_are_the_aggregation_rule(
    rule_name: str, name: str, options: dict[str, float]
) -> None:
    rule = AGGREGATION_RULES.get(rule_name)()
    model = rule.merge([update(3, 9)], [1], rule.start(init_adapter(LAYOUT, 4, 0)))
    received = [rule.dispatch(model, r, rule.init(LAYOUT, r, 0, r)) for r in (1, 2, 3, 4)]
    updates = [
        Adapter(r.rank, r.alpha, {n: u.A[n] for n in r.names}, {n: u.B[n] for n in r.names}, u.head)
        for r, u in zip(received, (update(r, 10 + r) for r in (1, 2, 3, 4)), strict=True)
    ]
    plain = rule.merge(updates, [1, 2, 3, 4], model)
    robust = ROBUST_RULES.get(name)(**options).merge(rule, received, updates, [1, 2, 3, 4], model)
    for layer in LAYOUT.shapes:
        torch.testing.assert_close(product(robust, layer), product(plain, layer), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(robust.head["weight"], plain.head["weight"])


def rows_set(start: Adapter, rows: Mapping[int, float]) -> Adapter:
    """An adapter that is ``start`` but for some rows of its head, which hold a number each."""
    changed = start.copy()
    for row, value in rows.items():
        for tensor in changed.head.values():
            tensor[row] = value
    return changed


def rows_merged(name: str, rows: Sequence[Mapping[int, float]], **options: float) -> list[float]:
    """Merge updates of four rows, sent out as zero, with ``keep_classes``; return the merged rows."""
    rule = AGGREGATION_RULES.get("product")(keep_classes=True)
    start = rule.start(init_adapter(LAYOUT, 1, 0))
    updates = [rows_set(start, mine) for mine in rows]
    model = ROBUST_RULES.get(name)(**options).merge(
        rule, [start] * len(rows), updates, [1.0] * len(rows), start
    )
    assert torch.equal(model.head["weight"], model.head["bias"][:, None].expand(-1, LAYOUT.width))
    return list(model.head["bias"].tolist())


@pytest.mark.parametrize("name", ["mean", "trimmed-mean", "median", "norm-clip"])
def test_classes_that_few_vehicles_hold_are_learned_under_a_robust_mean(name: str) -> None:
    rows = [{v % 3: 1.0} for v in range(8)]
    assert rows_merged(name, rows) == pytest.approx([1.0, 1.0, 1.0, 0.0])
    assert rows_merged(name, [{0: 1.0}, *[{}] * 7]) == pytest.approx([1.0, 0, 0, 0]), "seven change nothing"


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("mean", {}, (1 + 2 + 3 + 4 - 100) / 5),
        ("trimmed-mean", {"trim": 0.2}, 2.0),
        ("median", {}, 2.0),
    ],
)
def test_a_row_is_merged_over_those_that_changed_it_as_by_hand(
    name: str, options: dict[str, float], expected: float
) -> None:
    rows = [*({1: value} for value in (1.0, 2.0, 3.0, 4.0, -100.0)), {2: 5.0}, {}, {}]
    assert rows_merged(name, rows, **options) == pytest.approx([0, expected, 5.0, 0])


@pytest.mark.parametrize("name", ["trimmed-mean", "median"])
def test_where_heads_are_heard_whole_a_minoritys_row_is_trimmed_away(name: str) -> None:
    rule = AGGREGATION_RULES.get("product")()
    start = rule.start(init_adapter(LAYOUT, 1, 0))
    updates = [rows_set(start, {v % 4: 1.0}) for v in range(8)]
    model = ROBUST_RULES.get(name)().merge(rule, [start] * 8, updates, [1] * 8, start)
    assert not model.head["bias"].any()


@pytest.mark.parametrize(
    ("name", "options"), [("trimmed-mean", {"trim": 0.0}), ("norm-clip", {"factor": 1e9})]
)
def test_with_nothing_trimmed_or_clipped_rows_are_those_of_the_aggregation_rule(
    name: str, options: dict[str, float]
) -> None:
    rule = AGGREGATION_RULES.get("product")(keep_classes=True, keep_tail=True)
    model = rule.merge([update(3, 9)], [1], rule.start(init_adapter(LAYOUT, 4, 0)))
    received = [rule.dispatch(model, r, rule.init(LAYOUT, r, 0)) for r in (1, 2, 3)]
    updates = []
    for sent, mine in zip(received, ([0, 1], [1], [1, 2]), strict=True):
        new = update(sent.rank, 10 + sent.rank)
        head = {n: value.clone() for n, value in sent.head.items()}
        for n in head:
            head[n][mine] = new.head[n][mine]
        updates.append(new.with_head(head))
    plain = rule.merge(updates, [1, 2, 3], model)
    robust = ROBUST_RULES.get(name)(**options).merge(rule, received, updates, [1, 2, 3], model)
    for layer in LAYOUT.shapes:
        torch.testing.assert_close(product(robust, layer), product(plain, layer), atol=1e-5, rtol=1e-5)
    for part, value in plain.head.items():
        torch.testing.assert_close(robust.head[part], value)
        assert torch.equal(robust.head[part][3], model.head[part][3])


def test_the_product_rules_tail_is_kept_under_a_robust_mean() -> None:
    rule = AGGREGATION_RULES.get("product")(keep_tail=True)
    model = rule.merge([update(4, 9)], [1], rule.start(init_adapter(LAYOUT, 4, 0)))
    received = [rule.dispatch(model, r, rule.init(LAYOUT, r, 0)) for r in (1, 2)]
    still = ROBUST_RULES.get("median")().merge(rule, received, received, [1, 1], model)
    for layer in LAYOUT.shapes:
        torch.testing.assert_close(product(still, layer), product(model, layer), atol=1e-5, rtol=1e-5)


def test_norms_products_and_distances_from_factors_are_the_dense_ones() -> None:
    received = [update(r, r) for r in (1, 2, 3)]
    updates = [update(r, 20 + r) for r in (1, 3, 2)]  # ranks may differ from what was received
    changes = [change_of(r, u) for r, u in zip(received, updates, strict=True)]
    dense = torch.stack(
        [
            torch.cat([(product(u, n) - product(r, n)).flatten() for n in LAYOUT.shapes])
            for r, u in zip(received, updates, strict=True)
        ]
    )
    torch.testing.assert_close(grams(changes)[0], dense @ dense.T, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        square_distances(changes)[0], torch.cdist(dense, dense) ** 2, rtol=1e-6, atol=1e-6
    )
    heads = torch.stack(
        [
            torch.cat([(u.head[n].double() - r.head[n].double()).flatten() for n in u.head])
            for r, u in zip(received, updates, strict=True)
        ]
    )
    expected = torch.stack([dense.norm(dim=1), heads.norm(dim=1)], dim=1)
    torch.testing.assert_close(norms(changes), expected, rtol=1e-6, atol=1e-6)


def test_krum_keeps_the_cluster_and_leaves_out_as_many_as_it_was_told() -> None:
    points = column(0, 0.1, 0.2, 0.3, 50, -60, 0.15)
    apart = torch.cdist(points, points) ** 2
    assert krum_choice(apart, 0.3) == [0, 1, 2, 3, 6]
    assert krum_choice(apart, 0.0) == list(range(7))
    assert krum_choice(apart[:4, :4], 0.49) == [0, 1, 2, 3], "n ≥ 2f + 3 leaves none out of four"


@pytest.mark.parametrize("name", ["median", "trimmed-mean"])
def test_neither_order_nor_how_a_product_is_split_into_factors_matters(name: str) -> None:
    rule, start = AGGREGATION_RULES.get("product")(), AGGREGATION_RULES.get("product")().start(update(3, 0))
    updates = [update(2, seed) for seed in range(1, 6)]
    turned = [
        replace(u, A={n: 4 * A.flip(0) for n, A in u.A.items()}, B={n: B.flip(1) / 4 for n, B in u.B.items()})
        for u in reversed(updates)
    ]
    robust = ROBUST_RULES.get(name)()
    one, other = (robust.merge(rule, [start] * 5, us, [1] * 5, start) for us in (updates, turned))
    for layer in LAYOUT.shapes:
        torch.testing.assert_close(product(one, layer), product(other, layer), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["median", "trimmed-mean", "norm-clip", "multi-krum"])
def test_a_minority_of_huge_updates_hardly_moves_a_robust_model(name: str) -> None:
    rule = AGGREGATION_RULES.get("product")()
    start = rule.start(init_adapter(LAYOUT, 2, 0))
    honest = [update(2, seed) for seed in range(8)]
    poison = [replace(u, B={n: -1e6 * B for n, B in u.B.items()}) for u in honest[:2]]
    updates = [*poison, *honest[2:]]
    clean, robust, plain = (
        ROBUST_RULES.get(rule_name)().merge(rule, [start] * len(us), us, [1] * len(us), start)
        for rule_name, us in (("mean", honest[2:]), (name, updates), ("mean", updates))
    )
    for layer in LAYOUT.shapes:
        size = float(product(clean, layer).norm())
        assert float(product(robust, layer).norm()) < 5 * size
        assert float(product(plain, layer).norm()) > 1e4 * size


@pytest.mark.parametrize("name", ["median", "trimmed-mean", "norm-clip"])
@pytest.mark.parametrize("rule_name", ["fedit", "ffa", "hetlora"])
def test_a_mean_of_products_is_refused_where_factors_are_averaged_apart(name: str, rule_name: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)defence\.rule.*multi-krum") as caught:
        ROBUST_RULES.get(name)().check(AGGREGATION_RULES.get(rule_name)())
    assert caught.value.exit_code == 2
    ROBUST_RULES.get("multi-krum")().check(AGGREGATION_RULES.get(rule_name)())
