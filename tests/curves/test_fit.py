"""Fitting finds the curve that made the runs, and says how far off it is on others."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from fleetlora.curves import Contribution, Costs, Growth, Work
from fleetlora.curves.fit import fit_task, hold_out
from fleetlora.curves.recorded import Recorded
from fleetlora.curves.stacked import Stacked, tail_means
from fleetlora.errors import InputError

TRUTH = Contribution(rank=0.4, steps=0.8, samples=0.3, rate=0.6, again=0.4, together=0.7)
ACCURACY = Growth(start=0.05, end=0.85, scale=20.0, power=1.2)
LOSS = Growth(start=3.0, end=0.6, scale=20.0, power=1.2)
COSTS = Costs((4, 8), (100, 200), (100, 200), (1e6, 2e6), 300)


def recipe(factor: float, rule: str = "product") -> str:
    return json.dumps({"aggregation": {"rule": rule}, "rate_factor": factor})


def recorded(method: str, seed: int, factor: float = 1.0, syncs: int = 60, noise: float = 0.003) -> Recorded:
    """Return a run whose tests lie on the truth, but for a little noise."""
    rng = np.random.default_rng([seed, len(method)])
    n = 4 * syncs
    sync = np.sort(rng.integers(0, syncs, n))
    sync = np.unique(sync, return_inverse=True)[1]
    vehicle = rng.integers(0, 30, n)
    before = np.array([(vehicle[:i] == vehicle[i]).sum() for i in range(n)])
    rate = 1.0 - 0.9 * sync / sync.max()
    ranks, steps = rng.choice([2, 4, 8, 16, 32], n), rng.choice([1, 2, 4, 8], n)
    work = Work(ranks, steps, rng.choice([8, 32, 128], n), rate, before)
    mass = np.cumsum(np.bincount(sync, TRUTH.of(work, factor)) ** TRUTH.together)
    tested = np.arange(2, len(mass) + 1, 3)
    tested = np.append(tested, len(mass))
    received = np.where(sync > 0, mass[np.maximum(sync - 1, 0)], 0.0)
    loss_before = LOSS.at(received) * np.exp(0.1 * rng.standard_normal(n))
    gain = 0.1 + 0.05 * np.log(ranks / 8) + 0.02 * rng.standard_normal(n)
    return Recorded(
        method=method,
        seed=seed,
        recipe=recipe(factor),
        work=work,
        sync=sync,
        tail=0.0,
        test_sync=tested,
        accuracy=ACCURACY.at(mass[tested - 1]) + noise * rng.standard_normal(len(tested)),
        loss=LOSS.at(mass[tested - 1]),
        test_samples=np.full(len(tested), 1000),
        loss_before=loss_before,
        loss_after=loss_before * (1 - gain),
        accuracy_local=ACCURACY.at(received) + 0.07,
        classes=5,
        costs=COSTS,
    )


@pytest.fixture(scope="module")
def runs() -> list[Recorded]:
    return [recorded(method, seed) for method in ("one", "another") for seed in range(3)]


def test_fit_finds_the_exponents_that_made_the_runs(runs: list[Recorded]) -> None:
    curve = fit_task(runs).curve
    found = curve.contribution
    for name in ("rank", "steps", "samples"):
        assert getattr(found, name) == pytest.approx(getattr(TRUTH, name), abs=0.15), name
    assert curve.accuracy.end == pytest.approx(ACCURACY.end, abs=0.03)
    assert curve.gain.rank == pytest.approx(0.05, abs=0.01)
    assert curve.gain.spread == pytest.approx(0.02, abs=0.005)
    assert curve.local_loss[1] == pytest.approx(0.1, abs=0.03)
    assert curve.local_accuracy == pytest.approx(0.07, abs=0.02)


def test_models_without_any_loss_are_fitted_too(runs: list[Recorded]) -> None:
    sure = [replace(run, loss=np.where(run.loss < 0.7, 0.0, run.loss)) for run in runs]
    assert np.isfinite(fit_task(sure).curve.loss.end)


def test_runs_held_out_are_predicted_within_a_point(runs: list[Recorded]) -> None:
    held = hold_out(runs, fit_task(runs))
    assert [(one.method, one.seed) for one in held] == [(run.method, run.seed) for run in runs]
    assert {one.kind for one in held} == {"method"}  # another method shares the recipe
    assert np.mean([abs(one.error) for one in held]) < 0.01


def test_a_recipe_of_one_method_is_held_out_seed_by_seed(runs: list[Recorded]) -> None:
    alone = [recorded("alone", seed, factor=2.0) for seed in range(2)]
    whole = fit_task([*runs, *alone])
    kinds = {one.method: one.kind for one in hold_out([*runs, *alone], whole)}
    assert kinds == {"one": "method", "another": "method", "alone": "seed"}
    factors = {key: recipe.factor for key, recipe in whole.curve.recipes.items()}
    assert factors[recipe(2.0)] / factors[recipe(1.0)] == pytest.approx(2.0, rel=0.3)


def test_costs_of_a_rank_are_those_of_any_run_of_the_same_rule(runs: list[Recorded]) -> None:
    one = Costs((8,), (201,), (202,), (3e6,), 400)
    alone = replace(recorded("alone", 0, factor=2.0), costs=one)
    other_rule = replace(
        recorded("other", 0), recipe=recipe(1.0, "ffa"), costs=Costs((2,), (9,), (9,), (9.0,), 9)
    )
    found = fit_task([*runs, alone, other_rule]).curve.recipes
    assert found[recipe(2.0)].costs == Costs((4, 8), (100, 201), (100, 202), (1e6, 3e6), 400)
    assert found[recipe(1.0)].costs == COSTS
    assert found[recipe(1.0, "ffa")].costs.ranks == (2,)


def with_first_tests(run: Recorded, count: int) -> Recorded:
    return replace(
        run,
        test_sync=run.test_sync[:count],
        accuracy=run.accuracy[:count],
        loss=run.loss[:count],
        test_samples=run.test_samples[:count],
    )


def test_runs_without_which_too_few_tests_are_left_are_not_held_out() -> None:
    both = [with_first_tests(recorded(method, 0), 3) for method in ("one", "other")]
    assert hold_out(both, fit_task(both)) == []


def test_too_few_tests_are_refused(runs: list[Recorded]) -> None:
    few = with_first_tests(runs[0], 2)
    with pytest.raises(InputError, match="too few for a curve"):
        fit_task([few])


def test_masses_of_stacked_runs_are_those_of_each_run(runs: list[Recorded]) -> None:
    exponents, factors = np.array([0.4, 0.8, 0.3, 0.6, 0.4]), np.array([1.0])
    together = Stacked.of(runs, [recipe(1.0)]).masses(exponents, factors, 0.7)
    apart = [Stacked.of([run], [recipe(1.0)]).masses(exponents, factors, 0.7) for run in runs]
    assert together == pytest.approx(np.concatenate(apart))


def test_tail_means_are_means_of_slices() -> None:
    values = np.array([1.0, 2.0, 6.0])
    assert tail_means(values, np.array([0, 1, 2]), np.array([1, 3, 2])) == pytest.approx([1.0, 4.0, 0.0])
