"""Settings for a person to read: explained key by key, and still the settings."""

from __future__ import annotations

import tomllib

import pytest

from fleetlora.commented import commented_toml
from fleetlora.config import load_experiment, to_toml

OVERRIDES = ["traces.path=x", "faults.rsu_outage={windows = [[0, 1.0, 2.0]]}", "budget.shares.reuters=0.3"]


@pytest.mark.parametrize("preset", ["sf", "paper"])
def test_comments_change_nothing(preset: str) -> None:
    experiment = load_experiment(preset, overrides=OVERRIDES)
    text = commented_toml(experiment)
    assert tomllib.loads(text) == tomllib.loads(to_toml(experiment))
    assert load_experiment(tomllib.loads(text)) == experiment


def test_a_key_is_explained_by_the_section_or_component_that_it_belongs_to() -> None:
    lines = commented_toml(load_experiment("warsaw")).splitlines()
    assert "duration_s = 1320.0  # length of the part that is used; all if not given (s)" in lines
    assert "count = 32  # number of RSUs" in lines
    assert "count = 8  # number of rounds; fewer if the tracks end first" in lines
    assert "ranks = [  # arms: LoRA ranks a vehicle may choose, ascending" in lines
    assert any(line.startswith('placement = "corridor"  # one of corridor, greedy') for line in lines)


def test_keys_that_are_not_set_stand_in_their_table_each_task_its_own() -> None:
    experiment = load_experiment("warsaw", overrides=["tasks.reuters.encoding.max_train=9"])
    text = commented_toml(experiment)
    news, wire = text.split("[tasks.encoding]")[1:]
    assert "\n# max_train is not set: most training rows" in news
    assert "max_train is not set" not in wire
    assert "max_train = 9  # most training rows" in wire
