"""The study: every contender on every instance under every seed, and what it comes to.

The outcome is plain data, ready for ``regret.json``, and depends on neither the host nor the number of
processes: a play draws from streams of its own seed only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fleetlora.console import Progress, Quiet
from fleetlora.errors import InputError
from fleetlora.regret.contenders import Contender, default_contenders, find_contender
from fleetlora.regret.exponents import Exponent, band, fit_exponent, fitted_from
from fleetlora.regret.instances import INSTANCES, Instance, find_instance
from fleetlora.regret.play import Curve, grid
from fleetlora.regret.pool import Play, run_plays
from fleetlora.rng import stream

__all__ = ["LEAST_HORIZON", "SCHEMA", "run_lab"]

T = TypeVar("T")
Floats = NDArray[np.float64]

#: Number of the layout of ``regret.json``.
SCHEMA = 1

#: Shortest horizon over which a slope says anything: slopes are then fitted to seven points.
LEAST_HORIZON = 100

#: Digits of the recorded curves.
_DIGITS = 5


def run_lab(
    horizon: int,
    seeds: int,
    *,
    policies: Sequence[str] | None = None,
    instances: Sequence[str] | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Play the contenders on the instances, and fit how fast regret and violation grow.

    Args:
        horizon: T, rounds of a play; an instance may end sooner.
        seeds: Number of seeds, 0, 1, 2 ...
        policies: Contenders or registered policies; those that belong to an instance if not given.
        instances: Names of instances; all if not given.
        jobs: Processes.
        progress: Is told of every play.

    Returns:
        What ``regret.json`` holds but for the host: see docs/theory.md.

    Raises:
        InputError: An unknown name, a number too small to conclude anything from, or a contender that does
            not play an instance.
    """
    _check(horizon, seeds, jobs)
    problems = _named(list(INSTANCES) if instances is None else instances, find_instance, "--instances")
    contenders = None if policies is None else _named(policies, find_contender, "--policies")
    entries = [
        (problem, contender)
        for problem in problems
        for contender in (contenders or default_contenders(problem.name))
    ]
    for problem, contender in entries:  # whoever refuses an instance does so before the first play
        contender.make(problem, problem.rounds(horizon))
    plays = [
        Play(problem.name, contender, horizon, seed)
        for problem, contender in entries
        for seed in range(seeds)
    ]
    curves: dict[int, Curve] = {}
    progress = progress or Quiet()
    progress.begin("plays", len(plays))
    for number, curve in run_plays(plays, jobs):
        curves[number] = curve
        progress.advance(f"{plays[number].instance} {plays[number].contender.name}")
    found: dict[str, Any] = {problem.name: _describe(problem, horizon) for problem in problems}
    for number, (problem, contender) in enumerate(entries):
        own = [curves[seeds * number + seed] for seed in range(seeds)]
        found[problem.name]["policies"][contender.name] = _conclude(problem, contender, horizon, own)
    return {"schema": SCHEMA, "horizon": horizon, "seeds": seeds, "instances": found}


def _check(horizon: int, seeds: int, jobs: int) -> None:
    for value, least, where, why in (
        (horizon, LEAST_HORIZON, "--horizon", "a slope cannot be fitted to fewer rounds"),
        (seeds, 2, "--seeds", "an interval needs two"),
        (jobs, 1, "--jobs", "somebody has to do the work"),
    ):
        if value < least:
            raise InputError(f"{value} is too small", where=where, mend=f"give at least {least}; {why}")


def _named(names: Sequence[str], find: Callable[[str], T], where: str) -> list[T]:
    """Return what the names stand for, each once."""
    if not names:
        raise InputError("nothing is named", where=where, mend="name one, or leave it out")
    return [find(name) for name in dict.fromkeys(names)]


def _describe(problem: Instance, horizon: int) -> dict[str, Any]:
    """Return what an instance is, and its optimum."""
    rounds = problem.rounds(horizon)
    return {
        "about": problem.about,
        "horizon": rounds,
        "places": problem.places,
        "ranks": problem.ranks.tolist(),
        "rho": problem.rho,
        "slack": round(problem.slack, 9),
        "optima": [
            {
                "from_round": round(piece.begins * rounds),
                "value": round(mix.value, 9),
                "price": round(mix.price, 9),
                "mix": mix.probabilities.round(9).tolist(),
            }
            for piece, mix in zip(problem.pieces, problem.optima, strict=True)
        ],
        "fitted_from": round(fitted_from(rounds), 1),
        "rounds": grid(rounds).tolist(),
        "policies": {},
    }


def _conclude(
    problem: Instance, contender: Contender, horizon: int, curves: Sequence[Curve]
) -> dict[str, Any]:
    """Return a contender's curves and slopes."""
    regret = np.array([curve.regret for curve in curves])
    excess = np.array([curve.excess for curve in curves])
    overspent = np.array([curve.overspent for curve in curves])
    price = np.array([curve.price for curve in curves])
    rounds = problem.rounds(horizon)
    at = grid(rounds)

    def measured(name: str, values: Floats) -> dict[str, Any]:
        rng = stream(0, "regret", problem.name, contender.name, name)
        interval = band(values, rng)
        late = at >= fitted_from(rounds)
        # across changes a slope is that of the kinks; rivals plan with T, so they are elsewhere at t < T than
        # if T were t, and their plays end with the budget (until_spent)
        steady = problem.steady and not contender.until_spent
        slope = fit_exponent(at[late].astype(float), values[:, late], rng) if steady else None
        return {
            "mean": _numbers(interval.mean),
            "low": _numbers(interval.low),
            "high": _numbers(interval.high),
            "exponent": _exponent(slope),
        }

    return {
        "policy": contender.policy,
        "options": dict(contender.options),
        "about": contender.about,
        "until_spent": contender.until_spent,
        "regret": measured("regret", regret),
        "violation": measured("violation", np.maximum(0.0, excess)),
        "overspending": measured("overspending", np.maximum(0.0, overspent)),
        "excess_mean": _numbers(excess.mean(axis=0)),
        "overspent_mean": _numbers(overspent.mean(axis=0)),
        "price_mean": _numbers(price.mean(axis=0)),
    }


def _exponent(found: Exponent | None) -> dict[str, float | None] | None:
    if found is None:
        return None
    return {
        "value": round(found.value, 4),
        "low": None if found.low is None else round(found.low, 4),
        "high": None if found.high is None else round(found.high, 4),
        "scale": float(f"{found.scale:.{_DIGITS}g}"),
    }


def _numbers(values: Floats) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values.tolist()]
