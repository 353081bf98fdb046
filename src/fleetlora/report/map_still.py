"""One moment of the map, for print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetlora.report.palette import GREY, GRID, TASKS
from fleetlora.report.to_matplotlib import new_canvas, save_canvas
from fleetlora.report.words import span

if TYPE_CHECKING:
    from fleetlora.records import MapData

__all__ = ["busiest_frame", "draw_map", "view_box", "whole_box"]

#: Per cent of positions on each side that may lie outside every view: a few far outliers are cut.
_FAR = 0.5

#: What is shown around the coverage in the first view, as a share of its extent.
_MARGIN = 0.2


def busiest_frame(data: MapData) -> int:
    """Return the frame with the most vehicles in contact, the first of several."""
    return int(np.argmax((data.serving >= 0).sum(axis=0))) if data.serving.size else 0


def view_box(data: MapData) -> tuple[float, float, float, float]:
    """Return (west, south, east, north) in metres around the coverage and what lies next to it."""
    whole, reach = whole_box(data), data.coverage_m
    lows, highs = [], []
    for sites, low, high in ((data.rsu_x_m, whole[0], whole[2]), (data.rsu_y_m, whole[1], whole[3])):
        if not len(sites):
            return whole
        covered = float(sites.min()) - reach, float(sites.max()) + reach
        margin = _MARGIN * (covered[1] - covered[0])
        lows.append(max(low, covered[0] - margin))
        highs.append(min(high, covered[1] + margin))
    return lows[0], lows[1], highs[0], highs[1]


def whole_box(data: MapData) -> tuple[float, float, float, float]:
    """Return (west, south, east, north) in metres around the coverage and nearly all positions."""
    there, reach = np.isfinite(data.x_m), data.coverage_m
    lows, highs = [], []
    for positions, sites in ((data.x_m[there], data.rsu_x_m), (data.y_m[there], data.rsu_y_m)):
        near = np.percentile(positions, [_FAR, 100 - _FAR]) if len(positions) else np.empty(0)
        around = np.concatenate([near, sites - reach, sites + reach])
        lows.append(float(around.min()) if len(around) else 0.0)
        highs.append(float(around.max()) if len(around) else 1_000.0)
    return lows[0], lows[1], max(highs[0], lows[0] + 1.0), max(highs[1], lows[1] + 1.0)


def draw_map(data: MapData, stem: Path) -> None:
    """Write the busiest frame of ``data`` to ``stem`` with the endings .svg and .png."""
    west, south, east, north = view_box(data)
    frame = busiest_frame(data)
    with new_canvas(6.8, 6.8 * float(np.clip((north - south) / (east - west), 0.6, 1.3)) + 0.6) as canvas:
        axes = canvas.add_subplot()
        axes.set_aspect("equal")
        axes.set_xlim(0, (east - west) / 1e3)
        axes.set_ylim(0, (north - south) / 1e3)
        _draw_world(axes, data, west, south)
        if data.x_m.size:
            _draw_vehicles(axes, data, frame, west, south)
            axes.set_title(f"The fleet at {span(float(data.t_s[frame]))} of virtual time", loc="left", pad=24)
        axes.set_xlabel("east (km)")
        axes.set_ylabel("north (km)")
        axes.tick_params(length=2.5)
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.01, 1.0),
            ncols=4,
            frameon=False,
            fontsize=8,
            borderaxespad=0.2,
        )
        save_canvas(canvas, stem)


def _draw_world(axes: Any, data: MapData, west: float, south: float) -> None:
    from matplotlib.collections import EllipseCollection

    axes.plot(
        (data.street_x_m - west) / 1e3,
        (data.street_y_m - south) / 1e3,
        color=GRID.light,
        linewidth=0.7,
        zorder=1,
        rasterized=True,
    )
    x, y = (data.rsu_x_m - west) / 1e3, (data.rsu_y_m - south) / 1e3
    size = np.full(len(x), 2 * data.coverage_m / 1e3)
    circles = EllipseCollection(
        size, size, np.zeros(len(x)), units="xy", offsets=np.column_stack([x, y]),
        offset_transform=axes.transData, facecolor=TASKS[0].light + "14", edgecolor=TASKS[0].light + "80",
        linewidth=0.7, zorder=2,
    )  # fmt: skip
    axes.add_collection(circles)
    axes.scatter(
        x, y, s=34, marker="^", color="#1b2530", edgecolor="white", linewidth=0.6, zorder=5, label="RSU"
    )


def _draw_vehicles(axes: Any, data: MapData, frame: int, west: float, south: float) -> None:
    x, y = (data.x_m[:, frame] - west) / 1e3, (data.y_m[:, frame] - south) / 1e3
    served = data.serving[:, frame] >= 0
    axes.scatter(
        x[~served], y[~served], s=5, color=GREY.light, linewidth=0, zorder=3, label="out of coverage"
    )
    axes.scatter(x[served], y[served], s=11, color=TASKS[0].light, linewidth=0, zorder=4, label="in contact")
    window = 1.5 * (float(data.t_s[1] - data.t_s[0]) if len(data.t_s) > 1 else 1.0)
    now = np.abs(data.handoff_t_s - data.t_s[frame]) <= window
    axes.scatter(
        (data.handoff_x_m[now] - west) / 1e3, (data.handoff_y_m[now] - south) / 1e3, s=60, facecolor="none",
        edgecolor=TASKS[1].light, linewidth=1.3, zorder=6, label="handoff",
    )  # fmt: skip
