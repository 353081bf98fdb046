"""The data of the map that plays: where the vehicles were, frame by frame, and who served them.

Positions are whole steps of ``step_m`` metres from an origin, kept as base64 of 16-bit integers: 1,400
vehicles over 140 frames take 1.6 MB, small enough to sit inside a report.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval, Len
from typing_extensions import TypedDict  # pydantic does not take typing's before Python 3.12

from fleetlora.documents import check_shape, read_json, refuse_newer
from fleetlora.errors import FleetLoraError, InputError
from fleetlora.files import write_text

__all__ = ["MapData", "read_map", "street_lines", "write_map"]

#: Number of the layout of ``map.json``.
MAP_SCHEMA = 1

#: Stands for "not there" among 16-bit positions, and for "none" among RSUs stands −1.
_ABSENT = -32768
_LARGEST = 32767


#: Numbers that positions and times are made of, and how many of a thing a map may hold.
_Real = Annotated[float, Interval(ge=-1e15, le=1e15)]
_Count = Annotated[int, Interval(ge=0, le=10_000_000)]


class _RsuShape(TypedDict):
    name: str
    x: _Real
    y: _Real


class _HandoffShape(TypedDict("_From", {"from": str})):
    t: str
    vehicle: str
    to: str
    x: str
    y: str


class _StreetShape(TypedDict):
    x: str
    y: str


class _MapShape(TypedDict):
    schema: int
    t0: _Real
    dt_s: _Real
    frames: _Count
    vehicles: _Count
    origin: Annotated[list[_Real], Len(2, 2)]
    step_m: _Real
    coverage_m: _Real
    rsus: list[_RsuShape]
    vehicle_ids: list[str]
    x: str
    y: str
    serving: str
    handoffs: _HandoffShape
    streets: _StreetShape


@dataclass(frozen=True)
class MapData:
    """Sampled movement of a fleet.

    Attributes:
        t_s: (F,) evenly spaced virtual times of the frames.
        x_m: (V, F) east, NaN where the vehicle is absent.
        y_m: (V, F) north, NaN where the vehicle is absent.
        serving: (V, F) int, serving RSU, −1 for none.
        vehicle_ids: (V,) names of the vehicles.
        rsu_names: (J,) names of the RSUs.
        rsu_x_m: (J,) east.
        rsu_y_m: (J,) north.
        coverage_m: Radius of an RSU's coverage.
        handoff_t_s: (H,) virtual times of handoffs.
        handoff_vehicle: (H,) int, vehicle.
        handoff_from: (H,) int, RSU it left.
        handoff_to: (H,) int, RSU it came to.
        handoff_x_m: (H,) east.
        handoff_y_m: (H,) north.
        street_x_m: (S,) polylines one after the other, NaN between them.
        street_y_m: (S,) the same, north.
    """

    t_s: np.ndarray
    x_m: np.ndarray
    y_m: np.ndarray
    serving: np.ndarray
    vehicle_ids: Sequence[str]
    rsu_names: Sequence[str]
    rsu_x_m: np.ndarray
    rsu_y_m: np.ndarray
    coverage_m: float
    handoff_t_s: np.ndarray
    handoff_vehicle: np.ndarray
    handoff_from: np.ndarray
    handoff_to: np.ndarray
    handoff_x_m: np.ndarray
    handoff_y_m: np.ndarray
    street_x_m: np.ndarray
    street_y_m: np.ndarray


def write_map(data: MapData, path: Path) -> None:
    """Write ``data`` as JSON with base64 columns, whole or not at all, and wait until the disk has it.

    Raises:
        FleetLoraError: Arrays of different lengths, or times that are not evenly spaced.
    """
    _check(data)
    text = json.dumps(encode_map(data), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n", durable=True)


def read_map(path: Path) -> MapData:
    """Read what :func:`write_map` wrote; positions come back to the nearest step.

    Raises:
        InputError: The file is missing, damaged, or of a newer layout.
    """
    document = read_json(path, "run again")
    number = document.get("schema") if isinstance(document, dict) else None
    refuse_newer(number, MAP_SCHEMA, path)
    check_shape(_MapShape, document, path, "run again")
    try:
        data = decode_map(document)
        _check(data)
    except (ValueError, FleetLoraError) as error:
        said = error.problem if isinstance(error, FleetLoraError) else str(error)
        raise InputError(f"no map can be read: {said}", where=str(path), mend="run again") from error
    return data


def encode_map(data: MapData) -> dict[str, Any]:
    """Return ``data`` as a JSON document: numbers, names and base64 of little-endian columns."""
    _check(data)
    everywhere = _Grid.around(data)
    frames = data.t_s
    return {
        "schema": MAP_SCHEMA,
        "t0": float(frames[0]) if len(frames) else 0.0,
        "dt_s": float(frames[1] - frames[0]) if len(frames) > 1 else 0.0,
        "frames": len(frames),
        "vehicles": len(data.x_m),
        "origin": [everywhere.x0, everywhere.y0],
        "step_m": everywhere.step_m,
        "coverage_m": float(data.coverage_m),
        "rsus": [
            {"name": str(name), "x": float(x), "y": float(y)}
            for name, x, y in zip(data.rsu_names, data.rsu_x_m, data.rsu_y_m, strict=True)
        ],
        "vehicle_ids": [str(name) for name in data.vehicle_ids],
        # frame after frame, as a player reads them
        "x": _pack(everywhere.x(data.x_m).T),
        "y": _pack(everywhere.y(data.y_m).T),
        "serving": _pack(np.where(np.isnan(data.x_m), -1, data.serving).T.astype(np.int16)),
        "handoffs": {
            "t": _pack(np.asarray(data.handoff_t_s, np.float64)),
            "vehicle": _pack(np.asarray(data.handoff_vehicle, np.int32)),
            "from": _pack(np.asarray(data.handoff_from, np.int16)),
            "to": _pack(np.asarray(data.handoff_to, np.int16)),
            "x": _pack(everywhere.x(data.handoff_x_m)),
            "y": _pack(everywhere.y(data.handoff_y_m)),
        },
        "streets": {"x": _pack(everywhere.x(data.street_x_m)), "y": _pack(everywhere.y(data.street_y_m))},
    }


def decode_map(document: Mapping[str, Any]) -> MapData:
    """Return the map in a JSON document of :func:`encode_map`."""
    (x0, y0), step_m = document["origin"], document["step_m"]
    grid = _Grid(x0, y0, step_m)
    shape = (document["frames"], document["vehicles"])
    handoffs, streets = document["handoffs"], document["streets"]
    return MapData(
        t_s=document["t0"] + document["dt_s"] * np.arange(document["frames"]),
        x_m=grid.x_back(_unpack(document["x"], np.int16).reshape(shape).T),
        y_m=grid.y_back(_unpack(document["y"], np.int16).reshape(shape).T),
        serving=_unpack(document["serving"], np.int16).reshape(shape).T,
        vehicle_ids=tuple(document["vehicle_ids"]),
        rsu_names=tuple(rsu["name"] for rsu in document["rsus"]),
        rsu_x_m=np.array([rsu["x"] for rsu in document["rsus"]], float),
        rsu_y_m=np.array([rsu["y"] for rsu in document["rsus"]], float),
        coverage_m=document["coverage_m"],
        handoff_t_s=_unpack(handoffs["t"], np.float64),
        handoff_vehicle=_unpack(handoffs["vehicle"], np.int32),
        handoff_from=_unpack(handoffs["from"], np.int16),
        handoff_to=_unpack(handoffs["to"], np.int16),
        handoff_x_m=grid.x_back(_unpack(handoffs["x"], np.int16)),
        handoff_y_m=grid.y_back(_unpack(handoffs["y"], np.int16)),
        street_x_m=grid.x_back(_unpack(streets["x"], np.int16)),
        street_y_m=grid.y_back(_unpack(streets["y"], np.int16)),
    )


def street_lines(
    x_m: np.ndarray,
    y_m: np.ndarray,
    new_piece: np.ndarray,
    cell_m: float = 30.0,
    longest_m: float = 1_500.0,
    most: int = 20_000,
) -> tuple[np.ndarray, np.ndarray]:
    """Return where vehicles drove, as polylines with NaN between them.

    Legs whose two ends fall into the same cells as another's are drawn once.

    Args:
        x_m: (N,) east of the fixes, vehicle after vehicle.
        y_m: (N,) north.
        new_piece: (N,) bool, true where a fix does not continue the one before.
        cell_m: Side of a cell.
        longest_m: Legs longer than this show no street and are left out.
        most: Keep at most this many legs, the most driven ones.

    Returns:
        Two arrays (3·legs,).
    """
    joined = ~np.asarray(new_piece[1:], dtype=bool)
    ends = np.stack([x_m[:-1], y_m[:-1], x_m[1:], y_m[1:]], axis=1)[joined]
    ends = ends[np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1]) <= longest_m]
    cells = np.round(ends / cell_m).astype(np.int64)
    turned = (cells[:, 0] > cells[:, 2]) | ((cells[:, 0] == cells[:, 2]) & (cells[:, 1] > cells[:, 3]))
    cells[turned] = cells[turned][:, [2, 3, 0, 1]]
    moving = np.flatnonzero((cells[:, :2] != cells[:, 2:]).any(axis=1))
    _, first, times = np.unique(cells[moving], axis=0, return_index=True, return_counts=True)
    anywhere = np.random.default_rng(0).permutation(len(first))  # among equals, from the whole area
    legs = ends[moving[first[np.sort(np.lexsort((anywhere, -times))[:most])]]]
    gap = np.full(len(legs), np.nan)
    return (
        np.stack([legs[:, 0], legs[:, 2], gap], axis=1).ravel(),
        np.stack([legs[:, 1], legs[:, 3], gap], axis=1).ravel(),
    )


@dataclass(frozen=True)
class _Grid:
    """Whole steps around an origin."""

    x0: float
    y0: float
    step_m: float

    @classmethod
    def around(cls, data: MapData) -> _Grid:
        x = np.concatenate([np.ravel(a) for a in (data.x_m, data.rsu_x_m, data.handoff_x_m, data.street_x_m)])
        y = np.concatenate([np.ravel(a) for a in (data.y_m, data.rsu_y_m, data.handoff_y_m, data.street_y_m)])
        there = np.isfinite(x) & np.isfinite(y)
        if not there.any():
            return cls(0.0, 0.0, 1.0)
        low = np.array([x[there].min(), y[there].min()])
        high = np.array([x[there].max(), y[there].max()])
        x0, y0 = np.round((low + high) / 2).tolist()
        reach = float(np.max(high - low)) / 2 + 1.0
        # a tenth of a metre at best, and no finer than lets the whole area fit into 16 bits
        return cls(x0, y0, math.ceil(10 * reach / _LARGEST) / 10)

    def x(self, values: np.ndarray) -> np.ndarray:
        return self._steps(np.asarray(values, float) - self.x0)

    def y(self, values: np.ndarray) -> np.ndarray:
        return self._steps(np.asarray(values, float) - self.y0)

    def x_back(self, steps: np.ndarray) -> np.ndarray:
        return np.where(steps == _ABSENT, np.nan, self.x0 + self.step_m * steps)

    def y_back(self, steps: np.ndarray) -> np.ndarray:
        return np.where(steps == _ABSENT, np.nan, self.y0 + self.step_m * steps)

    def _steps(self, offsets: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(offsets), _ABSENT, np.round(np.nan_to_num(offsets) / self.step_m)).astype(
            np.int16
        )


def _check(data: MapData) -> None:
    n_vehicles, n_frames = np.shape(data.x_m)
    shapes_agree = (
        np.shape(data.y_m) == np.shape(data.serving) == (n_vehicles, n_frames)
        and np.shape(data.t_s) == (n_frames,)
        and len(data.vehicle_ids) == n_vehicles
        and len(data.rsu_names) == len(data.rsu_x_m) == len(data.rsu_y_m)
        and len({len(getattr(data, f"handoff_{c}")) for c in ("t_s", "vehicle", "from", "to", "x_m", "y_m")})
        == 1
        and np.shape(data.street_x_m) == np.shape(data.street_y_m)
    )
    if not shapes_agree:
        raise FleetLoraError("arrays of a map do not fit each other", where="map")
    steps = np.diff(data.t_s)
    if len(steps) and not np.allclose(steps, steps[0], rtol=1e-6):
        raise FleetLoraError("frames of a map must be evenly spaced", where="map")


def _pack(array: np.ndarray) -> str:
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(little.tobytes()).decode("ascii")


def _unpack(text: str, kind: type) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), np.dtype(kind).newbyteorder("<")).astype(kind)
