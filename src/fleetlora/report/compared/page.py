"""The page of a comparison: what was compared, what came out, and everything that stands behind it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from fleetlora.report.cards import Card, cards_html
from fleetlora.report.compared.columns import Column, columns_of
from fleetlora.report.compared.words import OWN, came_out, difference_said, what_was_compared
from fleetlora.report.figure import Figure
from fleetlora.report.frame import figures_section, whole_page, words_section
from fleetlora.report.markup import element, table
from fleetlora.report.words import NOTHING, count, joules, percent, span, stand_in

__all__ = ["comparison_page"]

_WORDS = (
    ("method", f"{OWN[0].upper()}{OWN[1:]}. Everything else is the same for all methods."),
    ("reference", "The method that was named first; the others are compared with it."),
    ("seed", "The number every random choice of a run is drawn from. Methods are compared seed by seed."),
    ("95 % interval", "Where the mean over many more seeds would probably lie. By bootstrap: the middle 95 %"
     " of the means of 10,000 draws of as many seeds, with replacement; methods share the draws of a"
     " difference. With few seeds it is too narrow: of three seeds it holds the mean three times in four. By"
     " Student's t: right for few seeds too, if they scatter normally. A difference is shown if both leave"
     " out zero."),
    ("roadside unit, RSU", "A radio station with a small computer beside the road, for vehicles near it."),
    ("round", "Vehicles near an RSU receive the shared model, train it on their data and send back what"
     " changed; then the RSU merges the changes. Its latency is as long as its slowest vehicle."),
    ("rank", "The size of the trainable addition to the model (LoRA) that a vehicle trains and sends."
     " homolora-R is one rank R for all vehicles."),
    ("virtual time", "Time inside the simulation. It does not depend on the computer the simulation ran on."),
    ("wasted", "Energy of updates that never reached the model."),
    ("overdraw", "Energy above the budgets; 0, or something is broken."),
    ("handoffs", "How often a vehicle went from one RSU to the next, whether with an update or not."),
)  # fmt: skip

Document = Mapping[str, Any]


def comparison_page(document: Document, figures: Sequence[Figure]) -> str:
    """Return the report of a comparison as the text of one HTML file.

    Args:
        document: Contents of ``comparison.json``.
        figures: Its figures, in order.

    Raises:
        MissingDependencyError: plotly is not installed.
    """
    body = [
        _header(document),
        cards_html(_cards(document)),
        _came_out(document),
        _table_section(document),
        figures_section(figures),
        _methods_section(document),
        words_section(_WORDS),
        _settings_section(document),
        _provenance_section(document),
        "<footer>The numbers lie beside this page as comparison.json, comparison.csv (one row a run) and"
        " comparison.tex, and every figure as SVG and PNG in the folder figures.</footer>",
    ]
    return whole_page(f"{document['name']} · comparison of methods", body, figures)


def _header(document: Document) -> str:
    seeds = ", ".join(map(str, document["seeds"]))
    chips = [
        f"{count(len(document['methods']))} methods",
        f"seeds {seeds}",
        f"reference {document['reference']}",
    ]
    shown = "".join(element("span", chip, "chip") for chip in chips)
    if document.get("learner"):
        shown += element("span", stand_in(document["learner"]), "chip warning")
    return (
        f'<header><div class="overline">fleetlora · comparison of methods</div>'
        f'{element("h1", document["name"])}<div class="chips">{shown}</div>'
        f"{element('p', what_was_compared(document), 'lead')}</header>"
    )


def _cards(document: Document) -> list[Card]:
    reference, rivals = document["reference"], document["best_rival"]
    ours = document["results"][reference]
    shown = (
        ("accuracy", f"accuracy of {reference}", percent(ours["accuracy"]["value"])),
        ("latency_s", f"round latency of {reference}", span(ours["latency_s"]["value"])),
        ("energy_j", f"vehicles' energy of {reference}", joules(ours["energy_j"]["value"])),
    )
    cards = []
    for key, name, value in shown:
        note = "no rival"
        if key in rivals:
            rival, difference = rivals[key]["rival"], rivals[key]["difference"]
            note = f"{difference_said(key, difference, rival)}, the best rival"
        cards.append(Card(name, value, note, colour=0))
    delivered = ours["delivered_share"]["value"]
    cards.append(Card("its updates that reached the model", percent(delivered), filled=delivered))
    return cards


def _came_out(document: Document) -> str:
    items = "".join(element("li", sentence) for sentence in came_out(document))
    return (
        f'<section class="panel wide" id="came-out"><h2>What came out</h2>'
        f'<ul class="came-out">{items}</ul></section>'
    )


def _table_section(document: Document) -> str:
    columns, n = columns_of(document), len(document["seeds"])
    head = "".join(f'<th scope="col" class="wraps">{html.escape(column.title)}</th>' for column in columns)
    rows = "".join(_row(document, columns, method) for method in document["methods"])
    target = document["target"]
    note = (
        f"Means over {count(n)} seeds, below them the 95 % bootstrap interval (point at it for Student's);"
        " bold: the best of a column. "
        if n > 1
        else "One seed, so there are no intervals; bold: the best of a column. "
    ) + (
        f"The target accuracy of {percent(target['accuracy'])} is {_why(target['why'])}. A dash: a run did"
        " not reach it, or there is nothing to measure."
    )
    if document["best_homolora"]:
        note += f" ★: {document['best_homolora']} is the best single rank, which only hindsight can tell."
    return (
        '<section class="panel wide" id="results"><h2>The methods in numbers</h2><div class="scroll">'
        f'<table class="numbers"><thead><tr><th scope="col">method</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{element('p', note)}</section>"
    )


def _why(why: str) -> str:
    return "the one that was asked for" if why == "given" else why


def _row(document: Document, columns: Sequence[Column], method: str) -> str:
    cells = []
    for column in columns:
        found = document["results"][method][column.key]
        mean, ends = column.cell(found)
        mean = element("b" if method in column.best(document) else "span", mean)
        student = f"Student's t: {column.student(found) or NOTHING}"
        cells.append(f"<td>{mean}{element('small', ends, title=student) if ends else ''}</td>")
    name = f"{method} ★" if method == document["best_homolora"] else method
    ours = ' class="ours"' if method == document["reference"] else ""
    return f'<tr{ours}><th scope="row">{html.escape(name)}</th>{"".join(cells)}</tr>'


def _methods_section(document: Document) -> str:
    parts = []
    for method in document["methods"]:
        terms = document["method_terms"][method]
        rows = [(key, _text(value)) for key, value in terms.items()]
        made_of = " · ".join(
            f"{what} {terms[key]}"
            for key, what in (
                ("policy.name", "ranks by"),
                ("aggregation.rule", "merging by"),
                ("departure.rule", "leaving by"),
            )
            if key in terms
        )
        summary = element("summary", f"{method}: {made_of}")
        parts.append(f"<details>{summary}{table((), rows, 'facts')}</details>")
    tuned = document["tuned"]
    said = "The methods' own values are their defaults, or were set by hand."
    if tuned:
        where = "some of the same tracks with other seeds" if tuned["same_tracks"] else "other tracks"
        said = (
            f"The methods' own values were chosen beforehand on {where} ({tuned['name']}, seeds"
            f" {', '.join(map(str, tuned['seeds']))}), with the same effort for each."
        )
    return (
        '<section class="panel wide" id="methods"><h2>What the methods are made of</h2>'
        f"{element('p', said)}{''.join(parts)}</section>"
    )


def _settings_section(document: Document) -> str:
    sections: dict[str, list[tuple[str, str]]] = {}
    for key, value in document["terms"].items():
        section, _, rest = key.partition(".")
        sections.setdefault(section, []).append((rest or section, _text(value)))
    parts = "".join(
        f"<details>{element('summary', name)}{table((), rows, 'facts')}</details>"
        for name, rows in sections.items()
    )
    return (
        f'<section class="panel wide" id="settings"><h2>Settings that all methods share</h2>{parts}</section>'
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)


def _provenance_section(document: Document) -> str:
    parts = document.get("parts") or [{"methods": (), "host": document["host"]}]
    computers = "".join(_computer(part["methods"], part["host"]) for part in parts)
    runs = [(run["method"], str(run["seed"]), run["path"], run["digest"]) for run in document["runs"]]
    return (
        '<section class="panel wide" id="provenance"><h2>Where these numbers come from</h2>'
        f"{computers}<details>{element('summary', f'{count(len(runs))} runs')}"
        f"{table(('method', 'seed', 'directory', 'digest of all results'), runs, 'facts')}</details>"
        "<p>A run with the same settings and seed gives the same digest.</p></section>"
    )


def _computer(methods: Sequence[str], host: Mapping[str, Any]) -> str:
    """Return a computer and its versions; with the methods it played, where there were several."""
    facts = [(key, str(value)) for key, value in host.items() if key != "versions"]
    facts += [(f"version of {name}", str(version)) for name, version in host["versions"].items()]
    name = f"the computer of {', '.join(methods)}" if methods else "the computer"
    return f"<details>{element('summary', name)}{table((), facts, 'facts')}</details>"
