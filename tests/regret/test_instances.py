"""The lab's instances: optima by hand and by a solver, Slater's condition, and who is where."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from fleetlora.errors import InputError
from fleetlora.regret import INSTANCES, Instance, Piece
from fleetlora.regret.instances import find_instance
from fleetlora.scheduling import best_mix

ALL = pytest.mark.parametrize("name", list(INSTANCES))


@ALL
def test_the_optimum_is_what_a_solver_finds(name: str) -> None:
    instance = INSTANCES[name]
    reward = np.concatenate([piece.reward for piece in instance.pieces])
    cost = np.concatenate([piece.cost for piece in instance.pieces])
    contexts, arms = reward.shape
    weight = np.repeat(np.outer(instance.lengths, instance.share), arms)
    found = linprog(
        -weight * reward.ravel(),
        A_ub=(weight * cost.ravel())[None],  # one budget for all pieces
        b_ub=[instance.rho],
        A_eq=np.kron(np.eye(contexts), np.ones(arms)),  # nobody may sit out
        b_eq=np.ones(contexts),
    )
    assert instance.lengths @ [mix.value for mix in instance.optima] == pytest.approx(-found.fun, abs=1e-9)
    for mix in instance.optima:
        assert mix.price == pytest.approx(-found.ineqlin.marginals[0], abs=1e-9)


@ALL
def test_no_optimum_sits_out_and_slater_holds(name: str) -> None:
    instance = INSTANCES[name]
    for mix in instance.optima:
        assert mix.probabilities[:, 0] == pytest.approx(0.0, abs=1e-12)
    assert instance.lengths @ [mix.cost for mix in instance.optima] == pytest.approx(instance.rho)
    assert instance.slack > 0.1
    assert max(mix.price for mix in instance.optima) < 20 / 2, "lambda_max is twice lambda* and more"


def test_the_stationary_optimum_by_hand() -> None:
    # half rank 4 (u = 0.5, c = 0.2), half rank 16 (u = 0.9, c = 0.6): c = 0.4 = rho, u = 0.7, slope 0.4/0.4
    (mix,) = INSTANCES["stationary"].optima
    assert mix.value == pytest.approx(0.7)
    assert mix.price == pytest.approx(1.0)
    assert mix.probabilities[0].tolist() == pytest.approx([0, 0, 0.5, 0, 0.5, 0])


def test_the_drifting_optimum_by_hand_moves_joules_to_where_they_earn_most() -> None:
    # the steep edges cost 0.2, 0.2 and 0.1; of the 1.2 for three decisions 0.7 is left. Rank 4 to 16 in the
    # first piece has slope 0.4/0.4 and takes 0.4; rank 2 to 16 in the third, 0.4/0.5, has 3/5 of its 0.5;
    # rank 4 to 32 in the second, 0.5/0.7, has none
    first, second, third = INSTANCES["drifting"].optima
    assert (first.value, first.cost) == pytest.approx((0.9, 0.6))
    assert (second.value, second.cost) == pytest.approx((0.45, 0.2))
    assert (third.value, third.cost) == pytest.approx((0.40 + 0.4 * 3 / 5, 0.1 + 0.5 * 3 / 5))
    assert [first.price, second.price, third.price] == pytest.approx([0.8, 0.8, 0.8])


def test_a_budget_for_every_piece_apart_earns_less() -> None:
    drifting = INSTANCES["drifting"]
    apart = [best_mix(piece.reward, piece.cost, drifting.share, 0.4).value for piece in drifting.pieces]
    assert 80_000 * np.mean(apart) == pytest.approx(51_543, abs=1)
    assert 80_000 * np.mean([mix.value for mix in drifting.optima]) == pytest.approx(53_067, abs=1)


def test_the_newcomers_optimum_by_hand() -> None:
    # class 1 takes rank 8 (0.75, 0.4), which leaves 0.3 for class 0: a quarter of the way from (0.5, 0.2)
    # to (0.9, 0.6), slope 1; class 1's own edges have slopes 0.75/0.4 before and none after
    (mix,) = INSTANCES["newcomers"].optima
    assert mix.value == pytest.approx((0.6 + 0.75) / 2)
    assert mix.price == pytest.approx(1.0)


def test_vehicles_that_stay_keep_their_index() -> None:
    assert INSTANCES["stationary"].vehicles(99_999).tolist() == list(range(8))


def test_a_newcomer_has_an_index_of_its_own_and_stays_six_rounds() -> None:
    instance = INSTANCES["newcomers"]
    seen = np.array([instance.vehicles(t) for t in range(60)])
    indices, counts = np.unique(seen, return_counts=True)
    assert counts.max() == 6
    assert (np.diff(seen, axis=0) >= 0).all()
    assert (seen % 8 == np.arange(8)).all(), "a place keeps its class"
    leaving = (np.diff(seen, axis=0) > 0).sum(axis=1)
    assert leaving.max() < 8, "they do not all leave together"
    context = instance.context(60)
    assert context.n_vehicles > indices.max()
    assert (context.device[seen] == instance.device).all()


def test_a_context_tells_arms_and_classes_but_no_reward() -> None:
    context = INSTANCES["newcomers"].context(100)
    assert context.ranks.tolist() == [2, 4, 8, 16]
    assert context.device_names == ("class-0", "class-1")
    assert not any("reward" in name for name in vars(context))


def test_an_unknown_instance_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown instance 'stationery'.*\n.*did you mean 'stationary'"):
        find_instance("stationery")


def test_an_instance_is_played_no_longer_than_it_says() -> None:
    assert INSTANCES["stationary"].rounds(100_000) == 100_000
    assert INSTANCES["newcomers"].rounds(100_000) == 10_000
    assert INSTANCES["newcomers"].rounds(500) == 500


def test_slack_is_that_of_the_dearest_piece() -> None:
    cheap, dear = np.array([[0.1, 0.5]]), np.array([[0.3, 0.5]])
    pieces = (Piece(0.0, cheap, cheap), Piece(0.5, cheap, dear))
    instance = Instance("two", "", np.array([1, 2]), np.zeros(3, dtype=np.int64), 0.4, pieces)
    assert instance.slack == pytest.approx(0.1)
