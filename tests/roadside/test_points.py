"""Files of places: what is read, and how faults are told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fleetlora.errors import InputError
from fleetlora.roadside import Sites
from fleetlora.roadside.points import read_points

WARSAW = "EPSG:32634"


def write(folder: Path, text: str, name: str = "sites.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "name,lon,lat\nA,21.0,52.2\nB,21.1,52.3\n",
        "\ufeffName;Latitude;Longitude\nA;52.2;21.0\n\nB;52.3;21.1\n",
        'stop_id\tstop_name\tstop_lat\tstop_lon\n7\tA\t52.2\t21.0\n8\t"B"\t52.3\t21.1\n',
        "x_m,y_m,lat,lng,id\n1,2,52.2,21.0,A\n3,4,52.3,21.1,B\n",
    ],
)
def test_dialects_of_csv_give_the_same_places(tmp_path: Path, text: str) -> None:
    sites = read_points(write(tmp_path, text), WARSAW)
    assert sites.name.tolist() == ["A", "B"]
    # 21° E is the central meridian of UTM zone 34: easting 500 km by definition.
    assert sites.x_m[0] == pytest.approx(500_000.0, abs=1e-3)
    # A tenth of a degree of latitude is 11.13 km, times 0.9996, the scale on the central meridian.
    assert sites.y_m[1] - sites.y_m[0] == pytest.approx(11_126 * 0.9996, abs=20)


def test_metres_are_taken_as_they_are_in_a_local_plane(tmp_path: Path) -> None:
    sites = read_points(write(tmp_path, "x,y\n10.5,-3\n0,0\n"), "local")
    assert sites.x_m.tolist() == [10.5, 0.0]
    assert sites.y_m.tolist() == [-3.0, 0.0]
    assert sites.name.tolist() == ["rsu-0", "rsu-1"]


def test_geojson_points_are_read(tmp_path: Path) -> None:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [21.0, 52.2]},
            "properties": {"name": "A"},
        },
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [21.1, 52.3, 99]},
            "properties": None,
        },
    ]
    text = json.dumps({"type": "FeatureCollection", "features": features})
    sites = read_points(write(tmp_path, text, "sites.geojson"), WARSAW)
    assert sites.name.tolist() == ["A", "rsu-1"]
    assert sites.x_m[0] == pytest.approx(500_000.0, abs=1e-3)


def test_warsaw_stops_are_read_with_their_letters_and_without_those_that_lie_nowhere(tmp_path: Path) -> None:
    lines = [
        "\t".join(["key"] * 7),
        "1001\t02\tZ\\\\u0105bkowska\t2201\t52.249078\t21.044443\tx",
        "1182\t08\tGrodzisk\t2132\tnull\tnull\tx",
        "1206\t01\tOczyszczalnia \\\tvalue\tvalue\tvalue\tvalue",
        "1001\t03\tKijowska\t2201\t52.248998\t21.043983\tx",
    ]
    sites = read_points(write(tmp_path, "\n".join(lines), "bus_stops_0.txt"), WARSAW)
    assert sites.name.tolist() == ["Ząbkowska 02", "Kijowska 03"]


def test_places_within_a_metre_are_one_and_equal_names_are_told_apart(tmp_path: Path) -> None:
    text = "name,x_m,y_m\nA,0,0\nA,0.5,0\nA,100,0\nB,100,0.9\nC,100,1.8\n"
    sites = read_points(write(tmp_path, text), "local")
    assert sites.name.tolist() == ["A", "A (3)", "C"]
    assert len(set(sites.name.tolist())) == len(sites)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,lon,lat\nA,21.0,52.2\nB,abc,52.3\n", r"sites.csv:3: longitude is 'abc', not a number"),
        ("name,lon,lat\nA,21.0,\n", r"sites.csv:2: latitude is '', not a number"),
        ("name,lon,lat\nA,21.0,nan\n", r"sites.csv:2: latitude is 'nan'"),
        ("name,lon,lat\nA,inf,1\n", r"sites.csv:2: longitude is 'inf'"),
        ("name,lon,lat\nA,521,21\n", r"sites.csv:2: longitude 521, latitude 21 is no place"),
        ("name,lon,lat\nA,21.0\n", r"sites.csv:2: the row has 2 columns, the header 3"),
        ("name,lon\nA,21.0\n", r"sites.csv:1: no columns of positions among: name, lon"),
        ("A,21.0,52.2\n", r"sites.csv:1: no columns of positions"),
        ("", r"sites.csv:1: no columns of positions among: nothing"),
        ("name,lon,lat\n", r"the file lists no point"),
        ('name,lon,lat\n"A,21.0,52.2\n', r"sites.csv:2: "),
    ],
)
def test_a_bad_table_is_refused_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_points(write(tmp_path, text), WARSAW)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"sites.json:1: broken JSON"),
        ("[]", "lists no point"),
        ('{"features": [7]}', "feature 0: its geometry is None, not a Point"),
        ('{"features": [{"geometry": {"type": "LineString"}}]}', "feature 0: its geometry is LineString"),
        ('{"features": [{"geometry": {"type": "Point", "coordinates": [1]}}]}', "feature 0: coordinates are"),
        ('{"features": [{"geometry": {"type": "Point", "coordinates": ["a", 1]}}]}', "longitude is 'a'"),
    ],
)
def test_bad_geojson_is_refused_with_the_feature(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_points(write(tmp_path, text, "sites.json"), WARSAW)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.csv: no such file"):
        read_points(tmp_path / "nowhere.csv", WARSAW)
    (tmp_path / "photo.csv").write_bytes(b"\xff\xd8\xff\xe0\x00")
    with pytest.raises(InputError, match=r"photo.csv: cannot be read: not UTF-8 text"):
        read_points(tmp_path / "photo.csv", WARSAW)
    with pytest.raises(InputError, match="cannot be read"):
        read_points(tmp_path, WARSAW)


def test_degrees_have_no_place_on_a_local_plane(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="local plane") as caught:
        read_points(write(tmp_path, "lon,lat\n21,52\n"), "local")
    assert "x_m and y_m" in str(caught.value)


def test_saved_sites_come_back_through_degrees_or_metres(tmp_path: Path) -> None:
    sites = Sites(
        np.array(["Ząbkowska, 2", "B"]), np.array([500_100.0, 502_000.5]), np.array([5.79e6, 5.791e6])
    )
    for crs in (WARSAW, "local"):
        back = read_points(sites.save(tmp_path / crs.replace(":", "") / "sites.csv", crs), crs)
        assert back.name.tolist() == sites.name.tolist()
        np.testing.assert_allclose(back.x_m, sites.x_m, atol=1e-3)
        np.testing.assert_allclose(back.y_m, sites.y_m, atol=1e-3)
    assert [path.name for path in (tmp_path / "local").iterdir()] == ["sites.csv"]


def test_sites_refuse_unequal_columns_and_no_position() -> None:
    with pytest.raises(InputError, match="2 names, 1 x and 1 y"):
        Sites(np.array(["A", "B"]), np.zeros(1), np.zeros(1))
    with pytest.raises(InputError, match="'A' has no finite position"):
        Sites(np.array(["A"]), np.array([np.nan]), np.zeros(1))
