"""Plotly's traces for one series of a figure: lines with bands, points with intervals, bars."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from fleetlora.report.figure import MOST_BROKEN, Axis, Figure, Series
from fleetlora.report.palette import MARKERS

__all__ = ["traces"]


def traces(go: Any, figure: Figure, series: Series) -> list[Any]:
    """Return the traces of one series: a line with a band has one more, beneath it."""
    if series.mark == "bar":
        return [_bars(go, figure, series)]
    if series.mark == "point":
        return [_points(go, figure, series)]
    lines = [_line(go, figure, series)]
    if series.y_span is None:
        return lines
    edge = np.concatenate([series.y_span[:, 0], series.y_span[::-1, 1]])
    band = go.Scatter(
        x=np.concatenate([series.x, series.x[::-1]]),
        y=edge,
        fill="toself",
        fillcolor=series.colour.light,
        opacity=0.16,
        mode="none",
        hoverinfo="skip",
        showlegend=False,
    )
    return [band, *lines]


def _said(figure: Figure) -> str:
    """Return what is said of a value when the pointer is over it."""
    value = "%{y:,.4~g}" if figure.y.unit != "%" else "%{y:.1f}"
    return f"{value} {figure.y.unit}".rstrip()


def _bars(go: Any, figure: Figure, series: Series) -> Any:
    name = html.escape(series.name)
    said = f"{name}: {_said(figure)}<extra></extra>"
    if figure.lies:
        share = "%{x:.1f}" if figure.x.unit == "%" else "%{x:,.4~g}"
        said = f"{name}: {share} {figure.x.unit}<extra></extra>"
    elif figure.x.categories is None:
        said = _said(figure)
    return go.Bar(
        name=name,
        x=_positions(figure.x, series.x),
        y=series.y,
        orientation="h" if figure.lies else "v",
        showlegend=series.in_legend,
        marker={"color": series.colour.light, "line": {"width": 0}},
        hovertemplate=said,
    )


def _points(go: Any, figure: Figure, series: Series) -> Any:
    n = len(series.x)
    texts = [html.escape(text) for text in series.texts or (series.name,) * n]
    across = f"{html.escape(figure.x.title)}: %{{x:,.4~g}} {figure.x.unit}"
    said = across if figure.lies else f"{across}<br>{html.escape(figure.y.title)}: {_said(figure)}"
    return go.Scatter(
        name=html.escape(series.name),
        x=series.x,
        y=series.y,
        mode="markers",
        showlegend=series.in_legend,
        marker={
            "symbol": MARKERS[(series.marker or 0) % len(MARKERS)][0],
            "color": series.colour.light,
            "size": 8 if series.faint else 12,
        },
        error_x=_spans(series, series.x, series.x_span),
        error_y=_spans(series, series.y, series.y_span),
        customdata=texts,
        hovertemplate=f"<b>%{{customdata}}</b><br>{said}<extra></extra>",
    )


def _spans(series: Series, middle: np.ndarray, span: np.ndarray | None) -> dict[str, Any] | None:
    if span is None:
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": np.nan_to_num(span[:, 1] - middle),
        "arrayminus": np.nan_to_num(middle - span[:, 0]),
        "color": series.colour.light,
        "thickness": 1.0 if series.faint else 1.8,
        "width": 0,
    }


def _line(go: Any, figure: Figure, series: Series) -> Any:
    name, said = html.escape(series.name), _said(figure)
    if figure.labels:
        across = f"{html.escape(figure.x.title)}: %{{x:,.4~g}} {figure.x.unit}"
        said = f"<b>{name}</b><br>{across}<br>{said}<extra></extra>"
    width = 1.2 if series.faint else 1.6 if series.dashed else 2.4
    return go.Scatter(
        name=name,
        x=_positions(figure.x, series.x),
        y=series.y,
        showlegend=series.in_legend,
        mode="lines+markers" if series.shows_points else "lines",
        line={
            "color": series.colour.light,
            "width": width,
            "dash": "dash" if series.dashed else "solid",
            "shape": "hv" if series.mark == "steps" else "linear",
        },
        marker={"symbol": MARKERS[(series.marker or 0) % len(MARKERS)][0], "size": 6},
        connectgaps=False,
        hovertemplate=None if series.dashed else said,
        hoverinfo="skip" if series.dashed else None,
    )


def _positions(axis: Axis, x: np.ndarray) -> Any:
    if axis.categories is None:
        return x
    breaks = "<br>" if len(axis.categories) <= MOST_BROKEN else " "
    return [html.escape(axis.categories[int(position)]).replace(" ", breaks, 1) for position in x]
