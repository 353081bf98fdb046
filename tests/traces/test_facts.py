"""Facts about tracks, their picture, and loading in one step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fleetlora.errors import InputError
from fleetlora.traces import (
    Cleaning,
    SavedTracks,
    Table,
    Tracks,
    clean,
    convert,
    info,
    load_tracks,
    plot,
    present_count,
)
from tests.traces.making import line, raw, same_tracks


def street() -> Tracks:
    """Return a car that drives 1,000 m in 100 s and parks 300 s, and one that drives 500 m in 100 s later."""
    rows = [
        *line("a", [0, 50, 100, 250, 400], [0, 500, 1000, 1000, 1000]),
        *line("b", [300, 350, 400], [0, 250, 500]),
    ]
    return clean(raw(rows))[0]


def test_facts_are_those_of_a_calculation_by_hand() -> None:
    facts = info(street())
    assert (facts["vehicles"], facts["fixes"], facts["pieces"]) == (2, 8, 2)
    assert facts["duration_s"] == 400.0
    assert facts["vehicle_hours"] == 0.139
    assert facts["distance_km"] == pytest.approx(1.5)
    assert facts["fix_interval_s"] == 50.0
    assert facts["parked_share"] == pytest.approx(300 / 500)
    assert facts["speed_mps"]["p10"] == 5.0
    assert facts["speed_mps"]["p90"] == 10.0
    assert facts["box_m"] == [0.0, 0.0, 1000.0, 0.0]
    assert facts["box_degrees"] is None
    assert json.loads(json.dumps(facts)) == facts


def test_present_vehicles_are_counted_at_any_time() -> None:
    count = present_count(street(), np.array([-1.0, 0.0, 200.0, 350.0, 400.0, 401.0]))
    np.testing.assert_array_equal(count, [0, 1, 1, 2, 2, 0])


@pytest.mark.parametrize("colour", ["speed", "density"])
@pytest.mark.parametrize("name", ["tracks.png", "tracks.svg"])
def test_a_picture_is_drawn(tmp_path: Path, name: str, colour: str) -> None:
    path = plot(street(), tmp_path / name, colour)  # type: ignore[arg-type]
    head = path.read_bytes()[:400]
    assert head.startswith(b"\x89PNG") or b"<svg" in head or b"<?xml" in head
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_picture_of_standing_vehicles_is_drawn_too(tmp_path: Path) -> None:
    tracks, _ = clean(raw(line("a", [0, 10, 20], [5, 5, 5])))
    assert plot(tracks, tmp_path / "still.png").is_file()
    assert plot(tracks, tmp_path / "still.svg", colour="density").is_file()


def test_a_picture_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot draw a \.bmp\n.*\.png or \.svg"):
        plot(street(), tmp_path / "tracks.bmp")


def test_converted_tracks_are_used_without_cleaning_again(tmp_path: Path) -> None:
    path = tmp_path / "fixes.csv"
    path.write_text("vehicle,t,lat,lon\n" + "".join(f"a,{400 * i},{52 + i / 100},21\n" for i in range(4)))
    tracks, account = convert(Table(path=str(path)), tmp_path / "tracks.parquet", Cleaning(gap_s=1000))
    assert account.kept == 4
    again, other = load_tracks(SavedTracks(path=str(tmp_path / "tracks.parquet")))
    assert same_tracks(again, tracks)
    assert (other.kept, other.gaps, other.vehicles_kept) == (4, 0, 1)
    raw_again = SavedTracks(path=str(tmp_path / "tracks.parquet")).read()
    np.testing.assert_array_equal(raw_again.t_s, tracks.t_s)
    with pytest.raises(InputError, match="source = 'tracks'"):
        Table(path=str(tmp_path / "tracks.parquet")).read()


def test_a_window_can_be_asked_for_at_once(tmp_path: Path) -> None:
    path = street().save(tmp_path / "tracks.parquet")
    tracks, _ = load_tracks(SavedTracks(path=str(path)), window=(0.0, 100.0))
    assert tracks.vehicle_ids.tolist() == ["a"]
    assert tracks.duration_s == 100.0
