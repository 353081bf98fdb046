"""``fleetlora regret``: play policies on problems with a known optimum."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetlora.cli_options import Json, Overwrite, print_json
from fleetlora.errors import ConfigError

__all__ = ["regret"]


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        mend = "say how many, such as 5; they are 0, 1, 2 …"
        raise ConfigError(f"not a whole number: {text!r}", where="--seeds", mend=mend) from None


def regret(
    horizon: Annotated[int, typer.Option(help="Rounds of a play; the full study has 100000.")] = 3000,
    seeds: Annotated[
        int,
        typer.Option(
            help="How many seeds, a number and no list; the full study has 20.",
            parser=_count,
            metavar="INTEGER",
        ),
    ] = 5,
    policies: Annotated[
        str | None,
        typer.Option(help="Policies, separated by commas; those that belong to an instance if not given."),
    ] = None,
    instances: Annotated[
        str | None, typer.Option(help="Instances, separated by commas; all if not given.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory to write to.")] = Path("runs/regret"),
    jobs: Annotated[
        int | None, typer.Option(help="Plays at a time, one thread each; one per core if not given.")
    ] = None,
    overwrite: Overwrite = False,
    figures: Annotated[bool, typer.Option(help="Also draw the figures.")] = True,
    as_json: Json = False,
) -> None:
    """Play policies on problems whose optimum is known; tell how fast regret and violation grow."""
    from fleetlora.comparison.play import default_processes
    from fleetlora.console import progress_on
    from fleetlora.regret.lab import run_lab
    from fleetlora.regret.record import check_folder, write_lab
    from fleetlora.regret.table import lines

    check_folder(out, overwrite)
    with progress_on(quiet=as_json) as progress:
        study = run_lab(
            horizon,
            seeds,
            policies=_names(policies),
            instances=_names(instances),
            jobs=default_processes() if jobs is None else jobs,
            progress=progress,
        )
    document = write_lab(study, out, figures)
    if as_json:
        print_json(document)
    else:
        print("\n".join(lines(document)))
        print(out)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
