"""The frame of every page: one HTML file that holds all it needs, with its figures and its words."""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib import resources

from fleetlora.report.figure import Figure
from fleetlora.report.markup import element, json_script
from fleetlora.report.palette import darkened
from fleetlora.report.to_plotly import draw_plotly, figure_height, plotly_script

__all__ = ["figures_section", "static", "whole_page", "words_section"]

#: The page may run what it brings along and may ask nobody for anything.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def whole_page(
    title: str, body: Sequence[str], figures: Sequence[Figure], scripts: Sequence[str] = ()
) -> str:
    """Return the text of one HTML file.

    Args:
        title: Its title.
        body: Its parts as HTML, empty ones left out.
        figures: What :func:`figures_section` made places for.
        scripts: Further script elements, after those that draw the figures.

    Raises:
        MissingDependencyError: plotly is not installed.
    """
    drawn = {figure.name: draw_plotly(figure) for figure in figures if not figure.is_empty}
    scripts = [
        json_script("figure-data", {"figures": drawn, "dark": darkened()}),
        f"<script>{plotly_script()}</script>",
        f"<script>{static('figures.js')}</script>",
        *scripts,
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<link rel="icon" href="data:,">\n'
        f"{element('title', title)}\n<style>\n{static('page.css')}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n"
        + "\n".join(part for part in scripts if part)
        + "\n</body>\n</html>\n"
    )


def static(name: str) -> str:
    """Return the text of a file that pages are made of."""
    return resources.files("fleetlora.report").joinpath("static", name).read_text(encoding="utf-8")


def words_section(words: Sequence[tuple[str, str]]) -> str:
    """Return the section that explains words, given as (word, what it means)."""
    told = "".join(f"<dt>{html.escape(word)}</dt><dd>{html.escape(said)}</dd>" for word, said in words)
    return f'<section class="panel wide" id="words"><h2>Words on this page</h2><dl>{told}</dl></section>'


def figures_section(figures: Sequence[Figure]) -> str:
    """Return the places of all figures, group by group."""
    groups = dict.fromkeys(figure.group for figure in figures)
    return "".join(
        f'{element("h2", group)}<div class="grid">'
        + "".join(_figure_html(figure) for figure in figures if figure.group == group)
        + "</div>"
        for group in groups
    )


def _figure_html(figure: Figure) -> str:
    name, title = html.escape(figure.name), html.escape(figure.title)
    height = f' style="height:{figure_height(figure)}px"'
    place = f'<div class="figure" id="figure-{name}" role="img" aria-label="{title}"{height}></div>'
    if figure.wide:
        place = f'<div class="scroll">{place}</div>'
    if figure.is_empty:
        place = element("div", figure.empty, "empty")
    return (
        f'<section class="panel{" across" if figure.wide else ""}" id="{name}">{element("h3", figure.title)}'
        f"{place}{element('p', figure.caption)}</section>"
    )
