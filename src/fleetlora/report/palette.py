"""The colours of every figure, each as a pair for light and for dark pages.

The categorical pairs start from Okabe and Ito's colours (2008), which people with the common forms of
colour blindness can tell apart, darkened or lightened until they stand out at 3:1 from their page.
Meaning never hangs on colour alone: tasks also differ in marker, references are dashed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "GREY",
    "GRID",
    "INK",
    "MARKERS",
    "OUTCOME",
    "PHASE",
    "TASKS",
    "Colour",
    "darkened",
    "rank_colours",
]


@dataclass(frozen=True)
class Colour:
    """One colour as hexadecimal text, on light and on dark pages."""

    light: str
    dark: str


INK = Colour("#1b2530", "#e6eaef")
GREY = Colour("#6a7683", "#95a1ae")
GRID = Colour("#e3e7ec", "#2d3641")

_BLUE = Colour("#0072b2", "#4fa8e0")
_VERMILLION = Colour("#d55e00", "#ff8f4d")
_GREEN = Colour("#00876a", "#2fc49b")
_PURPLE = Colour("#a8447f", "#e488bd")
_SKY = Colour("#4a9fd0", "#9ed3f4")
_OCHRE = Colour("#a87a00", "#e3b93f")
_INDIGO = Colour("#4b4aa8", "#a5a0f5")
_BROWN = Colour("#7d4f2a", "#c99d77")

#: One per task, again from the start when there are more tasks.
TASKS = (_BLUE, _VERMILLION, _GREEN, _PURPLE, _OCHRE, _INDIGO, _SKY, _BROWN)

#: Marker of each task, as (plotly symbol, matplotlib marker).
MARKERS = (
    ("circle", "o"),
    ("square", "s"),
    ("diamond", "D"),
    ("triangle-up", "^"),
    ("triangle-down", "v"),
    ("cross", "P"),
    ("x", "X"),
    ("pentagon", "p"),
)

PHASE: Mapping[str, Colour] = {
    "download": _SKY,
    "compute": _INDIGO,
    "upload": _VERMILLION,
    "idle": GREY,
    "rsu": _GREEN,
}

OUTCOME: Mapping[str, Colour] = {
    "delivered": _GREEN,
    "early": _SKY,
    "handed_off": _INDIGO,
    "abandoned": _OCHRE,
    "lost": _VERMILLION,
    "none": GREY,
}

#: Low ranks light, high ranks dark (ColorBrewer's YlGnBu); on dark pages the dark end is lifted.
_SEQUENCE = (
    Colour("#c7e3a6", "#c8e4a7"),
    Colour("#93d0ae", "#94d1af"),
    Colour("#5dbdb6", "#5ebeb7"),
    Colour("#38a3bd", "#39a4be"),
    Colour("#2382b4", "#3b8fc4"),
    Colour("#2b5ea1", "#4c78c0"),
    Colour("#2c3f8c", "#5a67b8"),
    Colour("#1c2566", "#6d62ab"),
)


def rank_colours(n: int) -> list[Colour]:
    """Return ``n`` colours from light to dark, at most eight different ones."""
    if n <= 1:
        return [_SEQUENCE[4]] * n
    last = len(_SEQUENCE) - 1
    return [_SEQUENCE[round(i * last / (n - 1))] for i in range(n)]


def darkened() -> dict[str, str]:
    """Return the dark colour of every light one."""
    colours: list[Any] = [INK, GREY, GRID, *TASKS, *PHASE.values(), *OUTCOME.values(), *_SEQUENCE]
    return {colour.light: colour.dark for colour in colours if re.fullmatch(r"#[0-9a-f]{6}", colour.light)}
