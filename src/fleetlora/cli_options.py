"""Options that several commands take, and what they print alike."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

__all__ = ["Address", "Executor", "Json", "Method", "Overwrite", "Source", "Values", "percent", "print_json"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines, nothing else.")]
Values = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value laid over the configuration; may be given more than once."),
]
Method = Annotated[
    str | None,
    typer.Option(
        help="Method, such as ucb-dual or homolora-8 (docs/methods.md); replaces the configuration's."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is already there.")]
Executor = Annotated[
    str, typer.Option("--executor", help="Where it is computed: local, or ray for a cluster.", metavar="NAME")
]
Address = Annotated[
    str | None,
    typer.Option(help="host:port of the cluster's head; one of this machine's if not given.", metavar="ADDR"),
]
Source = Annotated[str, typer.Argument(help="A preset, or a TOML file.", metavar="PRESET|FILE")]


def print_json(value: Any) -> None:
    """Print a value for machines."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def percent(share: float | None) -> str:
    """Return a share of one as per cent."""
    return "–" if share is None else f"{100 * share:.1f} %"
