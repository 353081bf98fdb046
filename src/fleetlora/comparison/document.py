"""``comparison.json``: what a comparison came to, in one document that everything else is made of."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fleetlora.comparison.front import pareto_front
from fleetlora.comparison.measures import MEASURES, Played, at_target, task_measures, trains_adapter
from fleetlora.comparison.statistics import Estimate, difference, estimate, percent_difference
from fleetlora.comparison.terms import method_terms, require_equal_terms, shared_terms
from fleetlora.doctor import versions
from fleetlora.errors import InputError
from fleetlora.methods import homolora_rank

__all__ = ["SCHEMA", "build_document"]

#: Number of the layout of ``comparison.json``.
SCHEMA = 1

#: Without a target it is this share of the lowest mean accuracy of a method.
_TARGET_SHARE = 0.95

#: Differences that are reported: key, measure, unit.
_DIFFERENCES = (
    ("accuracy_points", "accuracy", "points"),
    ("latency_percent", "latency_s", "percent"),
    ("energy_percent", "energy_j", "percent"),
)

#: Values of one method by measure, one per seed in the order of the seeds.
Columns = Mapping[str, Mapping[str, Sequence[float | None]]]


def build_document(
    played: Sequence[Played],
    out: Path,
    *,
    target: float | None = None,
    tuned: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the contents of ``comparison.json``.

    Args:
        played: The runs; the first one's method is the reference that the others are compared with.
        out: Directory of the comparison, from which the runs' paths are written.
        target: Mean accuracy whose first reach is timed; if not given it is chosen from the runs.
        tuned: What tuning chose for each method.

    Raises:
        InputError: There is no run, one is there twice, or the methods have not the same seeds.
        ConfigError: The runs are not on equal terms; names the key.
    """
    methods, seeds = _grid(played)
    named = [(f"{one.method}, seed {one.seed}", one.run.config) for one in played]
    require_equal_terms(named)
    tasks = played[0].run.tasks
    configs = {one.method: one.run.config for one in reversed(played)}
    adapters = {m: trains_adapter(configs[m]) for m in methods}
    aim = _target(played, methods, adapters, target)
    rows = {(p.method, p.seed): {**p.values, **at_target(p.curve, aim["accuracy"])} for p in played}
    measures = (*MEASURES, *task_measures(tasks))
    columns = {m: {q.key: [rows[m, seed].get(q.key) for seed in seeds] for q in measures} for m in methods}
    means = {m: {q.key: estimate(columns[m][q.key]) for q in measures} for m in methods}
    rivals = [m for m in methods[1:] if adapters[m]]
    first = played[0].run.result
    return {
        "schema": SCHEMA,
        "name": played[0].run.identity.preset,
        "vehicles": played[0].run.identity.vehicles,
        "rsus": played[0].run.identity.rsus,
        "tasks": list(tasks),
        **({"learner": first["learner"]} if "learner" in first else {}),
        "methods": methods,
        "reference": methods[0],
        "seeds": seeds,
        "target": aim,
        "measures": [{"key": q.key, "title": q.title, "unit": q.unit, "better": q.better} for q in measures],
        "results": {m: {key: one.as_dict() for key, one in means[m].items()} for m in methods},
        "differences": {m: _differences(columns, methods[0], m) for m in methods[1:]},
        "best_rival": _best_rivals(columns, means, methods[0], rivals),
        "best_homolora": _best_homolora(means),
        "fronts": {cost: _front(means, cost) for cost in ("latency_s", "energy_j")},
        "terms": shared_terms(played[0].run.config),
        "method_terms": {m: method_terms(configs[m]) for m in methods},
        "trains_adapters": adapters,
        "tuned": tuned,
        "runs": [_run(one, rows[one.method, one.seed], out) for one in played],
        "host": versions(),
    }


def _grid(played: Sequence[Played]) -> tuple[list[str], list[int]]:
    """Return the methods and the seeds, in the order in which they come."""
    if not played:
        raise InputError("there is no run to compare", mend="give the directories of finished runs")
    methods = list(dict.fromkeys(one.method for one in played))
    seeds = list(dict.fromkeys(one.seed for one in played))
    there: dict[tuple[str, int], Path] = {}
    for one in played:
        before = there.setdefault((one.method, one.seed), one.run.path)
        if before != one.run.path:
            raise InputError(
                f"{one.method} with seed {one.seed} is there twice, also as {before}",
                where=str(one.run.path),
                mend="leave one out",
            )
    for method in methods:
        lacking = [seed for seed in seeds if (method, seed) not in there]
        if lacking:
            raise InputError(
                f"{method} has no run of seed {lacking[0]}",
                where="seeds",
                mend="compare methods on the same seeds: play the run, or leave the seed out everywhere",
            )
    return methods, seeds


def _target(
    played: Sequence[Played], methods: Sequence[str], adapters: Mapping[str, bool], given: float | None
) -> dict[str, Any]:
    """Return the target accuracy and where it comes from."""
    if given is not None:
        return {"accuracy": given, "why": "given"}
    rated = [m for m in methods if adapters[m]] or list(methods)
    means = [estimate([p.values["accuracy"] for p in played if p.method == m]).value for m in rated]
    lowest = min((mean for mean in means if mean is not None), default=0.0)
    why = f"{100 * _TARGET_SHARE:.0f} % of the lowest mean accuracy of a method that trains adapters"
    return {"accuracy": _TARGET_SHARE * lowest, "why": why}


def _difference(columns: Columns, measure: str, unit: str, one: str, other: str) -> Estimate:
    if unit == "points":
        return difference(columns[one][measure], columns[other][measure], scale=100.0)
    return percent_difference(columns[one][measure], columns[other][measure])


def _differences(columns: Columns, reference: str, other: str) -> dict[str, Any]:
    return {
        key: _difference(columns, measure, unit, reference, other).as_dict()
        for key, measure, unit in _DIFFERENCES
    }


def _best_rivals(
    columns: Columns, means: Mapping[str, Mapping[str, Estimate]], reference: str, rivals: Sequence[str]
) -> dict[str, Any]:
    """Return, for each measure that is compared, the rival with the best mean and the difference to it."""
    found = {}
    for _, measure, unit in _DIFFERENCES:
        best = best_of({m: means[m][measure].value for m in rivals}, more=measure == "accuracy")
        if best is not None:
            shown = _difference(columns, measure, unit, reference, best).as_dict()
            found[measure] = {"rival": best, "unit": unit, "difference": shown}
    return found


def best_of(values: Mapping[str, float | None], more: bool) -> str | None:
    """Return the name with the largest value, or the smallest; the first of equals, None without values."""
    rated = {name: value for name, value in values.items() if value is not None}
    if not rated:
        return None
    return max(rated, key=lambda name: rated[name] if more else -rated[name])


def _best_homolora(means: Mapping[str, Mapping[str, Estimate]]) -> str | None:
    """Return the best of several ``homolora-R`` by accuracy: a choice that only hindsight can make."""
    arms = [m for m in means if homolora_rank(m) is not None]
    return best_of({m: means[m]["accuracy"].value for m in arms}, more=True) if len(arms) > 1 else None


def _front(means: Mapping[str, Mapping[str, Estimate]], cost: str) -> list[str]:
    values = [(means[m][cost].value, means[m]["accuracy"].value) for m in means]
    on = pareto_front(*np.array(values, dtype=float).T)
    return [m for m, is_on in zip(means, on, strict=True) if is_on]


def _run(one: Played, values: Mapping[str, float | None], out: Path) -> dict[str, Any]:
    return {
        "method": one.method,
        "seed": one.seed,
        "path": Path(os.path.relpath(one.run.path, out)).as_posix(),
        "digest": one.run.result["digest"],
        "measures": dict(values),
        "curve": {
            "t_s": one.curve.t_s.tolist(),
            "joules": one.curve.joules.tolist(),
            "accuracy": one.curve.accuracy.tolist(),
        },
    }
