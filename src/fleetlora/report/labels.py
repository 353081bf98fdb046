"""Room for names beside points: no name lies on another name or point, as far as there is room.

Every name in turn takes the best of many places around its point: near, inside, and free of what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetlora.report.figure import Figure, Label, Series

__all__ = ["Placed", "Sheet", "place_labels", "window"]

Floats = NDArray[np.float64]

#: Directions in which a name may lie from its point, and how far, in heights of a line.
_ANGLES = np.linspace(0, 2 * np.pi, 16, endpoint=False)
_RADII = np.array([0.95, 1.5, 2.2, 3.1, 4.2, 5.5, 7.0])

#: Empty room at each end of a labelled axis, as a part of what the data takes.
_ROOM = 0.09


@dataclass(frozen=True)
class Sheet:
    """The size of the plotting area and of its letters, in whatever unit the renderer draws in."""

    width: float
    height: float
    letter: float
    line: float


@dataclass(frozen=True)
class Placed:
    """A name and where its middle lies from its point, to the right and upwards; ``far`` wants a leader."""

    label: Label
    right: float
    up: float
    far: bool


def window(figure: Figure) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ends of both axes of a labelled figure, with room for the names."""
    xs = [(s.x, s.x_span) for s in figure.series]
    ys = [(s.y, s.y_span) for s in figure.series]
    return _ends(xs, figure.x.from_zero), _ends(ys, figure.y.from_zero)


def _ends(columns: Sequence[tuple[np.ndarray, np.ndarray | None]], from_zero: bool) -> tuple[float, float]:
    values = np.concatenate([np.ravel(part) for column in columns for part in column if part is not None])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = (0.0 if from_zero else float(values.min())), float(values.max())
    room = _ROOM * (high - low or abs(high) or 1.0)
    return (0.0 if from_zero else low - room), high + room


def place_labels(figure: Figure, canvas: Sheet) -> list[Placed]:
    """Return a place for every label of ``figure``."""
    if not figure.labels:
        return []
    (left, right), (bottom, top) = window(figure)
    size = np.array([canvas.width, canvas.height])
    origin, extent = np.array([left, bottom]), np.array([right - left, top - bottom])

    def drawn(x: np.ndarray, y: np.ndarray) -> Floats:
        points: Floats = (np.stack([x, y], axis=-1) - origin) / extent * size
        return points

    points = np.concatenate([drawn(*where) for s in figure.series for where in _occupied(s)])
    points = points[np.isfinite(points).all(axis=1)]
    anchors = drawn(np.array([one.x for one in figure.labels]), np.array([one.y for one in figure.labels]))
    halves = np.array([[len(one.text) * canvas.letter, canvas.line] for one in figure.labels]) / 2
    order = sorted(range(len(anchors)), key=lambda i: (not figure.labels[i].strong, -anchors[i, 1]))
    taken: list[tuple[Floats, Floats]] = []
    found: dict[int, Placed] = {}
    for i in order:
        places = anchors[i] + _offsets(halves[i], canvas.line)
        cost = _cost(places, halves[i], anchors[i], points, taken, size, canvas.line)
        best = int(cost.argmin())
        taken.append((places[best], halves[i]))
        offset = places[best] - anchors[i]
        gap = np.maximum(np.abs(offset) - halves[i], 0.0)
        far = bool(np.hypot(gap[0], gap[1]) > 0.9 * canvas.line)
        found[i] = Placed(figure.labels[i], float(offset[0]), float(offset[1]), far)
    return [found[i] for i in range(len(anchors))]


def _occupied(series: Series) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield columns x and y of places to leave free: points, and samples of their intervals."""
    yield series.x, series.y
    if series.mark != "point":
        return
    for part in np.linspace(0, 1, 5):
        if series.x_span is not None:
            yield series.x_span @ np.array([1 - part, part]), series.y
        if series.y_span is not None:
            yield series.x, series.y_span @ np.array([1 - part, part])


def _offsets(half: Floats, line: float) -> Floats:
    """Return (p, 2) middles of a name around its point: on ellipses that clear the name's own size."""
    away = _RADII[:, None, None] * line * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1)
    toward = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1) * half
    offsets: Floats = (away + toward).reshape(-1, 2)
    return offsets


def _cost(
    places: Floats,
    half: Floats,
    anchor: Floats,
    points: Floats,
    taken: Sequence[tuple[Floats, Floats]],
    size: Floats,
    line: float,
) -> Floats:
    """Return (p,) how bad each place is: overlaps count most, then lying outside, then distance."""
    outside = np.maximum(half - places, 0) + np.maximum(places + half - size, 0)
    cost: Floats = 20 * outside.sum(axis=1) / line
    near = np.abs(points[None] - places[:, None]) < half + 0.3 * line
    cost += 4.0 * np.minimum(near.all(axis=2).sum(axis=1), 6)
    for middle, other in taken:
        overlap = np.maximum(half + other + 0.1 * line - np.abs(places - middle), 0)
        cost += 60.0 * (overlap.prod(axis=1) > 0) + overlap.prod(axis=1) / line**2
    gap = np.maximum(np.abs(places - anchor) - half, 0)
    away: Floats = np.hypot(gap[:, 0], gap[:, 1]) / line
    sideways = 0.15 * (
        np.abs(places[:, 0] - anchor[0]) < half[0]
    )  # beside a point reads better than above it
    total: Floats = cost + away + sideways
    return total
