"""What tuning chooses among settings that were tried."""

from __future__ import annotations

from typing import Any

from fleetlora.comparison.tune import choose


def score(name: str, accuracy: float | None, latency_s: float | None) -> dict[str, Any]:
    return {"overrides": [name], "accuracy": accuracy, "latency_s": latency_s}


def chosen(*tried: dict[str, Any], tolerance: float = 0.0) -> str:
    return str(choose(tried, tolerance)["overrides"][0])


def test_the_most_accurate_is_chosen_however_long_its_rounds() -> None:
    assert chosen(score("quick", 0.790, 1.0), score("good", 0.791, 9.0)) == "good"


def test_of_equals_the_one_with_shorter_rounds_is_chosen_then_the_first() -> None:
    assert chosen(score("slow", 0.8, 2.0), score("quick", 0.8, 1.0)) == "quick"
    assert chosen(score("first", 0.8, 1.0), score("second", 0.8, 1.0)) == "first"


def test_within_the_tolerance_the_one_with_shorter_rounds_is_chosen() -> None:
    tried = score("best", 0.800, 2.0), score("close", 0.795, 1.0), score("worse", 0.790, 0.5)
    assert chosen(*tried, tolerance=0.007) == "close"
    assert chosen(*tried, tolerance=0.002) == "best"


def test_a_setting_that_told_nothing_is_the_last_choice() -> None:
    assert chosen(score("nothing", None, None), score("some", 0.1, 5.0), tolerance=0.01) == "some"
    assert chosen(score("nothing", None, None)) == "nothing"
