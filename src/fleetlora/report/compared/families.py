"""Families of methods: how one method is drawn among many, so that colour and marker carry meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetlora.methods import is_bound, variant_of
from fleetlora.report.palette import GREY, TASKS, Colour

__all__ = ["Family", "family_of", "look_of"]


@dataclass(frozen=True)
class Family:
    """Methods that are made alike.

    Attributes:
        name: What they have in common.
        colour: Their colour; all but the reference and its variants are grey.
        marker: Index into the markers.
    """

    name: str
    colour: Colour
    marker: int


_REFERENCE = Family("the reference", TASKS[0], 0)
_VARIANTS = Family("variants of the reference", TASKS[6], 0)
_ONE_RANK = Family("one rank for all", GREY, 1)
_POLICIES = Family("other ways to choose ranks", GREY, 3)
_RULES = Family("other ways to merge updates", GREY, 2)
_HEADS = Family("no adapters", GREY, 6)
_BOUNDS = Family("bounds, told the future", GREY, 7)


def family_of(document: Mapping[str, Any], method: str) -> Family:
    """Return the family of a method, by its name and by what its configuration says it is made of."""
    terms, reference = document["method_terms"][method], document["reference"]
    policy, rule = terms.get("policy.name"), terms.get("aggregation.rule")
    if method == reference:
        return _REFERENCE
    if not document["trains_adapters"][method]:
        return _HEADS
    if is_bound(method):
        return _BOUNDS
    if variant_of(method) == variant_of(reference):
        return _VARIANTS
    if policy == "fixed" and rule == "product":
        return _ONE_RANK
    ours = document["method_terms"][reference].get("aggregation.rule")
    return _POLICIES if rule == ours else _RULES


def look_of(document: Mapping[str, Any], method: str) -> tuple[Colour, bool]:
    """Return the colour of a method's line, and whether it is background.

    The reference and the best rival by accuracy stand out.
    """
    rival = document["best_rival"].get("accuracy", {}).get("rival")
    if method == document["reference"]:
        return _REFERENCE.colour, False
    return (TASKS[1], False) if method == rival else (GREY, True)
