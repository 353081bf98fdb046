"""``fleetlora bench``: measure what the project claims about itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetlora.cli_options import Json, Values, print_json
from fleetlora.errors import InputError

__all__ = ["bench"]


def bench(
    name: Annotated[
        str | None, typer.Argument(help="What to measure; with --list, what to tell of.", metavar="NAME")
    ] = None,
    values: Values = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
    as_json: Json = False,
    only_list: Annotated[
        bool, typer.Option("--list", help="Print what can be measured, and the keys that --set takes.")
    ] = False,
) -> None:
    """Measure one of: aggregate, contacts, crash, faults, poison, policy, scale, train."""
    if only_list:
        _print_settings(name, as_json)
    elif name is None:
        raise InputError("nothing is given to measure", where="NAME", mend="see `fleetlora bench --list`")
    else:
        _measure(name, values or [], out, as_json)


def _print_settings(name: str | None, as_json: bool) -> None:
    """Print the settings of one bench, or of all, as they are if nothing is set."""
    from fleetlora.bench import BENCHES
    from fleetlora.commented import commented_toml

    kinds: dict[str, Any] = {one: BENCHES.get(one, where="NAME") for one in ([name] if name else BENCHES)}
    if as_json:
        print_json({one: kind().model_dump(mode="json") for one, kind in kinds.items()})
        return
    parts = [
        f"# {one}: {kind.__doc__.splitlines()[0]}\n{commented_toml(kind())}" for one, kind in kinds.items()
    ]
    print("\n".join(parts), end="")


def _measure(name: str, values: list[str], out: Path | None, as_json: bool) -> None:
    from pydantic import ValidationError

    from fleetlora.bench import BENCHES
    from fleetlora.config import with_override
    from fleetlora.console import progress_on
    from fleetlora.doctor import versions
    from fleetlora.files import write_text
    from fleetlora.sections import explain

    kind: Any = BENCHES.get(name, where="NAME")
    own: dict[str, Any] = {}
    for text in values:
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
