"""The lab's instances: optima by hand and by a solver, Slater's condition, and who is where."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from fleetlora.errors import InputError
from fleetlora.regret import INSTANCES, Instance, Piece
from fleetlora.regret.instances import find_instance

ALL = pytest.mark.parametrize("name", list(INSTANCES))


@ALL
def test_the_optimum_is_what_a_solver_finds(name: str) -> None:
    instance = INSTANCES[name]
    for piece, mix in zip(instance.pieces, instance.optima, strict=True):
        classes, arms = piece.reward.shape
        weight = np.repeat(instance.share, arms)
        found = linprog(
            -weight * piece.reward.ravel(),
            A_ub=(weight * piece.cost.ravel())[None],
            b_ub=[instance.rho],
            A_eq=np.kron(np.eye(classes), np.ones(arms)),  # nobody may sit out
            b_eq=np.ones(classes),
        )
        assert mix.value == pytest.approx(-found.fun, abs=1e-9)
        assert mix.price == pytest.approx(-found.ineqlin.marginals[0], abs=1e-9)


@ALL
def test_no_optimum_sits_out_and_slater_holds(name: str) -> None:
    instance = INSTANCES[name]
    for mix in instance.optima:
        assert mix.probabilities[:, 0] == pytest.approx(0.0, abs=1e-12)
        assert mix.cost == pytest.approx(instance.rho)
    assert instance.slack > 0.1
    assert max(mix.price for mix in instance.optima) < 20 / 2, "lambda_max is twice lambda* and more"


def test_the_stationary_optimum_by_hand() -> None:
    # half rank 4 (u = 0.5, c = 0.2), half rank 16 (u = 0.9, c = 0.6): c = 0.4 = rho, u = 0.7, slope 0.4/0.4
    (mix,) = INSTANCES["stationary"].optima
    assert mix.value == pytest.approx(0.7)
    assert mix.price == pytest.approx(1.0)
    assert mix.probabilities[0].tolist() == pytest.approx([0, 0, 0.5, 0, 0.5, 0])


def test_the_drifting_optima_by_hand() -> None:
    # ranks 4 and 32: (0.4 − 0.2)/(0.9 − 0.2) = 2/7 of the way from 0.45 to 0.95, slope 0.5/0.7
    # ranks 2 and 16: (0.4 − 0.1)/(0.6 − 0.1) = 3/5 of the way from 0.40 to 0.80, slope 0.4/0.5
    _, second, third = INSTANCES["drifting"].optima
    assert (second.value, second.price) == pytest.approx((0.45 + 0.5 * 2 / 7, 5 / 7))
    assert (third.value, third.price) == pytest.approx((0.40 + 0.4 * 3 / 5, 0.8))


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
