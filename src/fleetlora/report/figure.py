"""A figure as data: what it shows, not how it is drawn.

Two renderers draw it: plotly for the page, matplotlib for print.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fleetlora.report.palette import Colour

__all__ = ["MOST_BROKEN", "Axis", "Figure", "Label", "Series"]

#: Up to this many categories are written in two lines, broken after their first word.
MOST_BROKEN = 8


#: Lines with more points than this have none of them marked.
_MOST_MARKED = 60


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        title: What it shows.
        unit: Unit of its numbers, empty for pure numbers; ``%`` for shares, whose values are then 0 to 100.
        from_zero: It begins at zero.
        whole: Its numbers are whole numbers.
        categories: Words instead of numbers, one per position 0, 1, 2 ...; on the vertical axis they stand
            from the top down, and bars lie.
    """

    title: str
    unit: str = ""
    from_zero: bool = False
    whole: bool = False
    categories: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        """Title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True)
class Series:
    """One line, one layer of bars, or some points.

    Attributes:
        name: Its name in the legend.
        x: (n,) places from left to right.
        y: (n,) places from the bottom up.
        colour: Its colour.
        mark: ``line``; ``steps`` holds each value until the next; ``bar`` is stacked on the bars before it;
            ``point`` stands alone.
        dashed: Drawn dashed, as a reference.
        marker: Index into the markers, ``None`` for a bare line.
        in_legend: It has an entry of its own in the legend.
        faint: Drawn thin, as background; of points, small.
        texts: (n,) names of the points.
        x_span: (n, 2) ends of each point's interval from left to right, NaN for none.
        y_span: (n, 2) ends of each point's interval upwards, or of the band around a line, NaN for none.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: Colour
    mark: Literal["line", "steps", "bar", "point"] = "line"
    dashed: bool = False
    marker: int | None = None
    in_legend: bool = True
    faint: bool = False
    texts: tuple[str, ...] | None = None
    x_span: np.ndarray | None = None
    y_span: np.ndarray | None = None

    @property
    def shows_points(self) -> bool:
        """Whether the points of the line are marked: when it asks for it and is short, or is one point."""
        n = int(np.isfinite(self.y).sum())
        return n == 1 or (self.marker is not None and n <= _MOST_MARKED)


@dataclass(frozen=True)
class Label:
    """A name beside a point; the renderers find room for it.

    Attributes:
        text: The name.
        x: The point it belongs to.
        y: The point it belongs to.
        colour: Its colour.
        strong: Written in bold, and placed before the others.
    """

    text: str
    x: float
    y: float
    colour: Colour
    strong: bool = False


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: Name of its files and its place on the page: letters, digits and dashes.
        title: What it answers, in a few words.
        group: Heading it stands under on the page.
        caption: How to read it, for someone who does not know the field.
        x: Horizontal axis.
        y: Vertical axis.
        series: What is drawn, bars from the bottom up.
        empty: What to say when nothing is to be drawn.
        labels: Names of points.
        wide: It takes the whole width of the page.
    """

    name: str
    title: str
    group: str
    caption: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    empty: str = "The run recorded nothing to show here."
    labels: Sequence[Label] = ()
    wide: bool = False

    @property
    def lies(self) -> bool:
        """Whether the categories stand on the vertical axis."""
        return self.y.categories is not None

    @property
    def is_empty(self) -> bool:
        """Whether no series has a value to draw; references alone are nothing."""
        return not any((np.isfinite(s.x) & np.isfinite(s.y)).any() for s in self.series if not s.dashed)
