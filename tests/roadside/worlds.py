"""Small worlds for tests: tracks from points, and hypothesis strategies of tracks and sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from fleetlora.roadside import Sites
from fleetlora.traces import Tracks

Fix = tuple[float, float, float]  # t, x, y


def tracks_of(*vehicles: list[list[Fix]]) -> Tracks:
    """Return tracks of vehicles, each a list of pieces, each a list of fixes (t, x, y)."""
    fixes = [np.array([fix for piece in pieces for fix in piece], dtype=np.float64) for pieces in vehicles]
    new = [np.concatenate([[True] + [False] * (len(piece) - 1) for piece in pieces]) for pieces in vehicles]
    table = np.concatenate(fixes)
    return Tracks(
        vehicle_ids=np.array([f"v{i}" for i in range(len(vehicles))], dtype=np.str_),
        offsets=np.concatenate([[0], np.cumsum([len(f) for f in fixes])]).astype(np.int64),
        t_s=table[:, 0].copy(),
        x_m=table[:, 1].copy(),
        y_m=table[:, 2].copy(),
        new_piece=np.concatenate(new).astype(bool),
        parked=np.zeros(len(table), dtype=bool),
        epoch_s=0.0,
        crs="local",
        name="test",
    )


def sites_at(*places: tuple[float, float]) -> Sites:
    table = np.array(places, dtype=np.float64).reshape(-1, 2)
    return Sites.of(table[:, 0].copy(), table[:, 1].copy())


@dataclass(frozen=True)
class World:
    tracks: Tracks
    sites: Sites
    coverage_m: float
    ratio: float
    trigger_s: float
    height_m: float

    def options(self) -> dict[str, float]:
        return {
            "coverage_m": self.coverage_m,
            "distance_ratio": self.ratio,
            "time_to_trigger_s": self.trigger_s,
            "height_m": self.height_m,
        }


_places = st.integers(-60, 60).map(lambda k: 10.0 * k + 0.37)
_points = st.tuples(_places, _places)


@st.composite
def _vehicles(draw: st.DrawFn) -> list[list[Fix]]:
    pieces, t = [], draw(st.floats(0, 20))
    for _ in range(draw(st.integers(1, 2))):
        piece: list[Fix] = []
        for _ in range(draw(st.integers(2, 6))):
            stays = piece and draw(st.integers(0, 4)) == 0
            x, y = piece[-1][1:] if stays else draw(_points)
            piece.append((t, x, y))
            t += draw(st.sampled_from([1.0, 7.3, 25.0, 61.9]))
        pieces.append(piece)
        t += 100.0
    return pieces


@st.composite
def worlds(draw: st.DrawFn) -> World:
    vehicles = draw(st.lists(_vehicles(), min_size=1, max_size=3))
    places = draw(st.lists(_points, min_size=1, max_size=7, unique=True))
    return World(
        tracks=tracks_of(*vehicles),
        sites=sites_at(*places),
        coverage_m=draw(st.sampled_from([90.0, 200.0, 400.0])),
        ratio=draw(st.sampled_from([1.0, 1.1, 1.21, 1.6])),
        trigger_s=draw(st.sampled_from([0.0, 0.256, 1.0, 4.0])),
        height_m=draw(st.sampled_from([0.0, 8.5])),
    )
