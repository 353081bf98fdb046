"""``comparison.json``: what a comparison came to, in one document that everything else is made of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fleetlora.comparison.front import pareto_front
from fleetlora.comparison.hosts import parts_of, without_seconds
from fleetlora.comparison.measures import (
    MEASURES,
    Curve,
    Played,
    at_target,
    task_measures,
    trains_adapter,
)
from fleetlora.comparison.statistics import Estimate, difference, estimate, percent_difference
from fleetlora.comparison.terms import (
    method_terms,
    require_equal_terms,
    require_one_learner,
    require_one_method_each,
    shared_terms,
)
from fleetlora.doctor import versions
from fleetlora.errors import InputError
from fleetlora.methods import homolora_rank, is_bound, variant_of

__all__ = ["SCHEMA", "Entry", "build_document", "concluded", "require_equal_seeds"]

T = TypeVar("T")

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


@dataclass(frozen=True)
class Entry:
    """One run in a document.

    Attributes:
        method: Its method.
        seed: Its seed.
        path: Its directory, from that of the comparison.
        digest: Digest of its tables.
        values: Its measures by key, all but what depends on a target.
        curve: How its accuracy grew.
    """

    method: str
    seed: int
    path: str
    digest: str
    values: Mapping[str, float | None]
    curve: Curve

    @classmethod
    def of(cls, one: Played, out: Path) -> Entry:
        """Return the entry of a finished run in a comparison that is written to ``out``."""
        path = Path(os.path.relpath(one.run.path, out)).as_posix()
        return cls(one.method, one.seed, path, one.run.result["digest"], one.values, one.curve)

    @classmethod
    def read(cls, run: Mapping[str, Any]) -> Entry:
        """Return the entry that :meth:`as_dict` wrote."""
        curve = Curve(*(np.array(run["curve"][name]) for name in ("t_s", "joules", "accuracy")))
        return cls(run["method"], run["seed"], run["path"], run["digest"], run["measures"], curve)

    def as_dict(self, target: float) -> dict[str, Any]:
        """Return the entry as JSON has it, with when it reached the target."""
        return {
            "method": self.method,
            "seed": self.seed,
            "path": self.path,
            "digest": self.digest,
            "measures": {**self.values, **at_target(self.curve, target)},
            "curve": {
                "t_s": self.curve.t_s.tolist(),
                "joules": self.curve.joules.tolist(),
                "accuracy": self.curve.accuracy.tolist(),
            },
        }


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
        ConfigError: The runs are not on equal terms, those of a method not of one, or they learned by
            different curves; names the key.
    """
    if not played:
        raise InputError("there is no run to compare", mend="give the directories of finished runs")
    entries = [Entry.of(one, out) for one in played]
    require_equal_seeds(entries)
    names = [f"{one.method}, seed {one.seed}" for one in played]
    require_equal_terms([(name, one.run.config) for name, one in zip(names, played, strict=True)])
    require_one_method_each(
        [(one.method, name, one.run.config) for name, one in zip(names, played, strict=True)]
    )
    require_one_learner([(name, one.run.result) for name, one in zip(names, played, strict=True)])
    first, configs = played[0].run, {one.method: one.run.config for one in reversed(played)}
    about = {
        "name": first.identity.preset,
        "vehicles": first.identity.vehicles,
        "rsus": first.identity.rsus,
        "tasks": list(first.tasks),
        **({"learner": first.result["learner"]} if "learner" in first.result else {}),
        "terms": shared_terms(first.config),
        "method_terms": {m: method_terms(configs[m]) for m in configs},
        "trains_adapters": {m: trains_adapter(configs[m]) for m in configs},
        "tuned": tuned,
        **_hosts(played),
    }
    return concluded(about, entries, target)


def _hosts(played: Sequence[Played]) -> dict[str, Any]:
    """Return this machine, and where runs were played if that was not all here and with these versions."""
    here = versions()
    said = ((one.method, one.run.result.get("host")) for one in played)
    parts = parts_of((m, without_seconds({"versions": {}, **host}) if host else here) for m, host in said)
    elsewhere = any(part["host"] != here for part in parts)
    return {"host": here, **({"parts": parts} if elsewhere else {})}


def concluded(about: Mapping[str, Any], entries: Sequence[Entry], target: float | None) -> dict[str, Any]:
    """Return a document: what its runs are of, and what they came to.

    Args:
        about: The parts of the document that say what was played: name, fleet, tasks, terms, tuning, host.
        entries: The runs, every method with the same seeds; the first one's method is the reference.
        target: Mean accuracy whose first reach is timed; if not given it is chosen from the runs.
    """
    methods, seeds = _in_order([e.method for e in entries]), _in_order([e.seed for e in entries])
    adapters = about["trains_adapters"]
    aim = _target(entries, methods, adapters, target)
    runs = {(e.method, e.seed): e.as_dict(aim["accuracy"]) for e in entries}
    measures = (*MEASURES, *task_measures(about["tasks"]))
    columns = {
        m: {q.key: [runs[m, seed]["measures"].get(q.key) for seed in seeds] for q in measures}
        for m in methods
    }
    means = {m: {q.key: estimate(columns[m][q.key]) for q in measures} for m in methods}
    ours = variant_of(methods[0])
    rivals = [m for m in methods[1:] if adapters[m] and not is_bound(m) and variant_of(m) != ours]
    before = {key: about[key] for key in ("name", "vehicles", "rsus", "tasks", "learner") if key in about}
    return {
        "schema": SCHEMA,
        **before,
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
        "terms": about["terms"],
        "method_terms": {m: about["method_terms"][m] for m in methods},
        "trains_adapters": {m: adapters[m] for m in methods},
        "tuned": about["tuned"],
        "runs": list(runs.values()),
        **{key: value for key, value in about.items() if key in ("host", "parts")},
    }


def require_equal_seeds(entries: Sequence[Entry]) -> None:
    """Check that every method has one run of each seed.

    Raises:
        InputError: One is lacking, or there twice.
    """
    there: dict[tuple[str, int], str] = {}
    for one in entries:
        before = there.setdefault((one.method, one.seed), one.path)
        if before != one.path:
            raise InputError(
                f"{one.method} with seed {one.seed} is there twice, also as {before}",
                where=one.path,
                mend="leave one out",
            )
    seeds = _in_order([e.seed for e in entries])
    for method in _in_order([e.method for e in entries]):
        lacking = [seed for seed in seeds if (method, seed) not in there]
        if lacking:
            raise InputError(
                f"{method} has no run of seed {lacking[0]}",
                where="seeds",
                mend="compare methods on the same seeds: play the run, or leave the seed out everywhere",
            )


def _in_order(values: Iterable[T]) -> list[T]:
    """Return the distinct values in the order in which they come."""
    return list(dict.fromkeys(values))


def _target(
    entries: Sequence[Entry], methods: Sequence[str], adapters: Mapping[str, bool], given: float | None
) -> dict[str, Any]:
    """Return the target accuracy and where it comes from."""
    if given is not None:
        return {"accuracy": given, "why": "given"}
    rated = [m for m in methods if adapters[m]] or list(methods)
    means = [estimate([e.values["accuracy"] for e in entries if e.method == m]).value for m in rated]
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
    methods = [m for m in means if not is_bound(m)]
    values = [(means[m][cost].value, means[m]["accuracy"].value) for m in methods]
    on = pareto_front(*np.array(values, dtype=float).reshape(-1, 2).T)
    return [m for m, is_on in zip(methods, on, strict=True) if is_on]
