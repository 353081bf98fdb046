"""A comparison as tables: CSV with a row for every run, and LaTeX with a row for every method."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fleetlora.files import write_text
from fleetlora.report.compared.columns import Column, columns_of
from fleetlora.report.words import stand_in

if TYPE_CHECKING:
    from fleetlora.comparison import Comparison

__all__ = ["as_csv", "as_latex", "write_tables"]

#: What a spreadsheet takes for the beginning of a formula, also after blanks, also of full width.
_FORMULA = tuple("=+-@＝＋－＠")

#: Characters that LaTeX takes for commands, and how they are written.
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "\n": " ",
}


def write_tables(comparison: Comparison) -> None:
    """Write ``comparison.csv`` and ``comparison.tex``."""
    write_text(comparison.path / "comparison.csv", as_csv(comparison))
    write_text(comparison.path / "comparison.tex", as_latex(comparison.document))


def as_csv(comparison: Comparison) -> str:
    """Return a row for every run; an absent value is empty, and no text can be taken for a formula."""
    import polars as pl

    frame, text = comparison.runs, io.StringIO()
    learner = comparison.document.get("learner")
    if learner:
        frame = frame.with_columns(learner=pl.lit(learner["kind"]))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_harmless(name) for name in frame.columns])
    writer.writerows([_harmless(value) for value in row] for row in frame.iter_rows())
    return text.getvalue()


def _harmless(value: Any) -> Any:
    """Return ``value``, a text that looks like a formula marked as text."""
    if not isinstance(value, str):
        return value
    looks = value.startswith(("\t", "\r", "\n")) or value.lstrip(" \t\r\n\ufeff").startswith(_FORMULA)
    value = value.replace("\r", "\n")  # which csv does not enclose, and every reader takes for the row's end
    return f"'{value}" if looks else value


def as_latex(document: Mapping[str, Any]) -> str:
    """Return the table for a paper, for the package booktabs: means with intervals, the best in bold."""
    columns, methods = columns_of(document), document["methods"]
    n, reference = len(document["seeds"]), _escaped(document["reference"])
    intervals = f" over {n} seeds, 95\\,\\% bootstrap intervals in brackets" if n > 1 else ", one seed"
    head = " & ".join(["method", *(_escaped(column.title) for column in columns)])
    rows = [_latex_row(document, columns, method) for method in methods]
    marked = f" {_escaped(stand_in(document['learner']))}." if document.get("learner") else ""
    if document["best_homolora"]:
        marked += (
            f" $\\dagger$: the best single rank ({_escaped(document['best_homolora'])}), known in hindsight."
        )
    return "\n".join(
        [
            "% \\usepackage{booktabs, graphicx}",
            "\\begin{table*}",
            "  \\centering",
            f"  \\caption{{{_escaped(document['name'])}: means{intervals}; the best in bold. Reference:"
            f" {reference}.{marked}}}",
            "  \\resizebox{\\linewidth}{!}{%",
            f"  \\begin{{tabular}}{{l{'r' * len(columns)}}}",
            "    \\toprule",
            f"    {head} \\\\",
            "    \\midrule",
            *rows,
            "    \\bottomrule",
            "  \\end{tabular}}",
            "\\end{table*}",
            "",
        ]
    )


def _latex_row(document: Mapping[str, Any], columns: list[Column], method: str) -> str:
    cells = [_escaped(method) + ("$^\\dagger$" if method == document["best_homolora"] else "")]
    for column in columns:
        mean, span = column.cell(document["results"][method][column.key])
        mean = f"\\textbf{{{_escaped(mean)}}}" if method in column.best(document) else _escaped(mean)
        cells.append(f"{mean} {{\\scriptsize {_escaped(span)}}}" if span else mean)
    return f"    {' & '.join(cells)} \\\\"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
