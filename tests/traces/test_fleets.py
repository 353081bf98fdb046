"""The sources for the published fleets: Warsaw, San Francisco, Beijing, Porto."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fleetlora.errors import ConfigError, InputError
from fleetlora.traces import TRACE_SOURCES, Cabspotting, Porto, TDrive, Warsaw, clean, load_tracks

PORTO = '"TRIP_ID","TAXI_ID","TIMESTAMP","MISSING_DATA","POLYLINE"\n'


def folder(tmp_path: Path, **files: str) -> str:
    """Write files ``name.txt`` and return their folder."""
    for name, text in files.items():
        (tmp_path / f"{name}.txt").write_text(text)
    return str(tmp_path)


def porto(tmp_path: Path, *trips: str) -> Porto:
    """Write trips and return their source."""
    path = tmp_path / "train.csv"
    path.write_text(PORTO + "".join(trip + "\n" for trip in trips))
    return Porto(path=str(path))


def test_every_source_is_registered_by_name() -> None:
    known = {"warsaw", "cabspotting", "tdrive", "porto", "table", "tracks", "sumo", "sumo-fcd"}
    assert known <= set(TRACE_SOURCES.names())
    with pytest.raises(ConfigError, match="did you mean 'tdrive'"):
        TRACE_SOURCES.get("t-drive")


def test_warsaw_times_are_local(tmp_path: Path) -> None:
    text = "213\t21.2112851\t1000\t2021-02-03 08:44:37\t52.160947\t4\n"
    fixes = Warsaw(path=folder(tmp_path, data_0=text, data_1=text, bus_stops_0="no fix\n")).read()
    assert fixes.vehicle.tolist() == ["1000", "1000"]
    assert fixes.t_s[0] == 1612338277.0  # 07:44:37 UTC
    assert (fixes.x[0], fixes.y[0]) == (21.2112851, 52.160947)


def test_cabspotting_takes_the_cab_from_the_file_name_and_the_oldest_fix_first(tmp_path: Path) -> None:
    files = {"new_ab": "37.2 -122.2 0 110\n37.1 -122.1 1 100\n", "new_c": "37.3 -122.3 0 90", "_cabs": "?"}
    fixes = Cabspotting(path=folder(tmp_path, **files)).read()
    assert fixes.vehicle.tolist() == ["c", "ab", "ab"]
    np.testing.assert_array_equal(fixes.t_s, [90, 100, 110])
    np.testing.assert_array_equal(fixes.x, [-122.3, -122.1, -122.2])
    np.testing.assert_array_equal(fixes.y, [37.3, 37.1, 37.2])


def test_tdrive_is_beijing_time_and_some_files_are_empty(tmp_path: Path) -> None:
    text = "2,2008-02-02 15:36:08,116.51172,39.92123\n2,2008-02-02 15:30:00,116.5,39.9\n"
    fixes = TDrive(path=folder(tmp_path, **{"1": "", "2": text, "3": "\n"})).read()
    assert fixes.vehicle.tolist() == ["2", "2"]
    assert fixes.t_s[0] == 1201937768.0  # 07:36:08 UTC
    assert fixes.x[0] == 116.51172


def test_marks_at_the_beginning_of_any_file_are_no_part_of_a_value(tmp_path: Path) -> None:
    line = "{0},2008-02-02 15:36:08,116.5,39.9\n{0},2008-02-02 15:40:00,116.5,39.9\n"
    for name in "123":
        (tmp_path / f"{name}.txt").write_text(line.format(name), "utf-8-sig")
    (tmp_path / "4.txt").write_text("\n", "utf-8-sig")
    assert set(TDrive(path=str(tmp_path)).read().vehicle) == {"1", "2", "3"}
    (tmp_path / "2.txt").write_text(line.format("2") + "2,noon,1,1\n", "utf-8-sig")
    with pytest.raises(InputError, match=r"2\.txt:3: column 'time' is 'noon'"):
        TDrive(path=str(tmp_path)).read()


def test_porto_trips_become_fixes_every_15_seconds(tmp_path: Path) -> None:
    fixes = porto(
        tmp_path,
        '"T1","20000589","1372636858","False","[[-8.6,41.1],[-8.7,41.2],[-8.8,41.3]]"',
        '"T2","20000596","1372637303","False","[]"',
        '"T3","20000589","1372640000","False","[[-8.5,41.0],[-8.6,41.1]]"',
    ).read()
    assert fixes.vehicle.tolist() == ["20000589"] * 5
    np.testing.assert_array_equal(fixes.t_s - 1372636858, [0, 15, 30, 3142, 3157])
    np.testing.assert_array_equal(fixes.x, [-8.6, -8.7, -8.8, -8.5, -8.6])
    np.testing.assert_array_equal(fixes.y, [41.1, 41.2, 41.3, 41.0, 41.1])
    assert fixes.piece is not None
    assert fixes.piece.tolist() == [0, 0, 0, 2, 2]


def test_porto_trips_of_a_taxi_are_not_joined(tmp_path: Path) -> None:
    source = porto(
        tmp_path,
        '"T1","7","1372636800","False","[[-8.6,41.1],[-8.601,41.1],[-8.602,41.1]]"',
        '"T2","7","1372636860","False","[[-8.604,41.1],[-8.605,41.1],[-8.606,41.1]]"',
    )
    tracks, account = load_tracks(source)
    assert np.flatnonzero(tracks.new_piece).tolist() == [0, 3]
    assert account.borders == 1


def test_porto_trips_with_missing_data_are_left_out_and_counted(tmp_path: Path) -> None:
    source = porto(
        tmp_path,
        '"T1","7","1372636800","True","[[-8.6,41.1],[-8.601,41.1],[-8.602,41.1]]"',
        '"T2","7","1372640000","False","[[-8.604,41.1],[-8.605,41.1],[-8.606,41.1]]"',
    )
    _, account = clean(source.read())
    assert account.dropped["trip with missing data"] == 3
    assert (account.rows_read, account.kept) == (6, 3)


def test_porto_reads_only_the_trips_of_the_time_asked(tmp_path: Path) -> None:
    trips = [f'"T","7","{1372636800 + 3600 * h}","False","[[-8.6,41.1],[-8.6,41.2]]"' for h in range(5)]
    source = porto(tmp_path, *trips, '"T","7","1372700000","False","not read"')
    chosen = Porto(path=source.path, since=1372636800 + 3600, until="2013-07-01T03:00:10Z").read()
    np.testing.assert_array_equal(chosen.t_s - 1372636800, [3600, 3615, 7200, 7215, 10800])
    with pytest.raises(InputError, match="not a JSON list"):
        source.read()


@pytest.mark.parametrize(
    "polyline",
    [
        "[[-8.6,41.1]",
        "",
        "[[-8.6]]",
        "[[-8.6,41.1,3]]",
        "[[-8.6,null]]",
        "{}",
        '[[""x"",1]]',
        "[null]",
        "[[NaN,1]]",
    ],
)
def test_a_bad_polyline_is_refused_by_its_line(tmp_path: Path, polyline: str) -> None:
    good = '"T1","7","1372636800","False","[[-8.6,41.1],[-8.7,41.2]]"'
    bad = f'"T2","7","1372640000","False","{polyline}"'
    with pytest.raises(InputError, match=r"train\.csv:3: column 'POLYLINE' is ") as caught:
        porto(tmp_path, good, bad).read()
    assert "bad_rows" in (caught.value.mend or "")
    kept = Porto(path=str(tmp_path / "train.csv"), bad_rows="drop").read()
    assert len(kept) == 2
    assert kept.dropped == {"row with a bad value": 1}


@pytest.mark.parametrize(
    ("source", "name", "text", "where", "problem"),
    [
        (
            Warsaw,
            "data_0",
            "1\t21\t7\t2021-02-03 8h\t52\t4\n",
            "data_0.txt:1",
            "'2021-02-03 8h', not of the form",
        ),
        (Warsaw, "data_0", "1\t21\t\t2021-02-03 08:00:00\t52\t4\n", "data_0.txt:1", "'vehicle' is empty"),
        (Cabspotting, "new_a", "37.1 -122.1 1 100\n37.2 x 0 90\n", "new_a.txt:2", "column 'lon' is 'x'"),
        (Cabspotting, "new_a", "37.1 -122.1 1 100\n37.2 0 90\n", "new_a.txt:2", "column 't' is empty"),
        (Cabspotting, "new_a", "37.1 -122.1 1 100 5\n", "new_a.txt:1", "5 columns where there should be 4"),
        (Cabspotting, "new_a", "\x00\x01", "new_a.txt", "not a text file"),
        (
            TDrive,
            "1",
            "1,2008-02-02 15:36:08,116.5,39.9\n1,2008-02-30 15:36:08,1,1\n",
            "1.txt:2",
            "2008-02-30",
        ),
    ],
)
def test_bad_lines_are_named_among_many_files(
    tmp_path: Path, source: type[Warsaw], name: str, text: str, where: str, problem: str
) -> None:
    good = {
        Warsaw: ("data_1", "1\t21\t7\t2021-02-03 08:00:00\t52\t4\n\n"),
        Cabspotting: ("new_0", "37.1 -122.1 1 100\n37.2 -122.2 0 90\n"),
        TDrive: ("0", "0,2008-02-02 15:36:08,116.5,39.9\n"),
    }
    other, sound = good[source]
    with pytest.raises(InputError) as caught:
        source(path=folder(tmp_path, **{other: sound, name: text})).read()
    assert caught.value.where == str(tmp_path / where)
    assert problem in caught.value.problem


@pytest.mark.parametrize("source", [Warsaw, Cabspotting, TDrive])
def test_a_folder_that_is_not_one_is_refused(tmp_path: Path, source: type[Warsaw]) -> None:
    with pytest.raises(InputError, match="no such folder"):
        source(path=str(tmp_path / "gone")).read()
    with pytest.raises(InputError, match="the folder holds no"):
        source(path=str(tmp_path)).read()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="a file, where a folder is wanted"):
        source(path=str(tmp_path / "file")).read()


def test_a_folder_of_empty_files_says_that_it_holds_no_fixes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it holds no fixes"):
        load_tracks(TDrive(path=folder(tmp_path, **{"1": "", "2": ""})))
