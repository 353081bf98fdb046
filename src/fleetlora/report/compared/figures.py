"""The figures of a comparison: what is gained for what it costs, how it was learned, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fleetlora.comparison.statistics import interval_of_curves, widest
from fleetlora.report.compared.families import family_of, look_of
from fleetlora.report.figure import Axis, Figure, Label, Series
from fleetlora.report.palette import GREY, INK, OUTCOME, TASKS
from fleetlora.report.words import OUTCOME_WORDS, Unit, energy_unit, time_unit

__all__ = ["comparison_figures"]

#: Points of a mean curve.
_POINTS = 60

_GAIN, _GROWTH, _EACH = "What accuracy costs", "How the methods learned", "Method by method"

Document = Mapping[str, Any]


def comparison_figures(document: Document) -> tuple[Figure, ...]:
    """Return every figure of a comparison, in the order in which they are read."""
    seconds = Unit("s", 1.0)
    joules = energy_unit(_most(document, "energy_j"))
    return (
        _pareto(document, "latency_s", "pareto-latency", Axis("mean latency of a round", "s"), seconds),
        _pareto(document, "energy_j", "pareto-energy", Axis("vehicles' energy", joules.name), joules),
        _growth(document, "t_s", "learning-time", "virtual time", time_unit(_most(document, "total_s"))),
        _growth(document, "joules", "learning-energy", "vehicles' energy", joules),
        _differences(document, "accuracy_points", "difference-accuracy", "accuracy", "points", "right"),
        _differences(document, "latency_percent", "difference-latency", "latency of a round", "%", "left"),
        _differences(document, "energy_percent", "difference-energy", "vehicles' energy", "%", "left"),
        _fates(document),
    )


def _most(document: Document, key: str) -> float:
    values = [document["results"][method][key]["value"] for method in document["methods"]]
    return max((value for value in values if value is not None), default=0.0)


def _estimates(document: Document, methods: list[str], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the means (n,) and intervals (n, 2) of ``methods``, NaN where there is none."""
    found = [document["results"][method][key] for method in methods]
    means = np.array([one["value"] for one in found], dtype=float)
    spans = np.array([[one["low"], one["high"]] for one in found], dtype=float).reshape(-1, 2)
    return means, spans


def _pareto(document: Document, cost: str, name: str, axis: Axis, unit: Unit) -> Figure:
    families = {method: family_of(document, method) for method in document["methods"]}
    series, labels = [], []
    for family in dict.fromkeys(families.values()):
        mine = [method for method in document["methods"] if families[method] == family]
        x, x_span = _estimates(document, mine, cost)
        y, y_span = _estimates(document, mine, "accuracy")
        ours = document["reference"] in mine
        series.append(
            Series(
                document["reference"] if ours else family.name,
                x / unit.size,
                100 * y,
                family.colour,
                "point",
                marker=family.marker,
                faint=not ours,
                texts=tuple(mine),
                x_span=x_span / unit.size,
                y_span=100 * y_span,
            )
        )
        colour = family.colour if family.colour is not GREY else INK
        labels += [
            Label(method, float(x[i] / unit.size), float(100 * y[i]), colour, ours)
            for i, method in enumerate(mine)
            if np.isfinite([x[i], y[i]]).all()
        ]
    front, _ = _estimates(document, document["fronts"][cost], cost)
    height, _ = _estimates(document, document["fronts"][cost], "accuracy")
    order = np.argsort(front)
    line = Series("Pareto front", front[order] / unit.size, 100 * height[order], GREY, dashed=True)
    whose = "latency" if cost == "latency_s" else "energy"
    return Figure(
        name=name,
        title=f"Accuracy against {whose}",
        group=_GAIN,
        caption="Each point is a method: its mean over the seeds, with 95 % bootstrap intervals. Up and to"
        " the left is better. Dashed: the Pareto front, the methods that no other beats in both, accuracy and"
        f" {whose}; a bound, which is told the future, is none.",
        x=axis,
        y=Axis("mean accuracy", "%"),
        series=[line, *series],
        labels=labels,
        wide=True,
    )


def _growth(document: Document, column: str, name: str, title: str, unit: Unit) -> Figure:
    background: list[Series] = []
    front: list[Series] = []
    labels = []
    for method in document["methods"]:
        x, curves = _curves(document, method, column)
        if not len(x):
            continue
        mean, (colour, faint) = curves.mean(axis=0), look_of(document, method)
        band = None if faint or len(curves) < 2 else np.stack(interval_of_curves(curves), axis=1)
        line = Series(
            method,
            x / unit.size,
            100 * mean,
            colour,
            in_legend=not faint,
            faint=faint,
            y_span=None if band is None else 100 * band,
        )
        (background if faint else front).append(line)
        ours = method == document["reference"]
        labels.append(Label(method, float(line.x[-1]), float(line.y[-1]), INK if faint else colour, ours))
    return Figure(
        name=name,
        title=f"Accuracy over {'time' if column == 't_s' else 'energy'}",
        group=_GROWTH,
        caption="Mean accuracy over the tasks and the seeds. Blue: the reference; orange: its best rival by"
        " accuracy; both with the 95 % bootstrap interval of their mean. Grey: the other methods. A name"
        " stands where its line ends.",
        x=Axis(title, unit.name, from_zero=True),
        y=Axis("mean accuracy", "%"),
        series=[*background, *front[::-1]],
        empty="No round ended with an evaluation, so there is no accuracy to show.",
        labels=labels,
        wide=True,
    )


def _curves(document: Document, method: str, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return places (m,) and every seed's accuracy there (n, m), where all seeds have been tested."""
    runs = [run["curve"] for run in document["runs"] if run["method"] == method and run["curve"][column]]
    if not runs:
        return np.empty(0), np.empty((0, 0))
    first, last = max(run[column][0] for run in runs), min(run[column][-1] for run in runs)
    if first >= last:
        ends = np.array([[run["accuracy"][-1]] for run in runs])
        return np.array([np.mean([run[column][-1] for run in runs])]), ends
    places = np.linspace(first, last, _POINTS)
    return places, np.stack([np.interp(places, run[column], run["accuracy"]) for run in runs])


def _differences(document: Document, key: str, name: str, what: str, unit: str, good: str) -> Figure:
    reference = document["reference"]
    others = [m for m in document["methods"] if m != reference]
    found = [document["differences"][method][key] for method in others]
    values = np.array([one["value"] for one in found], dtype=float)
    spans = np.array([widest(one) or (np.nan, np.nan) for one in found], dtype=float).reshape(-1, 2)
    places = np.arange(len(others), dtype=float)
    zero = Series(
        "none", np.zeros(2), np.array([-0.5, len(others) - 0.5]), GREY, dashed=True, in_legend=False
    )
    points = Series(
        "difference", values, places, TASKS[0], "point", marker=0, faint=True, in_legend=False,
        texts=tuple(f"{reference} against {method}" for method in others), x_span=spans,
    )  # fmt: skip
    return Figure(
        name=name,
        title=f"{reference} against each: {what}",
        group=_EACH,
        caption=f"How much higher the {what} of {reference} is, with what the bootstrap's and Student's 95 %"
        f" intervals over paired seeds span together. To the {good} of the dashed line it is better than that"
        " method; an interval that crosses the line does not tell which is better.",
        x=Axis(f"difference in {what}", unit),
        y=Axis("", categories=tuple(others)),
        series=[zero, points] if others else [],
        empty="There is no other method to compare with.",
    )


def _fates(document: Document) -> Figure:
    methods = document["methods"]
    means = {m: {k: v["value"] or 0.0 for k, v in document["results"][m].items()} for m in methods}
    counts = {
        "delivered": [means[m]["arrived"] - means[m]["early"] - means[m]["handed_off"] for m in methods],
        **{word: [means[m][word] for m in methods] for word in ("early", "handed_off", "abandoned", "lost")},
    }
    started = np.array([max(means[m]["started"], 1.0) for m in methods])
    places = np.arange(len(methods), dtype=float)
    series = [
        Series(OUTCOME_WORDS[word], 100 * np.array(values) / started, places, OUTCOME[word], "bar")
        for word, values in counts.items()
        if any(values)
    ]
    return Figure(
        name="outcomes",
        title="How the started updates ended",
        group=_EACH,
        caption="A vehicle may drive out of reach before it is done. Delivered early: it took"
        " fewer steps, to be through before or to save time and energy. Handed off: it sent its update"
        " through the next roadside unit. Abandoned: it left before it was through and gave up. Lost: contact"
        " or time ran out.",
        x=Axis("share of started updates", "%", from_zero=True),
        y=Axis("", categories=tuple(methods)),
        series=series,
        empty="No update was started.",
    )
