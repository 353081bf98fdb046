"""FlexLoRA, FLoRA and FedRA, each worked out by hand, and what is particular to each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from fleetlora.lora import AGGREGATION_RULES, Adapter, AdapterLayout, adapter_bytes, init_adapter
from tests.lora.reference import trained_like
from tests.lora.updates import LAYOUT, assert_same_product, by_hand, is_matrix, product, products, update

FLORA, FLEXLORA, FEDRA = (AGGREGATION_RULES.get(name) for name in ("flora", "flexlora", "fedra"))

ONE = by_hand([[1, 0]], [[1], [0]])  # rank 1, alpha 2, s = 2: [[2, 0], [0, 0]]
TWO = by_hand([[1, 0], [0, 1]], [[0, 1], [2, 0]])  # rank 2, s = 1: [[0, 1], [2, 0]]

#: Twelve encoder layers of two adapted projections each, and one module outside of them.
DEEP = AdapterLayout(
    {f"encoder.layer.{i}.attention.self.{p}": (6, 6) for i in range(12) for p in ("query", "value")},
    6,
    3,
    8.0,
)


def test_flexlora_decomposes_the_dense_sum_by_hand() -> None:
    model = FLEXLORA().merge([ONE, TWO], [1, 3], ONE)
    is_matrix(product(model, "w"), [[0.5, 0.75], [1.5, 0]])
    init = init_adapter(AdapterLayout({"w": (2, 2)}, 2, 1, alpha=2.0), 1, 0)
    received = FLEXLORA().dispatch(model, 1, init)
    U, S, Vt = np.linalg.svd(np.array([[0.5, 0.75], [1.5, 0]]))
    is_matrix(product(received, "w"), (S[0] * np.outer(U[:, 0], Vt[0])).tolist())


def test_flora_adds_the_weighted_stack_to_what_was_learned_by_hand() -> None:
    model = by_hand([[1, 1]], [[0.5], [0.5]])  # s = 2: [[1, 1], [1, 1]]
    merged = FLORA().merge([ONE, TWO], [1, 3], model)
    is_matrix(product(merged, "w"), [[1.5, 1.75], [2.5, 1.0]])
    cloud = FLORA().combine([merged, model], [1, 1])
    is_matrix(product(cloud, "w"), [[1.25, 1.375], [1.75, 1.0]])


def test_floras_model_lies_under_fresh_adapters_and_nothing_is_lost() -> None:
    rule = FLORA()
    model = rule.merge([update(2, 0), update(3, 1)], [1, 2], rule.start(init_adapter(LAYOUT, 4, 0)))
    assert rule.base(model) is model
    received = rule.dispatch(model, 4, rule.init(LAYOUT, 4, 0, draw=5))
    assert not received.trained
    unchanged = rule.merge([received], [1], model)
    assert_same_product(unchanged, products(model))
    assert torch.equal(unchanged.head["weight"], model.head["weight"])


def test_flora_draws_a_fresh_a_for_every_vehicle_and_round() -> None:
    a, b, again = (FLORA().init(LAYOUT, 2, 0, draw=draw).A["low.query"] for draw in (1, 2, 1))
    assert torch.equal(a, again)
    assert not torch.equal(a, b)


def test_floras_model_never_grows_beyond_the_layers() -> None:
    rule = FLORA()
    model = rule.start(init_adapter(LAYOUT, 4, 0))
    for number in range(6):
        model = rule.merge([update(4, 10 * number + v) for v in range(3)], [1, 1, 1], model)
    assert model.rank == 12  # the largest of the layers' smaller dimensions


def test_floras_download_is_the_whole_model_and_its_upload_the_vehicles_rank() -> None:
    rule, ranks = FLORA(), np.array([1, 4])
    start = rule.start(init_adapter(LAYOUT, 4, 0))
    np.testing.assert_array_equal(
        rule.traffic(LAYOUT, ranks, start).down_bytes, adapter_bytes(LAYOUT, [0, 0])
    )
    model = rule.merge([update(1, 0), update(2, 1)], [1, 1], start)
    traffic = rule.traffic(LAYOUT, ranks, model)
    np.testing.assert_array_equal(traffic.down_bytes, adapter_bytes(LAYOUT, [3, 3]))  # ranks 1 + 2
    np.testing.assert_array_equal(traffic.up_bytes, adapter_bytes(LAYOUT, ranks))
    full = rule.merge([update(8, 2), update(9, 3)], [1, 1], model)
    dense = 4 * (sum(m * n for m, n in LAYOUT.shapes.values()) + LAYOUT.head) + 1024
    assert (rule.traffic(LAYOUT, ranks, full).down_bytes == dense).all(), "never more than the dense delta"


def test_fedra_averages_each_layer_over_its_owners_by_hand() -> None:
    old = by_hand([[1, 0]], [[3], [0]])
    model = Adapter(
        1, 2.0, dict.fromkeys("wvu", old.A["w"]), dict.fromkeys("wvu", old.B["w"]), old.head
    )  # three layers, each [[6, 0], [0, 0]]
    first = Adapter(1, 2.0, {"w": ONE.A["w"]}, {"w": ONE.B["w"]}, ONE.head)  # [[2, 0], [0, 0]]
    second = Adapter(
        2, 2.0, dict.fromkeys("wv", TWO.A["w"]), dict.fromkeys("wv", TWO.B["w"]), TWO.head
    )  # [[0, 1], [2, 0]] in two layers
    merged = FEDRA().merge([first, second], [1, 3], model)
    is_matrix(product(merged, "w"), [[0.5, 0.75], [1.5, 0]])  # 1/4 and 3/4
    is_matrix(product(merged, "v"), [[0, 1], [2, 0]])  # its only owner's
    is_matrix(product(merged, "u"), [[6, 0], [0, 0]])  # nobody trained it


def test_fedra_keeps_the_old_value_where_only_vehicles_without_samples_trained() -> None:
    model = FEDRA().start(update(2, 0))
    idle = update(2, 1)
    part = Adapter(2, 16.0, {"low.query": idle.A["low.query"]}, {"low.query": idle.B["low.query"]}, idle.head)
    rest = update(2, 2)
    other = Adapter(
        2, 16.0, {"low.dense": rest.A["low.dense"]}, {"low.dense": rest.B["low.dense"]}, rest.head
    )
    merged = FEDRA().merge([part, other], [0, 1], model)
    torch.testing.assert_close(
        product(merged, "low.query"), product(model, "low.query"), atol=1e-5, rtol=1e-5
    )


def test_fedra_allots_whole_encoder_layers_anew_for_every_draw() -> None:
    rule = FEDRA(share=0.25)
    seen = set()
    for draw in range(30):
        init = rule.init(DEEP, 2, 0, draw=draw)
        layers = {name.split(".")[2] for name in init.names}
        assert (len(layers), len(init.names)) == (3, 6), "a quarter of twelve, both projections of each"
        assert all(torch.equal(init.A[n], init_adapter(DEEP, 2, 0).A[n]) for n in init.names)
        seen |= {frozenset(layers)}
    assert len(seen) > 20
    assert rule.init(DEEP, 2, 0, draw=4).names == rule.init(DEEP, 2, 0, draw=4).names
    assert FEDRA(share=0.01).init(DEEP, 2, 0, draw=0).names, "at least one layer"


def test_fedras_traffic_is_exactly_that_of_its_layers() -> None:
    rule = FEDRA(share=0.25)
    init = rule.init(DEEP, 4, 0, draw=1)
    mine = replace(DEEP, shapes={name: DEEP.shapes[name] for name in init.names})
    traffic = rule.traffic(DEEP, 4, init)
    assert traffic.down_bytes == traffic.up_bytes == adapter_bytes(mine, 4)


def test_with_one_encoder_layer_fedra_is_flexlora() -> None:
    shapes = {n: s for n, s in DEEP.shapes.items() if ".3." in n}
    layout = AdapterLayout(shapes, 6, 3, 8.0)
    fedra, flexlora = FEDRA(share=0.5), FLEXLORA()

    def trained(rank: int) -> Adapter:
        return trained_like(fedra.init(layout, rank, 0, draw=rank), rank)

    model = flexlora.start(trained(4))
    updates, weights, rows = [trained(2), trained(4)], [1.0, 3.0], init_adapter(layout, 2, 9)
    ours, theirs = (
        rule.dispatch(rule.combine([rule.merge(updates, weights, model), model], weights), 2, rows)
        for rule in (fedra, flexlora)
    )
    for name in shapes:
        torch.testing.assert_close(product(ours, name), product(theirs, name), atol=1e-5, rtol=1e-5)
    assert torch.equal(ours.head["weight"], theirs.head["weight"])
    for rank in (2, 4):
        begun = [rule.init(layout, rank, 0, draw=7).A for rule in (fedra, flexlora)]
        assert all(torch.equal(begun[0][name], begun[1][name]) for name in shapes)
        assert fedra.traffic(layout, rank, model) == flexlora.traffic(layout, rank, model)
