"""Fitting learning curves to recorded runs, and what they are worth on runs they were not fitted to.

The accuracy's curve is fitted by least squares on every recorded test, each weighted by how much so few test
samples can say, with weak priors for what the runs do not vary. The loss and the vehicles' own view follow on
the masses found. The error that is reported is that on runs held out: all runs of one method at a time where
another method shares its recipe, else one seed at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from fleetlora.curves.recipe import rule_of
from fleetlora.curves.recorded import Recorded
from fleetlora.curves.shape import Contribution, Costs, GainLine, Growth, Recipe, TaskCurve
from fleetlora.curves.stacked import Stacked
from fleetlora.errors import InputError

__all__ = ["Fitted", "HeldOut", "fit_task", "hold_out"]

Floats = NDArray[np.float64]

#: What the curve itself may be off by, beside the chance of the test draw.
MODEL_SPREAD = 0.01

#: Priors of the exponents a, b, c, d, e and nu: mean and standard deviation. Wide enough that the runs decide
#: whatever they vary.
_PRIOR_MEAN = np.array([0.2, 0.7, 0.2, 0.5, 0.3, 0.7])
_PRIOR_SPREAD = np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.3])

#: Priors of a recipe: its log factor and its shift are 0, give or take this.
_RECIPE_SPREAD = np.array([0.7, 0.03])

#: Parameters that all recipes share: six exponents; start, end, log scale and log power of the growth; z.
_SHARED = 11

_LOW = np.array([-2.0, -2.0, -2.0, -2.0, -2.0, 0.05, 0.0, 0.0, -6.0, -3.0, 0.0])
_HIGH = np.array([3.0, 3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.2, 12.0, 4.0, 0.5])

#: Losses below this are as good as this: a model that is sure of every test sample has none at all.
_LEAST_LOSS = 1e-3

#: Most evaluations of a search from scratch, and of one that begins at a neighbour's end.
_MOST, _FEW = 60, 15
_FEWEST = 4  # tests that a fit needs


@dataclass(frozen=True)
class Fitted:
    """A task's curve, the recipes in its numbering, and where the search ended, to start another from."""

    curve: TaskCurve
    recipes: tuple[str, ...]
    parameters: Floats


@dataclass(frozen=True)
class HeldOut:
    """What a curve said of the last test of a run it was not fitted to.

    Attributes:
        method: The run's method.
        seed: The run's seed.
        kind: ``method`` if no run of the method was fitted, ``seed`` if its other seeds were.
        recorded: Accuracy of the run.
        predicted: Accuracy of the curve for the run's own updates.
    """

    method: str
    seed: int
    kind: str
    recorded: float
    predicted: float

    @property
    def error(self) -> float:
        """Predicted less recorded."""
        return self.predicted - self.recorded


def fit_task(runs: Sequence[Recorded], start: Fitted | None = None) -> Fitted:
    """Return the curve of one task.

    Args:
        runs: That task of every run.
        start: A fit to begin from, of the same recipes or more.

    Raises:
        InputError: The runs hold fewer than four tests, or no update that arrived.
    """
    recipes = tuple(sorted({run.recipe for run in runs}))
    stacked = Stacked.of(runs, recipes)
    tests = _tests(runs)
    if tests < _FEWEST or not len(stacked.logs):
        raise InputError(
            f"{tests} tests of {len(stacked.logs)} updates are too few for a curve",
            mend="give longer runs, or test more often (evaluation.every, evaluation.every_s)",
        )
    found = least_squares(
        lambda p: _residuals(p, stacked, len(recipes)),
        _begin(recipes, stacked, start),
        bounds=_bounds(len(recipes)),
        loss="soft_l1",
        max_nfev=_MOST if start is None else _FEW,
    ).x
    return Fitted(_curve(found, stacked, runs, recipes), recipes, found)


def hold_out(runs: Sequence[Recorded], whole: Fitted) -> list[HeldOut]:
    """Return what curves say of runs that they were not fitted to, run by run.

    Runs without which too few tests are left are not held out.

    Args:
        runs: One task of every run.
        whole: The fit to all of them, from which each search begins.
    """
    found = []
    for method in dict.fromkeys(run.method for run in runs):
        mine = [run for run in runs if run.method == method]
        others = [run for run in runs if run.method != method]
        if _suffice(others, mine):
            found += _predicted(mine, fit_task(others, whole), "method")
            continue
        for seed in dict.fromkeys(run.seed for run in mine):
            rest = [*others, *(run for run in mine if run.seed != seed)]
            left = [run for run in mine if run.seed == seed]
            if _suffice(rest, left):
                found += _predicted(left, fit_task(rest, whole), "seed")
    return found


def _suffice(fitted: Sequence[Recorded], left: Sequence[Recorded]) -> bool:
    """Tell whether a fit to some runs can say anything of others: it knows their recipes, by enough tests."""
    return {run.recipe for run in left} <= {run.recipe for run in fitted} and _tests(fitted) >= _FEWEST


def _tests(runs: Sequence[Recorded]) -> int:
    return sum(int(np.isfinite(run.loss).sum()) for run in runs)


def _predicted(runs: Sequence[Recorded], fitted: Fitted, kind: str) -> list[HeldOut]:
    said = []
    for run in runs:
        stacked = Stacked.of([run], fitted.recipes)
        accuracy = _accuracies(fitted.parameters, stacked, len(fitted.recipes))[-1]
        said.append(HeldOut(run.method, run.seed, kind, float(run.accuracy[-1]), float(accuracy)))
    return said


def _begin(recipes: Sequence[str], stacked: Stacked, start: Fitted | None) -> Floats:
    """Return where the search begins."""
    n = len(recipes)
    begin = np.zeros(_SHARED + 2 * n)
    if start is None:
        scale = np.log(max(1.0, len(stacked.run_of_sync) / (1 + stacked.run_of_sync.max(initial=0)) / 4))
        begin[:_SHARED] = [*_PRIOR_MEAN, 0.1, min(1.0, stacked.accuracy.max() + 0.02), scale, 0.0, 0.03]
        return begin
    begin[:_SHARED] = start.parameters[:_SHARED]
    theirs = np.array([start.recipes.index(key) for key in recipes])
    m = len(start.recipes)
    begin[_SHARED : _SHARED + n] = start.parameters[_SHARED + theirs]
    begin[_SHARED + n :] = start.parameters[_SHARED + m + theirs]
    low, high = _bounds(n)
    inside: Floats = np.clip(begin, low + 1e-9, high - 1e-9)
    return inside


def _bounds(n: int) -> tuple[Floats, Floats]:
    low = np.concatenate([_LOW, np.full(n, -4.0), np.full(n, -0.5)])
    high = np.concatenate([_HIGH, np.full(n, 4.0), np.full(n, 0.5)])
    return low, high


def _residuals(parameters: Floats, stacked: Stacked, n: int) -> Floats:
    spread = np.hypot(stacked.spread, MODEL_SPREAD)
    misfit = (_accuracies(parameters, stacked, n) - stacked.accuracy) / spread
    prior = (parameters[:6] - _PRIOR_MEAN) / _PRIOR_SPREAD
    factors = parameters[_SHARED : _SHARED + n] / _RECIPE_SPREAD[0]
    shifts = parameters[_SHARED + n :] / _RECIPE_SPREAD[1]
    return np.concatenate([misfit, prior, factors, shifts])


def _accuracies(parameters: Floats, stacked: Stacked, n: int) -> Floats:
    """Return the accuracy that parameters give each recorded test."""
    mass = _masses(parameters, stacked, n)
    shift = parameters[_SHARED + n :][stacked.test_recipe]
    settled = _growth(parameters).at(stacked.tested(mass), shift)
    accuracy: Floats = settled - parameters[10] * stacked.tested(stacked.sync_rate)
    return accuracy


def _masses(parameters: Floats, stacked: Stacked, n: int) -> Floats:
    return stacked.masses(parameters[:5], np.exp(parameters[_SHARED : _SHARED + n]), parameters[5])


def _growth(parameters: Floats) -> Growth:
    start, end, scale, power = parameters[6:10].tolist()
    return Growth(start, end, float(np.exp(scale)), float(np.exp(power)))


def _curve(
    parameters: Floats, stacked: Stacked, runs: Sequence[Recorded], recipes: Sequence[str]
) -> TaskCurve:
    """Return the curve that parameters make, with the loss and the vehicles' view fitted on its masses."""
    n = len(recipes)
    growth, mass = _growth(parameters), _masses(parameters, stacked, n)
    loss, loss_shifts = _fit_loss(stacked, stacked.tested(mass), growth, n)
    received = _received(stacked, mass)
    shifts = parameters[_SHARED + n :]
    factors = np.exp(parameters[_SHARED : _SHARED + n])
    return TaskCurve(
        classes=max(run.classes for run in runs),
        test_samples=int(max(run.test_samples[-1] for run in runs)),
        contribution=Contribution(*parameters[:6].tolist()),
        accuracy=growth,
        unsettled=float(parameters[10]),
        loss=loss,
        gain=_fit_gain(runs, stacked, growth.headroom(received)),
        local_loss=_local_loss(runs, loss, loss_shifts[stacked.update_recipe], received),
        local_accuracy=_local_accuracy(runs, growth, shifts[stacked.update_recipe], received),
        recipes={
            key: Recipe(float(factors[i]), float(shifts[i]), float(loss_shifts[i]), _joined_costs(runs, key))
            for i, key in enumerate(recipes)
        },
    )


def _received(stacked: Stacked, mass: Floats) -> Floats:
    """Return the mass of the cloud's model before the sync that took each update, (n,)."""
    run = stacked.run_of_sync[stacked.update_sync]
    earlier = np.maximum(stacked.update_sync - 1, 0)
    first = (stacked.update_sync == 0) | (stacked.run_of_sync[earlier] != run)
    before: Floats = np.where(first, 0.0, mass[earlier])
    return before


def _fit_loss(stacked: Stacked, tested: Floats, growth: Growth, n: int) -> tuple[Growth, Floats]:
    """Return the loss's growth and each recipe's shift, by relative errors."""
    told = np.isfinite(stacked.loss)
    mass, recipe = tested[told], stacked.test_recipe[told]
    loss = np.maximum(stacked.loss[told], _LEAST_LOSS)

    def at(p: Floats) -> Growth:
        return Growth(float(np.exp(p[0])), float(np.exp(p[1])), float(np.exp(p[2])), float(np.exp(p[3])))

    def residuals(p: Floats) -> Floats:
        off = (at(p).at(mass, p[4:][recipe]) - loss) / loss / 0.05
        return np.concatenate([off, p[4:] / 0.3])

    begin = np.concatenate([np.log([loss.max(), loss.min() * 0.9, growth.scale, growth.power]), np.zeros(n)])
    found = least_squares(residuals, begin, loss="soft_l1").x
    return at(found), found[4:]


def _fit_gain(runs: Sequence[Recorded], stacked: Stacked, headroom: Floats) -> GainLine:
    """Return the line of the vehicles' relative gains, each kept within [-1, 1]."""
    before, after = _joined(runs, "loss_before"), _joined(runs, "loss_after")
    known = np.isfinite(before) & np.isfinite(after) & (before > 0)
    gains = np.clip((before[known] - after[known]) / before[known], -1.0, 1.0)
    if not len(gains):
        return GainLine(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    features = GainLine.features(stacked.logs, headroom)
    line, *_ = np.linalg.lstsq(features[known], gains, rcond=1e-8)
    constant, rank, steps, rate, left = line.tolist()
    return GainLine(constant, rank, steps, rate, left, float(np.std(gains - features[known] @ line)))


def _local_loss(
    runs: Sequence[Recorded], loss: Growth, shifts: Floats, received: Floats
) -> tuple[float, float]:
    before = _joined(runs, "loss_before")
    expected = np.maximum(loss.at(received, shifts), _LEAST_LOSS)
    known = np.isfinite(before) & (before > 0) & np.isfinite(expected)
    if not known.any():
        return 0.0, 0.0
    ratio = np.log(before[known] / expected[known])
    return float(ratio.mean()), float(ratio.std())


def _local_accuracy(runs: Sequence[Recorded], growth: Growth, shifts: Floats, received: Floats) -> float:
    local = _joined(runs, "accuracy_local")
    known = np.isfinite(local)
    return float((local - growth.at(received, shifts))[known].mean()) if known.any() else 0.0


def _joined(runs: Sequence[Recorded], name: str) -> Floats:
    return np.concatenate([getattr(run, name) for run in runs])


def _joined_costs(runs: Sequence[Recorded], recipe: str) -> Costs:
    """Return the costs of every rank that any run of a recipe's aggregation recorded.

    The first run that knows a rank tells, those of the recipe itself before others.
    """
    alike = [run for run in runs if rule_of(run.recipe) == rule_of(recipe)]
    own = [run for run in alike if run.recipe == recipe]
    rows: dict[int, tuple[int, int, float]] = {}
    for run in (*own, *alike):
        costs = run.costs
        columns = zip(costs.ranks, costs.bytes_down, costs.bytes_up, costs.flops_per_step, strict=True)
        for rank, down, up, flops in columns:
            rows.setdefault(rank, (down, up, flops))
    ranks = sorted(rows)
    downs, ups, works = zip(*(rows[rank] for rank in ranks), strict=True) if ranks else ((), (), ())
    size = round(float(np.median([run.costs.model_bytes for run in own])))
    return Costs(tuple(ranks), downs, ups, works, size)
