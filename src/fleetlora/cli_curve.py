"""``fleetlora fit-curve``: learn from recorded runs what an update brings, for runs too large to train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetlora.cli_options import Json, print_json

__all__ = ["fit_curve"]


def fit_curve(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run directories, or folders that hold them, such as a comparison's.", metavar="DIR..."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File of the curve.")] = Path("curve.json"),
    leave_out: Annotated[
        str, typer.Option(help="Methods, separated by commas, whose runs are not used.", metavar="METHODS")
    ] = "",
    as_json: Json = False,
) -> None:
    """Fit a learning curve to finished runs, and say how far off it is on runs held out."""
    from fleetlora.console import progress_on
    from fleetlora.curves import fit_curves

    with progress_on(quiet=as_json) as progress:
        names = [name.strip() for name in leave_out.split(",")]
        curves = fit_curves(runs, out, names, progress)
    if as_json:
        print_json(curves.document)
        return
    for name, error in curves.error_points.items():
        n = len(curves.document["held_out"][name])
        print(f"{name}: off by {error:.1f} points on average, {n} runs held out")
    print(f"{out}: use it with --set learner.kind=curve --set learner.curve={out}")
