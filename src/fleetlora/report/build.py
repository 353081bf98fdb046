"""From a run directory to its report and figures."""

from __future__ import annotations

from pathlib import Path

from fleetlora.files import write_text
from fleetlora.records import REPORT, open_run

__all__ = ["build_report"]


def build_report(run_dir: str | Path) -> Path:
    """Write ``report.html`` and ``figures/*.svg,*.png`` of a finished or interrupted run.

    The page is one file that needs nothing else: no network, no fonts, no other file.

    Args:
        run_dir: The run directory.

    Returns:
        Path of ``report.html``.

    Raises:
        InputError: It is no run directory, or a file in it is damaged.
        MissingDependencyError: plotly or matplotlib is not installed.
    """
    from fleetlora.report.figures import all_figures
    from fleetlora.report.map_still import draw_map
    from fleetlora.report.page import page
    from fleetlora.report.to_matplotlib import draw_matplotlib

    run = open_run(run_dir)
    figures, world = all_figures(run), run.map()
    text = page(run, figures, world)
    for figure in figures:
        draw_matplotlib(figure, run.path / "figures" / figure.name)
    if world is not None:
        draw_map(world, run.path / "figures" / "map")
    path = run.path / REPORT
    write_text(path, text)
    return path
