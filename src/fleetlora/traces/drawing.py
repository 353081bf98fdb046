"""A picture of tracks: every leg a line, coloured by speed or by how many pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError, MissingDependencyError
from fleetlora.traces.motion import Legs
from fleetlora.traces.storage import whole_file
from fleetlora.traces.tracks import Tracks

__all__ = ["plot"]

Floats = NDArray[np.float64]

_CELLS = 400
_SHADES = 128
_KINDS = (".png", ".svg")


def plot(tracks: Tracks, path: str | Path, colour: Literal["speed", "density"] = "speed") -> Path:
    """Draw all tracks as lines and return the path of the picture.

    Args:
        tracks: What to draw; the middle 99 % of it fills the picture.
        path: The picture, ``.png`` or ``.svg``.
        colour: ``"speed"``: the speed on each leg; ``"density"``: how many legs pass its middle.

    Raises:
        InputError: The ending of ``path`` is another one, or it cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in _KINDS:
        raise InputError(
            f"cannot draw a {path.suffix or 'file without an ending'}",
            where=str(path),
            mend="end the name in .png or .svg",
        )
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "drawing needs matplotlib", mend="pip install 'fleetlora[report]'"
        ) from error
    figure = Figure(figsize=(8, 6.9), layout="constrained")
    _draw(figure, tracks, colour)
    with whole_file(path) as part:
        figure.savefig(part, format=path.suffix.lower()[1:], dpi=200, metadata=_NO_DATE[path.suffix.lower()])
    return path


_NO_DATE: dict[str, dict[str, Any]] = {".png": {"Software": None}, ".svg": {"Date": None}}


def _draw(figure: Any, tracks: Tracks, colour: str) -> None:
    from matplotlib.collections import PathCollection
    from matplotlib.colors import LogNorm, Normalize

    legs = tracks.legs()
    lasts = legs.t1_s - legs.t0_s
    x0, y0 = legs.x0_m / 1000.0, legs.y0_m / 1000.0
    x1, y1 = x0 + legs.vx_mps * lasts / 1000.0, y0 + legs.vy_mps * lasts / 1000.0
    if colour == "speed":
        values, label = np.hypot(legs.vx_mps, legs.vy_mps) * 3.6, "speed (km/h)"
        norm: Any = Normalize(0.0, max(float(np.quantile(values, 0.99)), 1.0) if len(legs) else 1.0)
    else:
        values, label = _density(legs, (x0 + x1) / 2, (y0 + y1) / 2), "legs in a cell"
        norm = LogNorm(1.0, max(float(values.max(initial=1.0)), 2.0))
    shade = np.round(np.asarray(norm(values)).clip(0.0, 1.0) * (_SHADES - 1)).astype(np.int64)
    ends = np.stack([x0, y0, x1, y1], axis=1)
    used = np.unique(shade)
    lines = PathCollection(
        [_strokes(ends[shade == one]) for one in used],
        array=norm.inverse(used / (_SHADES - 1)) if len(used) else np.zeros(0),
        cmap="viridis",
        norm=norm,
        facecolors="none",
        linewidths=0.3,
        rasterized=True,
    )
    axes = figure.add_subplot()
    axes.add_collection(lines, autolim=False)
    west, south, width = _frame(x0, y0)
    axes.set(xlim=(west, west + width), ylim=(south, south + width), aspect="equal")
    axes.set(xlabel="east (km)", ylabel="north (km)")
    axes.set_title(f"{tracks.name}: {tracks.n_vehicles:,} vehicles, {tracks.duration_s / 3600:.1f} h")
    figure.colorbar(lines, ax=axes, label=label, shrink=0.8)


def _strokes(ends: Floats) -> Any:
    """Return one path of many separate lines; ``ends`` is (n, 4): x0, y0, x1, y1."""
    from matplotlib.path import Path as Stroke

    return Stroke(ends.reshape(-1, 2), np.tile([Stroke.MOVETO, Stroke.LINETO], len(ends)))


def _frame(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Return west, south and width of the square that holds the middle 99 %, with a margin."""
    if not len(x):
        return 0.0, 0.0, 1.0
    low, high = np.quantile(np.stack([x, y]), [0.005, 0.995], axis=1)
    west, south = (low + high) / 2
    width = 1.1 * float(np.max(high - low)) + 0.1
    return float(west - width / 2), float(south - width / 2), width


def _density(legs: Legs, x: Floats, y: Floats) -> Floats:
    """Return how many legs have their middle in the same cell of a fine grid."""
    if not len(legs):
        return np.zeros(0)
    cell = [np.floor((v - v.min()) / max(np.ptp(v), 1e-9) * (_CELLS - 1)).astype(np.int64) for v in (x, y)]
    flat = cell[0] * _CELLS + cell[1]
    return np.asarray(np.bincount(flat)[flat], dtype=np.float64)
