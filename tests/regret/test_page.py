"""The tables of docs/theory.md say what the recorded studies say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetlora.regret import INSTANCES

ROOT = Path(__file__).parents[2]
THEORY = (ROOT / "docs" / "theory.md").read_text("utf-8")


STUDY = json.loads((ROOT / "benchmarks" / "regret.json").read_text("utf-8"))


def rows() -> Iterator[str]:
    """Yield the row of every contender in the recorded study."""
    for name, instance in STUDY["instances"].items():
        for place, (policy, found) in enumerate(instance["policies"].items()):
            cells = [f"`{name}`, T = {instance['horizon']:,}" if place == 0 else "", f"`{policy}`"]
            for key in ("regret", "overspending", "violation"):
                cells.append(_interval(*(_amount(found[key][end][-1]) for end in ("mean", "low", "high"))))
                cells.append(_slope(found[key]["exponent"]))
            yield "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 20 or value == 0 else f"{value:.1f}"


def _interval(mean: str, low: str, high: str) -> str:
    return mean if mean == low == high else f"{mean} ({low} to {high})"


def _slope(exponent: Any) -> str:
    if exponent is None:
        return "–"
    value, low, high = (exponent[key] and f"{exponent[key]:.2f}" for key in ("value", "low", "high"))
    return value if low is None else _interval(value, low, high)


def test_every_recorded_contender_has_its_row_in_the_page() -> None:
    for row in rows():
        assert row in THEORY


def test_the_recorded_study_is_against_the_optimum_of_today() -> None:
    for name, instance in STUDY["instances"].items():
        assert [piece["value"] for piece in instance["optima"]] == pytest.approx(
            [mix.value for mix in INSTANCES[name].optima]
        )


def test_the_budget_is_kept_with_exponents_below_six_tenths_in_both_measures() -> None:
    for instance in STUDY["instances"].values():
        for policy, found in instance["policies"].items():
            for key in ("overspending", "violation"):
                exponent = found[key]["exponent"]
                assert policy == "ucb" or exponent is None or exponent["value"] <= 0.6
