"""Putting text and data into HTML so that neither can break out of its place."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

__all__ = ["element", "json_script", "table"]

#: Characters that could end a script element or a line of JavaScript, as JSON spells them harmlessly.
_HARMLESS = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def element(tag: str, text: str, css: str = "", title: str = "") -> str:
    """Return an element around escaped ``text``; ``title`` is shown where it is pointed at."""
    given = {"class": css, "title": title}
    attributes = "".join(f' {name}="{html.escape(value)}"' for name, value in given.items() if value)
    return f"<{tag}{attributes}>{html.escape(text)}</{tag}>"


def json_script(name: str, data: Any) -> str:
    """Return ``data`` as JSON in a script element that no string inside can end."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character, harmless in _HARMLESS.items():
        text = text.replace(character, harmless)
    return f'<script type="application/json" id="{html.escape(name)}">{text}</script>'


def table(head: Iterable[str], rows: Iterable[Iterable[str]], css: str = "") -> str:
    """Return a table of escaped texts, its first column heading the rows."""
    top = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
    body = ""
    for first, *rest in rows:
        cells = "".join(element("td", cell) for cell in rest)
        body += f'<tr><th scope="row">{html.escape(first)}</th>{cells}</tr>'
    header = f"<thead><tr>{top}</tr></thead>" if top else ""
    return (
        f'<div class="scroll"><table class="{html.escape(css)}">{header}<tbody>{body}</tbody></table></div>'
    )
