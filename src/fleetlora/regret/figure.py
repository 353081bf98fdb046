"""The lab's figures: regret, overspending and violation against rounds, both axes logarithmic.

They are drawn from what ``regret.json`` holds, so that they can be drawn again without playing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetlora.report.palette import GREY, GRID, TASKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_lab", "legend"]

_PANELS = (
    ("regret", "Regret", "R(T)"),
    ("overspending", "Overspending, as drawn", "Y⁺(T)"),
    ("violation", "Violation, by means", "X⁺(T)"),
)


def draw_lab(study: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write one figure an instance into ``folder``, as SVG and PNG.

    Args:
        study: What :func:`~fleetlora.regret.run_lab` returned.
        folder: Where to.

    Returns:
        The figures' paths without their endings.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    from fleetlora.report.to_matplotlib import new_canvas, save_canvas

    stems = []
    for name, instance in study["instances"].items():
        with new_canvas(13.2, 6.0) as canvas:
            for axes, panel in zip(canvas.subplots(1, len(_PANELS)), _PANELS, strict=True):
                _draw(axes, instance, *panel)
            canvas.suptitle(f"{name}: {instance['about']}", fontsize=10, color=GREY.light)
            stems.append(folder / name)
            save_canvas(canvas, stems[-1])
    return stems


def legend(name: str, measured: Mapping[str, Any]) -> str:
    """Return the words of a curve's legend: its name and how fast it grows, or where it ends."""
    exponent = measured["exponent"]
    if exponent is None:
        return f"{name}: no slope, ends at {measured['mean'][-1]:,.0f}"
    interval = "" if exponent["low"] is None else f" [{exponent['low']:.2f}, {exponent['high']:.2f}]"
    return f"{name}: slope {exponent['value']:.2f}{interval}"


def _draw(axes: Axes, instance: Mapping[str, Any], key: str, title: str, symbol: str) -> None:
    rounds = np.asarray(instance["rounds"], dtype=float)
    highest = 1.0
    for number, (name, policy) in enumerate(instance["policies"].items()):
        measured, colour = policy[key], TASKS[number % len(TASKS)].light
        mean, low, high = (_positive(measured[part]) for part in ("mean", "low", "high"))
        axes.plot(rounds, mean, color=colour, linewidth=1.7, label=legend(name, measured), zorder=3)
        axes.fill_between(rounds, np.where(np.isnan(low), 1e-3, low), high, color=colour, alpha=0.18, lw=0)
        highest = max(highest, np.nanmax(np.append(high, 1.0)))
        if measured["exponent"] is not None:
            late = rounds[rounds >= instance["fitted_from"]]
            fitted = measured["exponent"]["scale"] * late ** measured["exponent"]["value"]
            axes.plot(late, fitted, color=colour, linewidth=1.0, linestyle=(0, (4, 3)), zorder=4)
    root = np.sqrt(rounds)
    axes.plot(rounds, root, color=GREY.light, linewidth=1.0, linestyle=":", label="√T, for comparison")
    axes.set(xscale="log", yscale="log", xlabel="rounds T", ylabel=symbol)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")
        axis.set_minor_formatter("")
    axes.set_xlim(rounds[0], rounds[-1])
    axes.set_ylim(0.5, 2 * highest)
    axes.set_title(title, loc="left")
    axes.grid(color=GRID.light, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.14), frameon=False, fontsize=8)


def _positive(values: list[float]) -> np.ndarray:
    """Return the values, not a number where a logarithm has none."""
    column = np.asarray(values, dtype=float)
    return np.where(column > 0, column, np.nan)
