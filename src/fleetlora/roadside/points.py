"""Reading places from a file: CSV, GeoJSON, Warsaw's own list of bus stops, SUMO networks."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetlora.documents import parse_json, read_utf8
from fleetlora.errors import InputError
from fleetlora.limits import DOCUMENT_BYTES, names_array
from fleetlora.roadside.ragged import Floats
from fleetlora.roadside.sites import Sites

__all__ = ["read_points", "to_plane"]

_NETWORKS = (".net.xml", ".net.xml.gz", ".sumocfg")

_COLUMNS = {
    "lon": ("lon", "longitude", "lng", "long", "stop_lon"),
    "lat": ("lat", "latitude", "stop_lat"),
    "x": ("x_m", "x"),
    "y": ("y_m", "y"),
    "name": ("name", "stop_name", "id", "stop_id", "site", "rsu"),
}
_WARSAW = {"name": 2, "lat": 4, "lon": 5}  # columns of api.um.warszawa.pl's stop list, which has no names
_NO_POSITION = {"null", "value"}  # what that list says where it knows none
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")  # how it writes Polish letters


@dataclass
class _Points:
    """Points as they are read, with where they came from."""

    path: Path
    degrees: bool = True
    name: list[str] = field(default_factory=list)
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)

    def add(self, name: str, x: object, y: object, where: str) -> None:
        self.name.append(name)
        for column, value, label in ((self.x, x, "longitude"), (self.y, y, "latitude")):
            what = label if self.degrees else f"{'x' if column is self.x else 'y'} in metres"
            column.append(_number(value, what, where))
        if self.degrees and not (abs(self.x[-1]) <= 180 and abs(self.y[-1]) <= 90):
            raise InputError(
                f"longitude {self.x[-1]:g}, latitude {self.y[-1]:g} is no place on Earth",
                where=where,
                mend="give degrees, longitude first; name metre columns x_m and y_m",
            )


def read_points(path: Path, crs: str) -> Sites:
    """Return the places a file lists, in the metres of ``crs``; those closer than 1 m are one place.

    Args:
        path: A CSV file (comma, semicolon or tab) with columns lon and lat, or x_m and y_m, and perhaps name;
            a GeoJSON file of points; Warsaw's list of bus stops, whose stops without a position are left out;
            or a SUMO network or configuration, for its junctions.
        crs: Coordinate system of the tracks, such as ``"EPSG:32634"``, or ``"local"``.

    Raises:
        InputError: The file is missing, empty or malformed; the message names the line.
    """
    if path.name.endswith(_NETWORKS):
        from fleetlora.roadside.sumo_junctions import junction_sites

        return junction_sites(path, crs)
    if not path.exists():
        raise InputError(
            "no such file of points", where=str(path), mend="check the path of the placement's points"
        )
    text = read_utf8(path, DOCUMENT_BYTES, "give CSV or GeoJSON in UTF-8")
    if path.suffix.lower() in {".geojson", ".json"}:
        points = _geojson(path, text)
    else:
        points = _table(path, text, prefer_metres=crs == "local")
    if not points.name:
        raise InputError("the file lists no point", where=str(path), mend="give at least one point")
    x, y = np.array(points.x), np.array(points.y)
    if points.degrees:
        x, y = to_plane(x, y, crs, str(path))
    return Sites(_distinct(points.name, path), x, y).merged()


def to_plane(lon: Floats, lat: Floats, crs: str, where: str) -> tuple[Floats, Floats]:
    """Return degrees as metres in the coordinate system of the tracks.

    Raises:
        InputError: The tracks lie in a plane of their own, or a place lies too far outside theirs.
    """
    if crs == "local":
        raise InputError(
            "the points are in degrees, but the tracks lie in a local plane of metres",
            where=where,
            mend="give the points as columns x_m and y_m in the metres of the tracks",
        )
    from pyproj import Transformer

    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    lost = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
    if len(lost):
        raise InputError(
            f"longitude {lon[lost[0]]:g}, latitude {lat[lost[0]]:g} lies outside {crs}",
            where=where,
            mend="check that longitude and latitude are not swapped and belong to the city of the tracks",
        )
    return np.asarray(x), np.asarray(y)


def _number(value: object, what: str, where: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{what} is {str(value)[:60]!r}, not a number", where=where, mend="mend or remove the row"
        ) from None
    if not math.isfinite(number):
        raise InputError(f"{what} is {value!r}", where=where, mend="mend or remove the row")
    return number


def _table(path: Path, text: str, *, prefer_metres: bool) -> _Points:
    header = text[: text.find("\n") + 1] or text
    delimiter = max("\t;,", key=header.count)
    rows = csv.reader(text.splitlines(), delimiter=delimiter)
    try:
        names = [cell.strip().lower() for cell in next(rows, [])]
        if len(names) > max(_WARSAW.values()) and set(names) == {"key"}:
            return _warsaw(path, rows)
        return _named_columns(path, names, rows, prefer_metres=prefer_metres)
    except csv.Error as error:
        raise InputError(
            f"not a CSV table: {error}", where=f"{path}:{rows.line_num}", mend="mend the row"
        ) from error


def _named_columns(path: Path, names: list[str], rows: Any, *, prefer_metres: bool) -> _Points:
    found = {
        key: names.index(alias)
        for key, aliases in _COLUMNS.items()
        for alias in reversed(aliases)
        if alias in names
    }
    pairs = {"degrees": ("lon", "lat"), "metres": ("x", "y")}
    usable = [kind for kind, pair in pairs.items() if all(column in found for column in pair)]
    if not usable:
        raise InputError(
            f"no columns of positions among: {', '.join(names) or 'nothing'}",
            where=f"{path}:1",
            mend="name them lon and lat (degrees) or x_m and y_m (metres of the tracks) in the first line",
        )
    kind = "metres" if prefer_metres and "metres" in usable else usable[0]
    x, y = (found[column] for column in pairs[kind])
    points = _Points(path, degrees=kind == "degrees")
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        where = f"{path}:{rows.line_num}"
        if len(row) <= max(x, y):
            raise InputError(
                f"the row has {len(row)} columns, the header {len(names)}", where=where, mend="mend the row"
            )
        label = found.get("name", len(row))
        name = row[label].strip() if label < len(row) else ""
        points.add(name or f"rsu-{len(points.name)}", row[x], row[y], where)
    return points


def _warsaw(path: Path, rows: Any) -> _Points:
    points = _Points(path)
    for row in rows:
        where = f"{path}:{rows.line_num}"
        if len(row) <= max(_WARSAW.values()):
            raise InputError(
                f"the row has {len(row)} columns, a stop has 7", where=where, mend="fetch the file again"
            )
        lon, lat = row[_WARSAW["lon"]], row[_WARSAW["lat"]]
        if {lon, lat} & _NO_POSITION:
            continue
        name = _ESCAPE.sub(lambda letter: chr(int(letter[1], 16)), row[_WARSAW["name"]])
        name = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # of pairs one letter
        points.add(f"{name} {row[1]}".strip(), lon, lat, where)
    return points


def _geojson(path: Path, text: str) -> _Points:
    root = parse_json(text, str(path), "mend the file")
    points = _Points(path)
    for number, feature in enumerate(_features(root)):
        where = f"{path}: feature {number}"
        geometry, properties = feature.get("geometry"), feature.get("properties")
        if not (isinstance(geometry, dict) and geometry.get("type") == "Point"):
            kind = geometry.get("type") if isinstance(geometry, dict) else None
            raise InputError(f"its geometry is {kind}, not a Point", where=where, mend="keep only points")
        place = geometry.get("coordinates")
        if not (isinstance(place, list) and len(place) >= 2):
            raise InputError(f"coordinates are {place!r}", where=where, mend="give [longitude, latitude]")
        name = properties.get("name") if isinstance(properties, dict) else None
        points.add(str(name or feature.get("id") or f"rsu-{number}"), place[0], place[1], where)
    return points


def _features(root: object) -> Iterator[dict[str, Any]]:
    if isinstance(root, dict) and isinstance(root.get("features"), list):
        yield from (feature if isinstance(feature, dict) else {} for feature in root["features"])


def _distinct(names: list[str], path: Path) -> NDArray[np.str_]:
    """Number the names that occur more than once."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names_array(out, "place", path)
