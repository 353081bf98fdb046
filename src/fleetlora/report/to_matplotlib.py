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
from fleetlora.report.labels import Sheet, place_labels, window
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
    with new_canvas(*_size_in(figure)) as canvas:
        axes = canvas.add_subplot()
        if figure.is_empty:
            axes.set_axis_off()
            axes.set_title(figure.title, loc="left")
            axes.text(0.5, 0.5, figure.empty, ha="center", va="center", wrap=True, color=GREY.light)
        else:
            _draw(axes, figure)
        save_canvas(canvas, stem)


def _size_in(figure: Figure) -> tuple[float, float]:
    if figure.y.categories is not None:
        return 6.4, 1.5 + 0.24 * len(figure.y.categories)
    return (7.2, 4.8) if figure.labels else (6.4, 3.8)


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
    axes.grid(axis="x" if figure.lies else "y", color=GRID.light, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=2.5)
    if figure.y.categories is not None:
        n = len(figure.y.categories)
        axes.set_yticks(range(n), figure.y.categories)
        axes.set_ylim(n - 0.5, -0.5)
    if figure.labels:
        _write_labels(axes, figure)
    elif figure.x.categories is not None:
        _write_categories(axes, figure.x.categories)
    else:
        axes.margins(x=0.01)
        axes.locator_params(axis="x", integer=figure.x.whole)
    if not figure.lies:
        axes.locator_params(axis="y", integer=figure.y.whole)
    if figure.x.unit == "%" and figure.x.from_zero:
        axes.set_xlim(0, 100)
    elif figure.x.from_zero:
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


def _write_labels(axes: Axes, figure: Figure) -> None:
    """Write every label where there is room, with a thin line to its point where it had to go far."""
    (left, right), (bottom, top) = window(figure)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    for placed in place_labels(figure, Sheet(width=440, height=255, letter=4.0, line=9.0)):
        label = placed.label
        axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(placed.right, placed.up),
            textcoords="offset points",
            ha="center",
            va="center",
            color=label.colour.light,
            fontsize=7.5,
            fontweight="bold" if label.strong else "normal",
            arrowprops={"arrowstyle": "-", "color": GREY.light, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3}
            if placed.far
            else None,
            zorder=6,
        )


def _draw_series(axes: Axes, figure: Figure, series: Series, tops: dict[float, float]) -> Any:
    colour = series.colour.light
    if series.mark == "bar":
        return _draw_bars(axes, figure, series, tops)
    if series.mark == "point":
        return axes.errorbar(
            series.x,
            series.y,
            xerr=_lengths(series.x, series.x_span),
            yerr=_lengths(series.y, series.y_span),
            color=colour,
            linestyle="",
            marker=MARKERS[(series.marker or 0) % len(MARKERS)][1],
            markersize=3.6 if series.faint else 6,
            elinewidth=0.8 if series.faint else 1.3,
            zorder=4 if series.faint else 5,
        )
    if series.y_span is not None:
        axes.fill_between(series.x, *series.y_span.T, color=colour, alpha=0.16, linewidth=0, zorder=2)
    width = 0.8 if series.faint else 1.1 if series.dashed else 1.7
    (line,) = axes.plot(
        series.x,
        series.y,
        color=colour,
        linewidth=width,
        linestyle=(0, (4, 3)) if series.dashed else "-",
        drawstyle="steps-post" if series.mark == "steps" else "default",
        marker=MARKERS[(series.marker or 0) % len(MARKERS)][1] if series.shows_points else "",
        markersize=3.2,
        zorder=2.5 if series.faint else 3,
    )
    return line


def _draw_bars(axes: Axes, figure: Figure, series: Series, tops: dict[float, float]) -> Any:
    """Draw a layer of bars on what ``tops`` says is there, upwards or, if the figure lies, to the right."""
    places, values = (series.y, series.x) if figure.lies else (series.x, series.y)
    lengths = np.nan_to_num(values)
    base = np.array([tops.get(place, 0.0) for place in places.tolist()])
    tops.update(zip(places.tolist(), (base + lengths).tolist(), strict=True))
    colour = series.colour.light
    if figure.lies:
        return axes.barh(places, lengths, _bar_width(figure), left=base, color=colour, linewidth=0)
    return axes.bar(places, lengths, _bar_width(figure), bottom=base, color=colour, linewidth=0)


def _lengths(middle: np.ndarray, span: np.ndarray | None) -> np.ndarray | None:
    """Return (2, n) how far intervals (n, 2) reach to both sides of the points."""
    if span is None:
        return None
    lengths: np.ndarray = np.abs(span.T - middle)
    return lengths


def _bar_width(figure: Figure) -> float:
    if figure.x.categories is not None or figure.lies:
        return 0.6
    return 0.85 if max(len(s.x) for s in figure.series) <= 60 else 1.0
