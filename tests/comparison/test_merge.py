"""Comparisons that were played in parts are one comparison, if they are on equal terms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleetlora.comparison import merge_documents
from fleetlora.comparison.document import build_document
from fleetlora.comparison.shapes import check_comparison
from fleetlora.errors import ConfigError, InputError
from tests.comparison.synthetic import document, played

METHODS = ["ucb-dual", "homolora-4", "homolora-8", "random"]
TUNED: dict[str, Any] = {"file": "tuned.json", "name": "slice", "seeds": [100], "same_tracks": False}


def tuned(methods: list[str], **changes: Any) -> dict[str, Any]:
    return {**TUNED, "overrides": {m: [f"training.rate_factor={len(m)}"] for m in methods}, **changes}


def test_parts_come_to_what_one_comparison_of_all_comes_to() -> None:
    whole = document(METHODS, tuned=tuned(METHODS))
    parts = [document(some, tuned=tuned(some)) for some in (METHODS[2:], METHODS[:2])]
    merged = merge_documents(json.loads(json.dumps(parts)), METHODS)
    assert merged.pop("parts") == [{"methods": METHODS, "host": whole["host"]}]
    assert merged == json.loads(json.dumps(whole))


def test_a_merged_comparison_is_one_and_can_be_merged_again() -> None:
    first = merge_documents([document(METHODS[:2]), document([METHODS[2]])], METHODS[:3])
    merged = merge_documents([first, document(METHODS)], METHODS)
    check_comparison(merged, Path("comparison.json"), "")
    assert {**merged, "parts": []} == {**document(METHODS), "parts": []}


def test_it_is_told_which_machine_played_what() -> None:
    elsewhere = {**document(METHODS[2:]), "host": {"machine": "another", "versions": {}}}
    merged = merge_documents([document(METHODS[:2]), elsewhere], METHODS)
    assert [part["methods"] for part in merged["parts"]] == [METHODS[:2], METHODS[2:]]
    again = merge_documents([merged, document(["hetlora"])], ["ucb-dual", "random", "hetlora"])
    assert [part["methods"] for part in again["parts"]] == [["ucb-dual", "hetlora"], ["random"]]
    assert again["parts"][1]["host"] == elsewhere["host"]


def test_a_method_with_runs_on_two_machines_stands_beside_both() -> None:
    both = document(METHODS[:2])
    machines = [
        {"methods": METHODS[:2], "host": both["host"]},
        {"methods": ["ucb-dual"], "host": {"cores": 9}},
    ]
    merged = merge_documents([{**both, "parts": machines}, document(["random"])], ["ucb-dual", "random"])
    assert [part["methods"] for part in merged["parts"]] == [["ucb-dual", "random"], ["ucb-dual"]]


def test_a_method_that_nobody_played_is_named() -> None:
    with pytest.raises(InputError, match="no comparison holds 'homolora-8'"):
        merge_documents([document(METHODS[:2])], METHODS)


def test_parts_of_other_terms_seeds_or_tuning_are_refused_with_the_difference() -> None:
    ours = document(["ucb-dual"], seeds=[0], tuned=tuned(["ucb-dual"]))
    other_joules = [played("random", 0, budget={"total_j": 4000.0})]
    others = {
        "budget.total_j": build_document(other_joules, Path("/runs"), tuned=tuned(["random"])),
        "seeds": document(["random"], seeds=[1], tuned=tuned(["random"])),
        "tuned.seeds": document(["random"], seeds=[0], tuned=tuned(["random"], seeds=[101])),
        "tuned.name": document(["random"], seeds=[0]),
    }
    for key, part in others.items():
        with pytest.raises(ConfigError, match="not on equal terms") as caught:
            merge_documents([ours, part], ["ucb-dual", "random"])
        assert key in str(caught.value)
