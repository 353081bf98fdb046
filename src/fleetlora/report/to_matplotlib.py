"""Draw a figure with matplotlib, for print: SVG and PNG, the same bytes for the same run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetlora.errors import MissingDependencyError
from fleetlora.files import replacing
from fleetlora.report.figure import MOST_BROKEN, Figure, Series
from fleetlora.report.palette import GREY, GRID, INK, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_matplotlib", "new_canvas", "save_canvas"]

_STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": GRID.light,
    "axes.labelcolor": INK.light,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "text.color": INK.light,
    "text.parse_math": False,
    "xtick.color": INK.light,
    "ytick.color": INK.light,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "fleetlora",
    "path.simplify": True,
}


def draw_matplotlib(figure: Figure, stem: Path) -> None:
    """Write ``figure`` to ``stem`` with the endings .svg and .png.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with new_canvas(6.4, 3.8) as canvas:
        axes = canvas.add_subplot()
        if figure.is_empty:
            axes.set_axis_off()
            axes.set_title(figure.title, loc="left")
            axes.text(0.5, 0.5, figure.empty, ha="center", va="center", wrap=True, color=GREY.light)
        else:
            _draw(axes, figure)
        save_canvas(canvas, stem)


@contextmanager
def new_canvas(width_in: float, height_in: float) -> Iterator[Canvas]:
    """Yield an empty figure in the reports' style, without any window or global state.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise MissingDependencyError(
            "matplotlib is needed to write figures", mend="pip install 'fleetlora[report]'"
        ) from error
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        canvas = Canvas(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(canvas)
        yield canvas


def save_canvas(canvas: Canvas, stem: Path) -> None:
    """Write ``canvas`` to ``stem`` with the endings .svg and .png, each whole or not at all."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for kind, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 200})):
        with replacing(stem.with_suffix(f".{kind}")) as part:
            canvas.savefig(part, format=kind, facecolor="white", **options)
        canvas.set_layout_engine("none")  # as laid out the first time


def _draw(axes: Axes, figure: Figure) -> None:
    handles, names = [], []
    tops: dict[float, float] = {}
    for series in figure.series:
        if len(series.x):
            handle = _draw_series(axes, figure, series, tops)
            if series.in_legend:
                handles.append(handle)
                names.append(series.name.lstrip("_") or "-")
    axes.set_xlabel(figure.x.label)
    axes.set_ylabel(figure.y.label)
    axes.grid(axis="y", color=GRID.light, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=2.5)
    if figure.x.categories is not None:
        _write_categories(axes, figure.x.categories)
    else:
        axes.margins(x=0.01)
        axes.locator_params(axis="x", integer=figure.x.whole)
    axes.locator_params(axis="y", integer=figure.y.whole)
    if figure.x.from_zero:
        axes.set_xlim(left=0)
    if figure.y.unit == "%" and figure.y.from_zero:
        axes.set_ylim(0, 100)
    elif figure.y.from_zero:
        axes.set_ylim(bottom=0)
    _add_heads(axes, figure.title, handles, names)


def _add_heads(axes: Axes, title: str, handles: list[Any], names: list[str]) -> None:
    """Put the legend above the axes, in as many rows as it needs, and the title above the legend."""
    if len(names) < 2:
        axes.set_title(title, loc="left")
        return
    widest_in = 0.45 + 0.07 * max(len(name) for name in names)
    columns = max(1, min(len(names), int(5.6 / widest_in)))
    axes.set_title(title, loc="left", pad=10 + 13.5 * -(-len(names) // columns))
    axes.legend(
        handles,
        names,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=columns,
        frameon=False,
        borderaxespad=0.2,
        handlelength=1.8,
        columnspacing=1.4,
        fontsize=8,
    )


def _write_categories(axes: Axes, words: tuple[str, ...]) -> None:
    """Write the words below the bars: in two lines while few, and only some of many."""
    if len(words) <= MOST_BROKEN:
        axes.set_xticks(range(len(words)), [word.replace(" ", "\n", 1) for word in words])
        return
    step = -(-len(words) // 16)
    axes.set_xticks(range(0, len(words), step), words[::step])


def _draw_series(axes: Axes, figure: Figure, series: Series, tops: dict[float, float]) -> Any:
    colour = series.colour.light
    if series.mark == "bar":
        y = np.nan_to_num(series.y)
        base = np.array([tops.get(position, 0.0) for position in series.x.tolist()])
        tops.update(zip(series.x.tolist(), (base + y).tolist(), strict=True))
        return axes.bar(series.x, y, _bar_width(figure), bottom=base, color=colour, linewidth=0)
    (line,) = axes.plot(
        series.x,
        series.y,
        color=colour,
        linewidth=1.1 if series.dashed else 1.7,
        linestyle=(0, (4, 3)) if series.dashed else "-",
        drawstyle="steps-post" if series.mark == "steps" else "default",
        marker=MARKERS[(series.marker or 0) % len(MARKERS)][1] if series.shows_points else "",
        markersize=3.2,
        zorder=3,
    )
    return line


def _bar_width(figure: Figure) -> float:
    if figure.x.categories is not None:
        return 0.6
    return 0.85 if max(len(s.x) for s in figure.series) <= 60 else 1.0
