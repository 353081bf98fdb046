"""Draw a figure with plotly, for the page."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from fleetlora.errors import MissingDependencyError
from fleetlora.report.figure import MOST_BROKEN, Axis, Figure, Series
from fleetlora.report.palette import GRID, INK, MARKERS

__all__ = ["draw_plotly", "plotly_script"]


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
        data=[_trace(go, figure, series) for series in figure.series if len(series.x)],
        layout=go.Layout(
            template="none",
            paper_bgcolor="rgba(0,0,0,0)",
            plot_bgcolor="rgba(0,0,0,0)",
            font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13},
            font_color=INK.light,
            margin={"l": 8, "r": 12, "t": 8, "b": 8},
            height=360,
            barmode="stack",
            bargap=_bar_gap(figure),
            hovermode="x unified" if figure.x.categories is None else "closest",
            legend={
                "orientation": "h",
                "x": 0,
                "y": 1.03,
                "xanchor": "left",
                "yanchor": "bottom",
                "traceorder": "normal",
            },
            showlegend=len(figure.series) > 1,
            xaxis=_axis(figure.x, _ends(s.x for s in figure.series), horizontal=True),
            yaxis=_axis(figure.y, _ends(s.y for s in figure.series), horizontal=False),
        ),
    )
    content: dict[str, Any] = json.loads(drawn.to_json())
    return {"data": content["data"], "layout": content["layout"]}


def _missing() -> MissingDependencyError:
    return MissingDependencyError("plotly is needed to write reports", mend="pip install 'fleetlora[report]'")


def _trace(go: Any, figure: Figure, series: Series) -> Any:
    name, unit = html.escape(series.name), figure.y.unit
    suffix = f" {unit}" if unit else ""
    value = "%{y:,.4~g}" if unit != "%" else "%{y:.1f}"
    common = {
        "name": name,
        "x": _positions(figure.x, series.x),
        "y": series.y,
        "showlegend": series.in_legend,
    }
    if series.mark == "bar":
        said = f"{name}: {value}{suffix}<extra></extra>" if figure.x.categories else f"{value}{suffix}"
        return go.Bar(
            **common, marker={"color": series.colour.light, "line": {"width": 0}}, hovertemplate=said
        )
    return go.Scatter(
        **common,
        mode="lines+markers" if series.shows_points else "lines",
        line={
            "color": series.colour.light,
            "width": 1.6 if series.dashed else 2.4,
            "dash": "dash" if series.dashed else "solid",
            "shape": "hv" if series.mark == "steps" else "linear",
        },
        marker={"symbol": MARKERS[(series.marker or 0) % len(MARKERS)][0], "size": 6},
        connectgaps=False,
        hovertemplate=None if series.dashed else f"{value}{suffix}",
        hoverinfo="skip" if series.dashed else None,
    )


def _positions(axis: Axis, x: np.ndarray) -> Any:
    if axis.categories is None:
        return x
    breaks = "<br>" if len(axis.categories) <= MOST_BROKEN else " "
    return [html.escape(axis.categories[int(position)]).replace(" ", breaks, 1) for position in x]


def _bar_gap(figure: Figure) -> float:
    if figure.x.categories is not None:
        return 0.35
    return 0.12 if max((len(s.x) for s in figure.series), default=0) <= 60 else 0.0


def _ends(columns: Iterable[np.ndarray]) -> tuple[float, float]:
    """Return the least and the largest of all values."""
    values = np.concatenate([np.empty(0), *columns])
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)


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
