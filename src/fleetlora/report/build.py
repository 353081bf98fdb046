"""From a directory of a run or a comparison to its report and figures."""

from __future__ import annotations

from pathlib import Path

from fleetlora.files import refusing, write_text
from fleetlora.records import REPORT, open_run

__all__ = ["build_report"]


def build_report(directory: str | Path) -> Path:
    """Write ``report.html`` and ``figures/*.svg,*.png`` of a run, finished or interrupted, or a comparison.

    The page is one file that needs nothing else: no network, no fonts, no other file.

    Args:
        directory: The directory of a run or of a comparison.

    Returns:
        Path of ``report.html``.

    Raises:
        InputError: It holds neither, a file in it is damaged, or it cannot be written.
        MissingDependencyError: plotly or matplotlib is not installed.
    """
    from fleetlora.comparison.files import is_comparison
    from fleetlora.report.compared import build_comparison_report
    from fleetlora.report.figures import all_figures
    from fleetlora.report.map_still import draw_map
    from fleetlora.report.page import page
    from fleetlora.report.to_matplotlib import draw_matplotlib

    if is_comparison(directory):
        return build_comparison_report(directory)
    run = open_run(directory)
    figures, world = all_figures(run), run.map()
    text = page(run, figures, world)
    path = run.path / REPORT
    with refusing(path, "make room, or copy the run to where you may write"):
        for figure in figures:
            draw_matplotlib(figure, run.path / "figures" / figure.name)
        if world is not None:
            draw_map(world, run.path / "figures" / "map")
        write_text(path, text)
    return path
