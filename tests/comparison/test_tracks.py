"""Which tracks a tuning and a comparison share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleetlora.comparison.tracks import share_tracks
from fleetlora.comparison.tune import Tuned
from fleetlora.errors import ConfigError

BUSES = {"source": "warsaw", "path": "asset:warsaw-buses", "start_s": 175.0, "duration_s": 1320.0}


@pytest.mark.parametrize(
    ("changes", "shared"),
    [
        ({}, True),
        ({"start_s": 600.0, "duration_s": 700.0}, True),
        ({"start_s": 1495.0, "duration_s": 100.0}, False),
        ({"start_s": 0.0, "duration_s": 175.0}, False),
        ({"start_s": 0.0, "duration_s": 176.0}, True),
        ({"vehicles": 20, "cleaning.max_speed_mps": 30.0}, True),
        ({"path": "asset:other-buses"}, False),
    ],
)
def test_tracks_are_shared_where_windows_of_one_recording_overlap(
    changes: dict[str, Any], shared: bool
) -> None:
    assert share_tracks(BUSES, {**BUSES, **changes}) is shared
    assert share_tracks({**BUSES, **changes}, BUSES) is shared


def test_a_window_without_an_end_overlaps_all_that_begin_later() -> None:
    endless = {key: value for key, value in BUSES.items() if key != "duration_s"}
    assert share_tracks(endless, {**BUSES, "start_s": 5000.0})
    assert not share_tracks(endless, {**BUSES, "start_s": 0.0, "duration_s": 100.0})


def test_a_file_is_the_same_by_its_contents_wherever_it_lies(tmp_path: Path) -> None:
    for name, text in (("a/taxis.csv", "one"), ("b/cabs.csv", "one"), ("c/taxis.csv", "two")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, "utf-8")
    first, copy, other = (
        {"path": str(tmp_path / name)} for name in ("a/taxis.csv", "b/cabs.csv", "c/taxis.csv")
    )
    assert share_tracks(first, copy)
    assert not share_tracks(first, other)
    assert share_tracks(first, {"path": "data/taxis.csv"})  # not at hand: by its name
    assert not share_tracks(first, {"path": "data/cabs.csv"})


def test_tracks_that_are_drawn_are_the_same_if_drawn_alike() -> None:
    drawn = {"source": "drawn", "seed": 1}
    assert share_tracks(drawn, {**drawn, "vehicles": 5})
    assert not share_tracks(drawn, {**drawn, "seed": 2})


def test_reporting_a_seed_on_a_window_that_tuning_saw_a_part_of_is_refused() -> None:
    seen = {
        "seeds": [0],
        "traces": {**BUSES, "start_s": 600.0, "duration_s": 700.0},
        "methods": {"random": {"overrides": []}},
    }
    tuned = Tuned(Path("tuned.json"), seen)
    with pytest.raises(ConfigError, match="same tracks with seed 0"):
        tuned.require_apart(["random"], [0, 1], {"traces": BUSES})
    tuned.require_apart(["random"], [1], {"traces": BUSES})
    tuned.require_apart(["random"], [0], {"traces": {**BUSES, "start_s": 1300.0}})


def test_what_an_earlier_tuning_of_a_chain_saw_is_refused_too() -> None:
    first, then = {**BUSES, "duration_s": 300.0}, {**BUSES, "start_s": 600.0, "duration_s": 300.0}
    document = {
        "seeds": [7],
        "traces": then,
        "before": [{"seeds": [0], "traces": first}],
        "methods": {"random": {"overrides": []}},
    }
    tuned = Tuned(Path("tuned.json"), document)
    assert tuned.seeds == [7, 0]
    with pytest.raises(ConfigError, match="same tracks with seed 0"):
        tuned.require_apart(["random"], [0], {"traces": first})
    tuned.require_apart(["random"], [0], {"traces": then})
    tuned.require_apart(["random"], [7], {"traces": first})
    assert tuned.same_tracks({"traces": first})
    assert not tuned.same_tracks({"traces": {**BUSES, "start_s": 5000.0}})
