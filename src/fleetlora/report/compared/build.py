"""From a comparison's directory to its tables, page and figures."""

from __future__ import annotations

from pathlib import Path

from fleetlora.comparison.files import open_comparison
from fleetlora.files import write_text
from fleetlora.records import REPORT
from fleetlora.report.compared.figures import comparison_figures
from fleetlora.report.compared.page import comparison_page
from fleetlora.report.compared.tables import write_tables

__all__ = ["build_comparison_report"]


def build_comparison_report(directory: str | Path) -> Path:
    """Write ``report.html``, ``figures/*.svg,*.png``, ``comparison.csv`` and ``comparison.tex`` anew.

    Everything is made of ``comparison.json`` alone; the runs may lie elsewhere or be gone.

    Args:
        directory: The comparison's directory.

    Returns:
        Path of ``report.html``.

    Raises:
        InputError: It is no comparison's directory, or the document is damaged.
        MissingDependencyError: plotly or matplotlib is not installed.
    """
    from fleetlora.report.to_matplotlib import draw_matplotlib

    comparison = open_comparison(directory)
    write_tables(comparison)
    figures = comparison_figures(comparison.document)
    text = comparison_page(comparison.document, figures)
    for figure in figures:
        draw_matplotlib(figure, comparison.path / "figures" / figure.name)
    path = comparison.path / REPORT
    write_text(path, text)
    return path
