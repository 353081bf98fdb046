"""``fleetlora compare``: play several methods on equal terms, or tune them first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetlora.cli_options import Address, Executor, Json, Overwrite, Source, Values, print_json
from fleetlora.errors import ConfigError

if TYPE_CHECKING:
    from fleetlora.comparison import Comparison, Tuned

__all__ = ["compare"]

#: Measures that are printed; the report shows all.
_SHOWN = ("accuracy", "latency_s", "time_to_target_s", "energy_j", "delivered_share")


def compare(
    source: Source,
    methods: Annotated[
        str, typer.Option(help="Methods, separated by commas; the others are compared with the first.")
    ],
    seeds: Annotated[
        str, typer.Option(help="Which seeds, a list with commas such as 0,1,2; every method plays them all.")
    ] = "0",
    out: Annotated[
        Path | None, typer.Option(help="Directory of the comparison; runs/compare-NAME if not given.")
    ] = None,
    values: Values = None,
    jobs: Annotated[
        int | None, typer.Option(help="Runs played at a time, one thread each; one per core if not given.")
    ] = None,
    executor: Executor = "local",
    address: Address = None,
    target: Annotated[
        float | None, typer.Option(help="Mean accuracy, as a share of one, whose first reach is timed.")
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Try every method's settings instead, and leave tuned.json.")
    ] = False,
    tuned: Annotated[
        Path | None, typer.Option(help="tuned.json of a tuning on other tracks or seeds, to be applied.")
    ] = None,
    overwrite: Overwrite = False,
    report: Annotated[bool, typer.Option(help="Also write report.html and figures.")] = True,
    as_json: Json = False,
) -> None:
    """Compare methods on the same data, world, seeds and joules; a complete run is not played again."""
    from fleetlora.comparison import compare as compare_methods
    from fleetlora.comparison import tune as tune_methods
    from fleetlora.comparison.executor import EXECUTORS
    from fleetlora.config import load_experiment
    from fleetlora.console import progress_on

    if tune and (tuned or target is not None):
        clash = "--tuned" if tuned else "--target"
        raise ConfigError(f"does not go with {clash}", where="--tune", mend="leave one of them out")
    if jobs is not None and jobs < 1:
        raise ConfigError(f"{jobs} runs at a time are none", where="--jobs", mend="give 1 or more")
    where = EXECUTORS.get(executor, where="--executor")(jobs, address)
    name = load_experiment(source, overrides=values or ()).name
    folder = out or Path("runs") / f"{'tune' if tune else 'compare'}-{name}"
    with progress_on(quiet=as_json) as progress:
        common: dict[str, Any] = {
            "overrides": values or (),
            "executor": where,
            "overwrite": overwrite,
            "progress": progress,
        }
        who, whose = _names(methods), _whole_numbers(seeds, "--seeds")
        if tune:
            chosen = tune_methods(source, who, whose, folder, **common)
        else:
            done = compare_methods(
                source, who, whose, folder, target=target, tuned=tuned, report=report, **common
            )
    if as_json:
        print_json(chosen.document if tune else done.document)
    elif tune:
        _print_tuned(chosen)
    else:
        _print_comparison(done)
        print(folder / "report.html" if report else folder)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _whole_numbers(text: str, where: str) -> list[int]:
    try:
        return [int(name) for name in _names(text)]
    except ValueError:
        raise ConfigError(f"not whole numbers: {text!r}", where=where, mend="write them like 0,1,2") from None


def _print_comparison(done: Comparison) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from fleetlora.report.compared import columns_of, sentences

    columns = [column for column in columns_of(done.document) if column.key in _SHOWN]
    table = Table()
    table.add_column("method", no_wrap=True)
    for column in columns:
        table.add_column(escape(column.title), justify="right")
    for method in done.methods:
        cells = [column.cell(done.document["results"][method][column.key])[0] for column in columns]
        best = [method in column.best(done.document) for column in columns]
        shown = [
            f"[bold]{cell}[/bold]" if is_best else cell for cell, is_best in zip(cells, best, strict=True)
        ]
        table.add_row(escape(method), *shown)
    Console().print(table)
    for sentence in sentences(done.document):
        print(sentence)


def _print_tuned(tuned: Tuned) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for heading in ("method", "setting", "accuracy (%)", "latency (s)", "chosen"):
        table.add_column(heading, no_wrap=heading != "chosen", justify="right" if "(" in heading else "left")
    for method, one in tuned.document["methods"].items():
        for score in one["scores"]:
            table.add_row(*(escape(cell) for cell in _tried(method, score, one["overrides"])))
    Console().print(table)
    print(tuned.path)


def _tried(method: str, score: Mapping[str, Any], chosen: list[str]) -> tuple[str, ...]:
    accuracy, latency_s = score["accuracy"], score["latency_s"]
    return (
        method,
        " ".join(score["overrides"]) or "as it is",
        "–" if accuracy is None else f"{100 * accuracy:.1f}",
        "–" if latency_s is None else f"{latency_s:.2f}",
        "yes" if score["overrides"] == chosen else "",
    )
