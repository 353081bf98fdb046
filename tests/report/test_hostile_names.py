"""Names that come with data stay names: no markup, no formula, no command, whatever they are made of."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlora.comparison.files import Comparison
from fleetlora.records import open_run
from fleetlora.report import build_report
from fleetlora.report.compared.page import comparison_page
from fleetlora.report.compared.tables import as_csv, as_latex
from fleetlora.report.markup import element, json_script, table
from fleetlora.report.page import page
from tests.comparison.synthetic import document
from tests.report.synthetic import City, make_run

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!--<script>",
    "' onmouseover='alert(1)",
    "&lt;b&gt;&#60;i",
    "javascript:alert(1)",
    "$\\frac{1}$ $",
    "\\input{/etc/passwd}% & # _ ^ ~ {",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\u2028\u202e\ufeffx",
)

names = st.sampled_from(HOSTILE) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=30
)


class _Page(HTMLParser):
    """What a browser would see of a page: elements with their attributes, texts, and scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)


def _skeleton(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the elements of a page and the names of their attributes."""
    return [(tag, tuple(sorted(attributes))) for tag, attributes in _Page(text).tags]


def _named(name: str) -> dict[str, Any]:
    """Return a comparison whose every name holds ``name``."""
    text = json.dumps(document(("ucb-dual", "homolora-2"), (0, 1)))
    for old in ("homolora-2", "grid-city", "clinc150"):
        text = text.replace(old, json.dumps(name)[1:-1] + old[-1])
    found: dict[str, Any] = json.loads(text)
    return found


@settings(max_examples=60)
@given(names)
def test_a_name_is_the_text_of_its_element_and_nothing_else(name: str) -> None:
    said = re.sub(r"\r\n?", "\n", name)  # as every parser of HTML reads line ends
    for html in (element("p", name), table(("a",), [(name, name)])):
        seen = _Page(html)
        assert {tag for tag, _ in seen.tags} <= {"p", "div", "table", "thead", "tbody", "tr", "th", "td"}
        assert said in [re.sub(r"\r\n?", "\n", text) for text in seen.texts]
    seen = _Page(json_script("x", {name: name}))
    assert [tag for tag, _ in seen.tags] == ["script"]
    assert json.loads(seen.scripts[0]) == {name: name}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_comparisons_page_has_the_same_elements_whatever_the_names(name: str) -> None:
    assert _skeleton(comparison_page(_named(name), [])) == _skeleton(comparison_page(_named("plain"), []))


def test_a_runs_page_has_the_same_elements_whatever_the_names(tmp_path: Path) -> None:
    def made(number: int, name: str) -> list[tuple[str, tuple[str, ...]]]:
        city = City(
            (name, "b"), vehicles=8, rounds=2, frames=3, preset=name, unit_name=name, vehicle_name=name
        )
        run = open_run(make_run(tmp_path / str(number), city))
        return _skeleton(page(run, [], run.map()))

    plain = made(0, "plain")
    for number, name in enumerate(HOSTILE[:7], start=1):
        assert made(number, name) == plain, name


@settings(max_examples=60)
@given(names)
def test_no_cell_of_the_csv_is_a_formula(name: str) -> None:
    rows = list(csv.reader(io.StringIO(as_csv(Comparison(Path(), _named(name))), newline="")))
    assert len({len(row) for row in rows}) == 1
    assert len(rows) == 1 + 4
    for cell in (cell for row in rows for cell in row):
        try:
            float(cell)
        except ValueError:
            assert not cell.lstrip(" \n").startswith(("=", "+", "-", "@", "＝", "\t", "\r"))


@settings(max_examples=60)
@given(names)
def test_no_name_is_a_command_of_latex(name: str) -> None:
    """Every special character of a name is escaped, so that both tables have the same commands."""
    hostile, plain = as_latex(_named(name)), as_latex(_named("plain"))
    assert hostile.count("\n") == plain.count("\n")

    def commands(text: str) -> list[str]:
        harmless = r"\\text(?:backslash|asciicircum|asciitilde|less|greater)\{\}|\\[{}$&#%_]"
        return re.findall(r"\\[a-zA-Z]+|[{}$&#%^~]|\\\\", re.sub(harmless, "", text))

    assert commands(hostile) == commands(plain)


def test_pictures_are_drawn_of_names_that_look_like_formulas(tmp_path: Path) -> None:
    city = City(("$\\frac{1}$ $", "b_{"), vehicles=20, rounds=3, frames=4, unit_name="$x_{", vehicle_name="$")
    run = make_run(tmp_path / "run", city)
    build_report(run)
    assert "frac{1}" in (run / "report.html").read_text("utf-8")
    assert list((run / "figures").glob("*.svg"))
