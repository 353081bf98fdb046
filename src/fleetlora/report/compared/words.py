"""What came out of a comparison, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["sentences"]

#: What a difference is about, and the words for more and for less of it.
_SAID = {
    "accuracy": ("accuracy", "points", "higher", "lower"),
    "latency_s": ("latency of a round", "%", "longer", "shorter"),
    "energy_j": ("energy", "%", "higher", "lower"),
}


def sentences(document: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each measure: the reference against the best rival in it."""
    reference, n = document["reference"], len(document["seeds"])
    return [
        _sentence(reference, measure, block["rival"], block["difference"], n)
        for measure, block in document["best_rival"].items()
    ]


def _sentence(reference: str, measure: str, rival: str, difference: Mapping[str, Any], n: int) -> str:
    name, unit, more, less = _SAID[measure]
    head = f"{name[0].upper()}{name[1:]} against the best rival in it, {rival}:"
    value, low, high = (difference[end] for end in ("value", "low", "high"))
    if value is None:
        return f"{head} cannot be said, a run has no value."
    told = f"{head} that of {reference} is {abs(value):.1f} {unit} {more if value > 0 else less}"
    if low is None:
        return f"{told} (one seed, so no interval)." if n == 1 else f"{told}."
    clear = "" if low > 0 or high < 0 else ", so not clearly different from none"
    return f"{told} (95 % interval {low:+.1f} to {high:+.1f}{clear})."
