"""What was compared and what came out, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetlora.comparison.statistics import is_shown
from fleetlora.methods import is_bound
from fleetlora.report.words import count, joules, percent

__all__ = ["OWN", "came_out", "difference_said", "sentences", "what_was_compared"]

#: What a difference is about: its name, its unit, and the words for more and for less of it.
_SAID = {
    "accuracy": ("accuracy", "points", "higher", "lower"),
    "latency_s": ("round latency", "%", "longer", "shorter"),
    "energy_j": ("energy", "%", "higher", "lower"),
}

#: The intervals of a difference: name and keys of its ends.
_INTERVALS = (("bootstrap", "low", "high"), ("Student's t", "t_low", "t_high"))

#: What is each method's own, as :mod:`fleetlora.comparison.terms` has it.
OWN = (
    "how vehicles choose the size of their update, how long a round waits for them, the step size of their"
    " training, what they train (the adapter and all classes, or less), how updates are merged, what a"
    " leaving vehicle does, and how the joules are divided anew among the tasks"
)

Document = Mapping[str, Any]


def what_was_compared(document: Document) -> str:
    """Return the lead of the page: the fleet, the tasks, the joules, and what is equal."""
    methods, seeds = len(document["methods"]), len(document["seeds"])
    tasks = document["tasks"]
    budget_j = document["terms"].get("budget.total_j")
    fleet = f"{count(document['vehicles'])} vehicles and {count(document['rsus'])} roadside units"
    spend = "no limit to the joules" if budget_j is None else f"at most {joules(float(budget_j))} in all"
    times = "once" if seeds == 1 else f"{count(seeds)} times, each time with another seed"
    what = "one task" if len(tasks) == 1 else f"{count(len(tasks))} tasks ({', '.join(tasks)})"
    who = "One method" if methods == 1 else f"{count(methods)} methods"
    return (
        f"{who} fine-tuned the same model for {what} over the same {fleet}, with {spend}. Every"
        f" method was played {times}. Data, tracks, radio, devices and joules are the same for all. Each"
        f" method's own is {OWN}."
    )


def came_out(document: Document) -> list[str]:
    """Return what came out, one sentence each: who is best, and the reference against its best rivals."""
    results, methods = document["results"], document["methods"]
    rated = {
        m: results[m]["accuracy"]["value"]
        for m in methods
        if document["trains_adapters"][m] and not is_bound(m)
    }
    rated = {m: value for m, value in rated.items() if value is not None}
    said = []
    if len(rated) > 1:
        best = max(rated, key=lambda m: rated[m])
        said.append(f"The most accurate method is {best} with {percent(rated[best])}.")
    said += sentences(document)
    most_accurate = document["best_rival"].get("accuracy", {}).get("rival")
    if most_accurate is not None:
        both = document["differences"][most_accurate]
        latency = difference_said("latency_s", both["latency_percent"])
        energy = difference_said("energy_j", both["energy_percent"])
        said.append(
            f"Next to {most_accurate}, its most accurate rival, the round latency of {document['reference']}"
            f" is {latency} and its energy is {energy}."
        )
    fronts = [
        name
        for cost, name in (("latency_s", "accuracy and latency"), ("energy_j", "accuracy and energy"))
        if document["reference"] in document["fronts"][cost]
    ]
    if len(methods) > 1 and fronts:
        said.append(f"No method beats {document['reference']} in both {', nor in both '.join(fronts)}.")
    overdrawn = [m for m in methods if (results[m]["overdraw_j"]["value"] or 0) > 0]
    if document["terms"].get("budget.total_j") is not None:
        said.append(
            f"The budget was broken by {', '.join(overdrawn)}."
            if overdrawn
            else "No method broke its budget."
        )
    return said or ["There is one method only, so there is nothing to compare."]


def sentences(document: Document) -> list[str]:
    """Return one sentence for each measure: the reference against the best rival in it."""
    n = len(document["seeds"])
    return [
        _sentence(document["reference"], measure, block["rival"], block["difference"], n)
        for measure, block in document["best_rival"].items()
    ]


def difference_said(measure: str, difference: Mapping[str, Any], other: str = "") -> str:
    """Return a difference as ``3.2 points higher``, with whose value it is from: ``… than that of A``.

    Args:
        measure: What differs.
        difference: By how much, in its unit.
        other: What is compared with; left out if empty.
    """
    _, unit, more, less = _SAID[measure]
    value = difference["value"]
    if value is None:
        said, joint = "not comparable", "with"
    elif round(abs(value), 1) == 0:
        said, joint = ("the same" if value == 0 else f"within 0.1 {unit} the same"), "as"
    else:
        said, joint = f"{abs(value):.1f} {unit} {more if value > 0 else less}", "than"
    return f"{said} {joint} {other}" if other else said


def _sentence(reference: str, measure: str, rival: str, difference: Mapping[str, Any], n: int) -> str:
    name = _SAID[measure][0]
    if difference["value"] is None:
        return f"The {name} of {reference} and of {rival} cannot be compared: a run has no value."
    unit = _SAID[measure][1]
    said = difference_said(measure, difference, f"that of {rival}")
    told = f"The {name} of {reference} is {said}, the best rival in it"
    spans = [
        f"{difference[low]:+.1f} to {difference[high]:+.1f} by {by}"
        for by, low, high in _INTERVALS
        if difference.get(low) is not None and difference.get(high) is not None
    ]
    if not spans:
        return f"{told}; with one seed there is no telling how sure that is." if n == 1 else f"{told}."
    clear = "" if is_shown(difference) else "; that is not shown, it might as well be none"
    return f"{told} (95 % interval in {unit}: {', '.join(spans)}{clear})."
