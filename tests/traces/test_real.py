"""Real fleets: every slice loads, and its account holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fleetlora.traces import Cabspotting, RawFixes, Table, clean, info, load_tracks
from tests.large import ABSENT
from tests.traces.making import DATA, same_tracks

FLEETS = {
    "warsaw_buses_20240219_0940_1105": (1460, "EPSG:32634"),
    "warsaw_buses_20240219_1302_1507": (1596, "EPSG:32634"),
    "warsaw_buses_20240219_1647_1810": (1571, "EPSG:32634"),
    "warsaw_buses_20240219_2057_2225": (1228, "EPSG:32634"),
    "sf_cabs_20080605": (500, "EPSG:32610"),
    "austin_capmetro_20170418": (318, "EPSG:32614"),
}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=ABSENT)


def path_of(name: str) -> Path:
    """Return the file of a fleet."""
    return DATA / f"{name}.csv.gz"


@pytest.mark.parametrize("name", FLEETS)
def test_a_real_fleet_loads_with_almost_all_its_fixes(name: str) -> None:
    tracks, account = load_tracks(Table(path=str(path_of(name))))
    print(account)
    vehicles, crs = FLEETS[name]
    assert (tracks.n_vehicles, tracks.crs, tracks.name) == (vehicles, crs, name)
    assert account.kept + sum(account.dropped.values()) == account.rows_read
    assert account.kept > 0.98 * account.rows_read
    facts = info(tracks)
    assert 3.0 < facts["speed_mps"]["p50"] < 8.0
    assert max(facts["present"].values()) > 0.4 * vehicles
    legs = tracks.legs()
    assert np.hypot(legs.vx_mps, legs.vy_mps).max() <= 40.0 + 1e-6
    assert len(str(account).splitlines()) >= 4


def test_cleaning_a_real_fleet_again_changes_nothing() -> None:
    tracks, _ = load_tracks(Table(path=str(path_of("sf_cabs_20080605"))))
    again, account = clean(tracks.fixes())
    assert sum(account.dropped.values()) == 0
    assert same_tracks(again, tracks)


def test_cabs_in_their_original_form_give_the_same_tracks(tmp_path: Path) -> None:
    import polars as pl

    frame = pl.read_csv(path_of("sf_cabs_20080605"))
    for (cab,), part in frame.group_by("vehicle"):
        newest_first = part.sort("t", descending=True).select("lat", "lon", "occ", "t")
        newest_first.write_csv(tmp_path / f"new_{cab}.txt", separator=" ", include_header=False)
    tracks, account = load_tracks(Cabspotting(path=str(tmp_path)))
    same, other = load_tracks(Table(path=str(path_of("sf_cabs_20080605"))))
    assert account.dropped == other.dropped
    assert account.unsorted == 0
    assert same_tracks(tracks, replace(same, name="cabspotting"))


def test_shuffled_rows_give_the_same_tracks() -> None:
    fixes: RawFixes = Table(path=str(path_of("austin_capmetro_20170418"))).read()
    shuffled = fixes.take(np.random.default_rng(0).permutation(len(fixes)))
    tracks, account = clean(fixes)
    again, other = clean(shuffled)
    assert same_tracks(again, tracks)
    assert other.dropped == account.dropped
    assert other.unsorted > 0
