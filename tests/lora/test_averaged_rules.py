"""FedIT, HetLoRA and FFA, each worked out by hand, and what is particular to each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fleetlora.errors import InputError
from fleetlora.lora import AGGREGATION_RULES, Adapter, AdapterLayout, adapter_bytes, init_adapter
from fleetlora.lora.averaged import at_rank
from tests.lora.reference import trained_like
from tests.lora.updates import LAYOUT, assert_same_product, by_hand, is_matrix, product, products, update

FEDIT, HETLORA, FFA = (AGGREGATION_RULES.get(name) for name in ("fedit", "hetlora", "ffa"))
SMALL = AdapterLayout({"w": (2, 2)}, 2, 1, alpha=2.0)


def test_fedit_averages_factors_apart_by_hand() -> None:
    one = by_hand([[1, 0]], [[1], [0]], bias=1.0)  # s = 2: [[2, 0], [0, 0]]
    two = by_hand([[0, 1]], [[0], [2]], bias=2.0)  # s = 2: [[0, 0], [0, 4]]
    merged = FEDIT().merge([one, two], [1, 1], one)
    is_matrix(merged.A["w"], [[0.5, 0.5]])
    is_matrix(merged.B["w"], [[0.5], [1.0]])
    is_matrix(product(merged, "w"), [[0.5, 0.5], [1.0, 1.0]])  # the mean of products is [[1, 0], [0, 2]]
    assert float(merged.head["bias"]) == 1.5


def test_fedit_refuses_different_ranks_and_names_the_mend() -> None:
    with pytest.raises(InputError, match=r"ranks \[2, 4\](.|\n)*policy\.name = 'fixed'(.|\n)*hetlora"):
        FEDIT().merge([update(2, 0), update(4, 1)], [1, 1], update(4, 2))
    with pytest.raises(InputError, match=r"ranks \[2, 4\]"):
        FEDIT().dispatch(update(4, 0), 2, init_adapter(LAYOUT, 2, 0))


def test_fedit_starts_at_whatever_rank_the_vehicles_train() -> None:
    rule = FEDIT()
    model = rule.start(init_adapter(LAYOUT, 8, 0))
    received = rule.dispatch(model, 2, rule.init(LAYOUT, 2, 0))
    assert rule.merge([trained_like(received, 1)], [1], model).rank == 2


def test_hetlora_weighs_padded_factors_by_the_norms_of_products_by_hand() -> None:
    one = by_hand([[1, 0]], [[1], [0]], bias=0.0)  # rank 1, s = 2: [[2, 0], [0, 0]], norm 2
    two = by_hand([[1, 0], [0, 1]], [[0, 6], [0, 0]], bias=8.0)  # rank 2, s = 1: [[0, 6], [0, 0]], norm 6
    merged = HETLORA().merge([one, two], [1, 1], one)
    is_matrix(merged.A["w"], [[1, 0], [0, 0.75]])  # weights 1/4 and 3/4
    is_matrix(merged.B["w"], [[0.5, 4.5], [0, 0]])  # 1/4 · (2/1) · 1 carries the scale of rank 1
    is_matrix(product(merged, "w"), [[0.5, 3.375], [0, 0]])
    assert float(merged.head["bias"]) == 4.0, "heads are weighted by samples"


def test_hetlora_cuts_the_models_first_ranks_and_keeps_what_they_do() -> None:
    model = by_hand([[1, 0], [0, 1]], [[3, 1], [0, 5]])  # s = 1
    received = HETLORA().dispatch(model, 1, init_adapter(SMALL, 1, 0))  # s = 2
    is_matrix(received.A["w"], [[1, 0]])
    is_matrix(received.B["w"], [[1.5], [0]])
    is_matrix(product(received, "w"), [[3, 0], [0, 0]])


def test_hetlora_weighs_by_samples_when_every_update_is_zero() -> None:
    idle = [init_adapter(LAYOUT, rank, 0) for rank in (2, 2)]
    merged = HETLORA().merge(idle, [1, 3], idle[0])
    torch.testing.assert_close(merged.A["low.query"], idle[0].A["low.query"])


def test_a_rank_that_became_all_zero_can_train_again() -> None:
    rule = HETLORA(weighting="samples")
    model = rule.merge([update(1, 0), update(4, 1)], [1, 0], update(4, 2))  # ranks 2 to 4 weigh nothing
    init = rule.init(LAYOUT, 4, 0)
    received = rule.dispatch(model, 4, init)
    assert torch.equal(received.A["low.query"][1:], init.A["low.query"][1:])
    assert not received.B["low.query"][:, 1:].any()
    assert_same_product(received, products(model))


def shrink_tail(adapter: Adapter, kept: int, factor: float) -> Adapter:
    B = {name: value.clone() for name, value in adapter.B.items()}
    for value in B.values():
        value[:, kept:] *= factor
    return replace(adapter, B=B)


@pytest.mark.parametrize(
    ("rank", "gamma", "kept"),
    [(4, 0.99, 3), (2, 0.99, 1), (2, 0.5, 1), (4, 0.5, 2), (8, 0.7, 6), (3, 0.1, 1)],
)
def test_pruning_triggers_at_small_ranks_when_the_tail_shrinks(rank: int, gamma: float, kept: int) -> None:
    received = update(rank, 0)
    trained = shrink_tail(received, kept, 0.9)
    upload = HETLORA(gamma=gamma).collect(received, trained)
    assert upload.rank == kept
    for name in LAYOUT.shapes:
        head = 16.0 / rank * trained.B[name][:, :kept].double() @ trained.A[name][:kept].double()
        torch.testing.assert_close(product(upload, name), head, atol=1e-6, rtol=1e-5)


def test_nothing_is_pruned_when_the_tail_grows_or_there_is_none() -> None:
    four, one = update(4, 0), update(1, 0)
    assert HETLORA().collect(four, shrink_tail(four, 3, 1.1)).rank == 4
    assert HETLORA().collect(four, four).rank == 4
    assert HETLORA().collect(one, shrink_tail(one, 0, 0.1)).rank == 1, "one rank always stays"
    assert HETLORA(gamma=1.0).collect(four, shrink_tail(four, 1, 0.1)).rank == 4


def test_the_penalty_is_lambda_times_the_tails_norms_of_each_vehicle_by_hand() -> None:
    A = {"w": torch.tensor([[[1.0, 0.0], [3.0, 4.0]], [[2.0, 0.0], [0.0, 0.0]]])}  # ranks 2 and 1, padded
    B = {"w": torch.tensor([[[9.0, 0.0], [9.0, 2.0]], [[7.0, 0.0], [7.0, 0.0]]])}
    penalty = HETLORA(penalty=0.5).terms(2).penalty
    assert penalty is not None
    is_matrix(penalty(A, B, torch.tensor([2, 1]))[None], [[0.5 * 2 * 5, 0.0]])
    assert penalty({}, {}, torch.tensor([0, 0])).tolist() == [0, 0]


def test_the_penaltys_gradient_is_finite_where_factors_are_zero() -> None:
    A, B = torch.randn(1, 2, 3, requires_grad=True), torch.zeros(1, 3, 2, requires_grad=True)
    penalty = HETLORA().terms(2).penalty
    assert penalty is not None
    penalty({"w": A}, {"w": B}, torch.tensor([2])).sum().backward()
    assert torch.isfinite(A.grad).all()
    assert torch.isfinite(B.grad).all()


@pytest.mark.parametrize("options", [{"gamma": 1.0}, {"penalty": 0.0}])
def test_the_penalty_can_be_off(options: dict[str, float]) -> None:
    assert HETLORA(**options).terms(4).penalty is None


def test_ffa_averages_b_over_the_common_a_by_hand() -> None:
    one = by_hand([[1, 0]], [[1], [0]])  # rank 1, s = 2
    two = by_hand([[1, 0], [0, 1]], [[0, 1], [2, 0]])  # rank 2, s = 1, the same first row of A
    merged = FFA().merge([one, two], [1, 3], two)
    is_matrix(merged.A["w"], [[1, 0], [0, 1]])
    is_matrix(merged.B["w"], [[0.5, 0.75], [1.5, 0]])  # 1/4 · (2/1) · 1 in the corner
    is_matrix(product(merged, "w"), [[0.5, 0.75], [1.5, 0]])


def test_ffa_keeps_a_bit_for_bit_and_the_models_rank() -> None:
    rule = FFA()
    init = init_adapter(LAYOUT, 8, 0)
    model = rule.start(init)
    for seed in range(3):
        sent = [rule.dispatch(model, rank, rule.init(LAYOUT, rank, 0)) for rank in (1, 3)]
        uploads = [replace(trained_like(a, seed + v), A=a.A) for v, a in enumerate(sent)]
        model = rule.merge(uploads, [1, 2], model)
    model = rule.combine([model, model], [1, 2])
    assert model.rank == 8
    assert all(torch.equal(model.A[name], init.A[name]) for name in LAYOUT.shapes)
    assert rule.terms(4).train_b
    assert not rule.terms(4).train_a


def test_ffa_refuses_an_update_with_another_a() -> None:
    with pytest.raises(InputError, match=r"another A(.|\n)*same seed"):
        FFA().merge([update(2, 0), update(2, 1)], [1, 1], update(2, 0))


def test_only_b_travels_in_ffa() -> None:
    ranks = np.array([1, 4])
    traffic = FFA().traffic(LAYOUT, ranks, update(8, 0))
    np.testing.assert_array_equal(
        traffic.up_bytes, 4 * (ranks * sum(m for m, _ in LAYOUT.shapes.values()) + LAYOUT.head) + 1024
    )
    np.testing.assert_array_equal(traffic.down_bytes, traffic.up_bytes)
    assert (traffic.up_bytes < adapter_bytes(LAYOUT, ranks)).all()
    assert FFA().model_bytes(update(4, 0)) == traffic.up_bytes[1]


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_cutting_and_padding_leave_a_as_it_is_and_b_carries_the_scale(rank: int) -> None:
    three = update(3, 0)
    other = at_rank(three, rank)
    kept = min(rank, 3)
    for name in LAYOUT.shapes:
        assert torch.equal(other.A[name][:kept], three.A[name][:kept])
        assert not other.A[name][3:].any()
        whole = 16.0 / 3 * three.B[name][:, :kept].double() @ three.A[name][:kept].double()
        torch.testing.assert_close(product(other, name), whole, atol=1e-6, rtol=1e-5)
    assert at_rank(three, 0).names == ()
