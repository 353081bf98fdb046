"""``fleetlora bench``: measure what the project claims about itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetlora.cli_options import Json, Values, print_json

__all__ = ["bench"]


def bench(
    name: Annotated[str, typer.Argument(help="What to measure.", metavar="NAME")],
    values: Values = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Measure one of: aggregate, contacts, crash, faults, poison, policy, scale, train."""
    from pydantic import ValidationError

    from fleetlora.bench import BENCHES
    from fleetlora.config import with_override
    from fleetlora.console import progress_on
    from fleetlora.doctor import versions
    from fleetlora.files import write_text
    from fleetlora.sections import explain

    kind: Any = BENCHES.get(name, where="NAME")
    own: dict[str, Any] = {}
    for text in values or ():
        own = with_override(own, text)
    try:
        chosen = kind.model_validate(own)
    except ValidationError as error:
        raise explain(error, kind, file="--set", values=own) from None
    with progress_on(quiet=as_json) as progress:
        measured = chosen.measure(progress)
    document = {"bench": name, **measured, "host": versions()}
    if out is not None:
        write_text(out, json.dumps(document, indent=1, allow_nan=False) + "\n")
    if as_json:
        print_json(document)
    else:
        print("\n".join(chosen.lines(document)))
