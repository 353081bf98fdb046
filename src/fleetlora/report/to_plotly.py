"""Draw a figure with plotly, for the page."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from fleetlora.errors import MissingDependencyError
from fleetlora.report.figure import Axis, Figure
from fleetlora.report.labels import Sheet, place_labels, window
from fleetlora.report.palette import GREY, GRID, INK
from fleetlora.report.plotly_traces import traces

__all__ = ["draw_plotly", "figure_height", "plotly_script"]


def plotly_script() -> str:
    """Return the source of plotly.js, which plotly carries with it.

    Raises:
        MissingDependencyError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise _missing() from error
    return str(get_plotlyjs())


def draw_plotly(figure: Figure) -> dict[str, Any]:
    """Return ``figure`` as plotly's JSON (``data`` and ``layout``), in light colours.

    Raises:
        MissingDependencyError: plotly is not installed.
    """
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise _missing() from error
    drawn = go.Figure(
        data=[trace for series in figure.series if len(series.x) for trace in traces(go, figure, series)],
        layout=go.Layout(
            template="none",
            paper_bgcolor="rgba(0,0,0,0)",
            plot_bgcolor="rgba(0,0,0,0)",
            font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13},
            font_color=INK.light,
            margin={"l": 8, "r": 12, "t": 8, "b": 8},
            height=figure_height(figure),
            annotations=_annotations(figure),
            barmode="stack",
            bargap=_bar_gap(figure),
            hovermode=_hover_mode(figure),
            legend={
                "orientation": "h",
                "x": 0,
                "y": 1.03,
                "xanchor": "left",
                "yanchor": "bottom",
                "traceorder": "normal",
            },
            showlegend=len(figure.series) > 1,
            xaxis=_horizontal(figure),
            yaxis=_vertical(figure),
        ),
    )
    content: dict[str, Any] = json.loads(drawn.to_json())
    return {"data": content["data"], "layout": content["layout"]}


def _missing() -> MissingDependencyError:
    return MissingDependencyError("plotly is needed to write reports", mend="pip install 'fleetlora[report]'")


def figure_height(figure: Figure) -> int:
    """Return how high a figure is on the page, in pixels."""
    if figure.y.categories is not None:
        return 110 + 26 * len(figure.y.categories)
    return 470 if figure.labels else 360


def _hover_mode(figure: Figure) -> str:
    alone = figure.lies or figure.labels or figure.x.categories is not None
    return "closest" if alone else "x unified"


def _annotations(figure: Figure) -> list[dict[str, Any]]:
    """Return every label where there is room, with a thin line to its point where it had to go far."""
    return [
        {
            "x": placed.label.x,
            "y": placed.label.y,
            "ax": round(placed.right, 1),
            "ay": round(-placed.up, 1),
            "text": f"<b>{html.escape(placed.label.text)}</b>"
            if placed.label.strong
            else html.escape(placed.label.text),
            "font": {"color": placed.label.colour.light, "size": 12},
            "showarrow": True,
            "arrowhead": 0,
            "arrowwidth": 0.8,
            "arrowcolor": GREY.light if placed.far else "rgba(0,0,0,0)",
            "standoff": 4,
            "xanchor": "center",
            "yanchor": "middle",
            "borderpad": 0,
        }
        for placed in place_labels(figure, Sheet(width=1020, height=380, letter=6.6, line=15.0))
    ]


def _bar_gap(figure: Figure) -> float:
    if figure.x.categories is not None or figure.lies:
        return 0.35
    return 0.12 if max((len(s.x) for s in figure.series), default=0) <= 60 else 0.0


def _ends(columns: Iterable[np.ndarray]) -> tuple[float, float]:
    """Return the least and the largest of all values."""
    values = np.concatenate([np.empty(0), *columns])
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)


def _horizontal(figure: Figure) -> dict[str, Any]:
    axis = _axis(figure.x, _ends(s.x for s in figure.series), horizontal=True)
    if figure.lies:
        axis |= {"showgrid": True, "fixedrange": True}
    alone = any(series.mark == "point" for series in figure.series)
    return axis | {"range": window(figure)[0]} if figure.labels or alone else axis


def _vertical(figure: Figure) -> dict[str, Any]:
    if figure.y.categories is not None:
        n = len(figure.y.categories)
        return {
            "tickmode": "array",
            "tickvals": list(range(n)),
            "ticktext": [html.escape(name) for name in figure.y.categories],
            "range": [n - 0.5, -0.5],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "ticks": "outside",
            "ticklen": 6,
            "tickcolor": "rgba(0,0,0,0)",
            "title": {"text": html.escape(figure.y.label), "standoff": 8, "font": {"size": 13}},
        }
    axis = _axis(figure.y, _ends(s.y for s in figure.series), horizontal=False)
    return axis | {"range": window(figure)[1]} if figure.labels else axis


def _axis(axis: Axis, ends: tuple[float, float], horizontal: bool) -> dict[str, Any]:
    plain = {
        "title": {"text": html.escape(axis.label), "standoff": 8, "font": {"size": 13}},
        "automargin": True,
        "showgrid": not horizontal,
        "gridcolor": GRID.light,
        "zeroline": False,
        "linecolor": GRID.light,
        "showline": horizontal,
        "ticks": "outside" if horizontal and axis.categories is None else "",
        "tickcolor": GRID.light,
        "fixedrange": axis.categories is not None,
    }
    if axis.categories is not None:
        n = len(axis.categories)
        return plain | {"type": "category", "range": [-0.5 - 0.5 * (n < 3), n - 0.5 + 0.5 * (n < 3)]}
    if axis.whole and ends[1] - ends[0] <= 8:
        plain["dtick"] = 1
    if axis.unit == "%" and axis.from_zero:
        return plain | {"range": [0, 100]}
    return plain | {"rangemode": "tozero" if axis.from_zero else "normal"}
