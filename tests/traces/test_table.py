"""The source for tables of any columns."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from fleetlora.errors import ConfigError, InputError
from fleetlora.traces import RawFixes, Table, load_tracks

CSV = "vehicle,t,lat,lon\nb1,100,52.1,21.1\nb2,110,52.2,21.2\n"


def read(tmp_path: Path, text: str | bytes, name: str = "fixes.csv", **options: object) -> RawFixes:
    """Write a file and read it."""
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Table(path=str(path), **options).read()  # type: ignore[arg-type]


def test_a_plain_csv_is_read_by_its_column_names(tmp_path: Path) -> None:
    fixes = read(tmp_path, CSV)
    assert fixes.vehicle.tolist() == ["b1", "b2"]
    np.testing.assert_array_equal(fixes.t_s, [100, 110])
    np.testing.assert_array_equal(fixes.x, [21.1, 21.2])
    np.testing.assert_array_equal(fixes.y, [52.1, 52.2])
    assert (fixes.crs, fixes.name) == ("EPSG:4326", "fixes")


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, mark: str) -> None:
    assert len(read(tmp_path, CSV.replace(",", mark))) == 2


def test_columns_may_have_other_names_and_stand_anywhere(tmp_path: Path) -> None:
    text = "\ufeffspeed, id ,when,Y,X\r\n3,b1,100,52.1,21.1\r\n4,b2,110,52.2,21.2\r\n\r\n"
    fixes = read(tmp_path, text, vehicle="id", t="when", lat="Y", lon="X")
    assert fixes.vehicle.tolist() == ["b1", "b2"]
    np.testing.assert_array_equal(fixes.x, [21.1, 21.2])


def test_a_file_without_header_gets_names_from_the_settings(tmp_path: Path) -> None:
    fixes = read(tmp_path, "b1 100 52.1 21.1\n", names=("vehicle", "t", "lat", "lon"), delimiter=" ")
    assert (fixes.vehicle[0], fixes.x[0]) == ("b1", 21.1)


def test_gzip_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    assert len(read(tmp_path, gzip.compress(CSV.encode(), mtime=0), "fixes.csv.gz")) == 2
    assert len(read(tmp_path, gzip.compress(CSV.encode(), mtime=0), "fixes.csv")) == 2


def test_parquet_is_read_with_numbers_and_times_of_any_type(tmp_path: Path) -> None:
    import polars as pl

    path = tmp_path / "fixes.parquet"
    when = [datetime(2024, 2, 19, 10, tzinfo=UTC), datetime(2024, 2, 19, 11, tzinfo=UTC)]
    frame = pl.DataFrame({"vehicle": [7, 8], "t": when, "lat": [52.1, 52.2], "lon": [21.1, 21.2]})
    frame.write_parquet(path)
    fixes = Table(path=str(path)).read()
    assert fixes.vehicle.tolist() == ["7", "8"]
    np.testing.assert_array_equal(fixes.t_s, [w.timestamp() for w in when])
    naive = frame.with_columns(pl.col("t").dt.replace_time_zone(None), pl.col("vehicle").cast(pl.Float64))
    naive.write_parquet(path)
    local = Table(path=str(path), timezone="Europe/Warsaw").read()
    np.testing.assert_array_equal(local.t_s, fixes.t_s - 3600.0)
    assert local.vehicle.tolist() == ["7", "8"]


@pytest.mark.parametrize(
    ("text", "options", "unix_s"),
    [
        ("1708336806.25", {}, 1708336806.25),
        ("1708336806250", {"time_unit": "ms"}, 1708336806.25),
        ("2024-02-19 10:00:06", {}, 1708336806.0),
        ("2024-02-19T10:00:06Z", {}, 1708336806.0),
        ("2024-02-19T10:00:06.250+00:00", {}, 1708336806.25),
        ("2024-02-19 11:00:06+0100", {"timezone": "America/Los_Angeles"}, 1708336806.0),
        ("2024-02-19 11:00:06", {"timezone": "Europe/Warsaw"}, 1708336806.0),
        ("2024-02-19 10:00", {}, 1708336800.0),
        (
            "19.02.2024 11-00-06",
            {"time_format": "%d.%m.%Y %H-%M-%S", "timezone": "Europe/Warsaw"},
            1708336806.0,
        ),
        ("19.02.2024 11:00:06 +0100", {"time_format": "%d.%m.%Y %H:%M:%S %z"}, 1708336806.0),
    ],
)
def test_times_are_understood(tmp_path: Path, text: str, options: dict[str, str], unix_s: float) -> None:
    fixes = read(tmp_path, f"vehicle,t,lat,lon\nb1,{text},52.1,21.1\n", **options)
    assert fixes.t_s[0] == unix_s


def test_a_local_time_that_comes_twice_or_never_is_refused(tmp_path: Path) -> None:
    def fix(*times: str, **options: str) -> RawFixes:
        rows = "".join(f"b1,{time},52.1,21.1\n" for time in times)
        return read(tmp_path, f"vehicle,t,lat,lon\n{rows}", timezone="Europe/Warsaw", **options)

    # clocks go back from 3 to 2 on 27 October 2024, and forth from 2 to 3 on 31 March
    hours = ("2024-10-27 01:59:59", "2024-10-27 02:30", "2024-10-27 03:00")
    with pytest.raises(InputError, match=r"csv:3: column 't' is .* it came twice\n.*with their offset"):
        fix(*hours)
    with pytest.raises(InputError, match=r"csv:2: column 't' is '2024-03-31 02:30', not a time"):
        fix("2024-03-31 02:30")
    with pytest.raises(InputError, match="it came twice"):
        fix("27.10.2024 02:30", time_format="%d.%m.%Y %H:%M")
    kept = fix(*hours, bad_rows="drop")
    np.testing.assert_array_equal(kept.t_s - 1729987199.0, [0.0, 2 * 3600.0 + 1.0])
    assert kept.dropped == {"row with a bad value": 1}
    told = fix("2024-10-27 02:30:00+02:00", "2024-10-27 02:30:00+01:00", "2024-10-27T03:00:00")
    np.testing.assert_array_equal(np.diff(told.t_s), [3600.0, 1800.0])


def test_metres_are_read_from_x_and_y(tmp_path: Path) -> None:
    text = "vehicle,t,x,y\nb1,0,500000,5760000\nb1,10,500100,5760000\nb1,20,500200,5760000\n"
    assert read(tmp_path, text, x="x", y="y").crs == "local"
    tracks, _ = load_tracks(Table(path=str(tmp_path / "fixes.csv"), x="x", y="y", crs="EPSG:32634"))
    np.testing.assert_array_equal(tracks.x_m, [500000, 500100, 500200])
    assert tracks.lonlat()[0][0] == pytest.approx(21.0)


@pytest.mark.parametrize(("crs", "problem"), [("EPSG:4326", "not in metres"), ("EPSG:0", "not a coordinate")])
def test_x_and_y_must_be_in_metres(tmp_path: Path, crs: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path, "vehicle,t,x,y\nb1,0,1,2\n", x="x", y="y", crs=crs)


def test_decimal_commas_are_read_when_asked(tmp_path: Path) -> None:
    text = "vehicle;t;lat;lon\nb1;100;52,1;21,1\n"
    with pytest.raises(InputError, match=r"fixes\.csv:2: column 'lon' is '21,1'.*\n.*decimal = ','"):
        read(tmp_path, text)
    assert read(tmp_path, text, decimal=",").y[0] == 52.1


def test_since_and_until_choose_a_time(tmp_path: Path) -> None:
    text = "vehicle,t,lat,lon\n" + "".join(f"b1,2024-02-19 10:0{i}:00,52.1,21.1\n" for i in range(6))
    cut = read(tmp_path, text, since="2024-02-19 10:02", until=1708337040)
    assert len(cut) == 3
    assert cut.dropped == {"before since or after until": 3}
    local = read(tmp_path, text, since="2024-02-19 10:02", timezone="Europe/Warsaw")
    assert len(local) == 4
    with pytest.raises(InputError, match="the fixes are from 2024-02-19 10:00:00"):
        read(tmp_path, text, since="2025-01-01")


def test_rows_with_bad_values_can_be_dropped_and_are_counted(tmp_path: Path) -> None:
    text = CSV + "b3,x,52,21\n,120,52,21\nb3,120,,21\nb3,130,nan,21\nb3,140,52,21\n"
    fixes = read(tmp_path, text, bad_rows="drop")
    assert fixes.vehicle.tolist() == ["b1", "b2", "b3"]
    assert fixes.dropped == {"row with a bad value": 4}


@pytest.mark.parametrize(
    ("text", "where", "problem", "mend"),
    [
        ("", "fixes.csv", "empty", "holds fixes"),
        ("\n\n", "fixes.csv:1", "first line is empty", "names of the columns"),
        ("vehicle,t,lat,long\n", "fixes.csv", "no column 'lon'", "did you mean 'long'?"),
        ("id,t,lat,lon\n", "fixes.csv", "no column 'vehicle'", "--set traces.vehicle=NAME"),
        ("vehicle t lat lon\n", "fixes.csv:1", "what separates", "traces.delimiter"),
        (CSV + "b3,noon,52,21\n", "fixes.csv:4", "column 't' is 'noon', not a finite number", "bad_rows"),
        (CSV + "\nb3,120,x1,21\n", "fixes.csv:5", "column 'lat' is 'x1'", "mend or remove"),
        (CSV + "b3,120,nan,21\n", "fixes.csv:4", "column 'lat' is 'nan'", ""),
        (CSV + "b3,120,52,inf\n", "fixes.csv:4", "column 'lon' is 'inf'", ""),
        (CSV + "b3,120,52\n", "fixes.csv:4", "column 'lon' is empty", ""),
        (CSV + " ,120,52,21\n", "fixes.csv:4", "column 'vehicle' is empty", ""),
        (CSV + "b3,120,52,21,5\n", "fixes.csv:4", "5 columns where there should be 4", "not quoted"),
        (CSV + 'b3,"120,52,21\nb4,1,1,1\n', "fixes.csv:4", "unexpected end", "quotes"),
        (CSV + "1001,120,52,21\n1001.0,130,52,21\n", "fixes.csv:5", "'1001.0', not '1001'", "in one way"),
        (CSV.replace("100", "1708336806250"), "fixes.csv:2", "not Unix seconds", "time_unit"),
        (
            CSV.replace("100", "2024-02-19 25:00").replace("110", "2024-02-19 10:00"),
            "fixes.csv:2",
            "not a time",
            "",
        ),
        (b"\x00\x01\x02\xff" * 99, "fixes.csv", "not a text file", "CSV or TSV"),
        (b"PK\x03\x04" + b"\x00" * 99, "fixes.csv", "zip archive", "unzip"),
        (CSV.encode("utf-16"), "fixes.csv", "not a text file", "UTF-8"),
        (gzip.compress(CSV.encode() * 99, mtime=0)[:-20], "fixes.csv", "ends too early", "fetch it again"),
        (b"\x1f\x8b" + b"rubbish" * 9, "fixes.csv", "damaged gzip", "fetch it again"),
        (b"PAR1" + b"rubbish" * 9, "fixes.csv", "damaged Parquet", "make it anew"),
    ],
)
def test_bad_input_is_refused_by_file_line_and_mend(
    tmp_path: Path, text: str | bytes, where: str, problem: str, mend: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert caught.value.where == str(tmp_path / where)
    assert problem in caught.value.problem
    assert mend in (caught.value.mend or "")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv: no such file"):
        Table(path=str(tmp_path / "gone.csv")).read()
    with pytest.raises(InputError, match="a folder, where a file is wanted"):
        Table(path=str(tmp_path)).read()


def test_the_line_is_right_after_cells_with_line_breaks(tmp_path: Path) -> None:
    text = 'note,vehicle,t,lat,lon\n"two\nlines",b1,100,52,21\n"x",b2,?,52,21\n'
    with pytest.raises(InputError, match=r"fixes\.csv:4: column 't' is '\?'"):
        read(tmp_path, text)


def test_bad_parquet_values_are_named_by_row(tmp_path: Path) -> None:
    import polars as pl

    path = tmp_path / "fixes.parquet"
    columns = {"vehicle": ["a", "b"], "t": [1, 2], "lat": [52.0, None], "lon": [[1.0], [2.0]]}
    pl.DataFrame(columns).write_parquet(path)
    with pytest.raises(InputError, match="column 'lon' holds large_list"):
        Table(path=str(path)).read()
    pl.DataFrame({**columns, "lon": [21.0, 21.0]}).write_parquet(path)
    with pytest.raises(InputError, match=r"row 2: column 'lat' is empty"):
        Table(path=str(path)).read()
    with pytest.raises(InputError, match="no column 'when'"):
        Table(path=str(path), t="when").read()


def test_a_wrong_time_format_is_refused_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"csv:2: column 't' is '100', not of the form '%H:%M'.*\n.*check the format"
    ):
        read(tmp_path, CSV, time_format="%H:%M")
    with pytest.raises(InputError, match="time_format: '%d %I' is not a format"):
        read(tmp_path, CSV, time_format="%d %I")


def test_options_are_checked_before_anything_is_read() -> None:
    with pytest.raises(ValidationError, match="did you mean 'Europe/Warsaw'"):
        Table(path="x", timezone="Europe/Warszaw")
    with pytest.raises(ValidationError, match="x and y belong together"):
        Table(path="x", x="x")
    with pytest.raises(ValidationError):
        Table(path="x", delimiter=",,")
