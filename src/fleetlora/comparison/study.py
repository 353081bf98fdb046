"""A whole comparison: play the runs that are missing, measure all of them, and write down what came out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fleetlora.comparison.document import build_document
from fleetlora.comparison.executor import Executor, LocalProcesses
from fleetlora.comparison.files import Comparison, check_directory, write_comparison
from fleetlora.comparison.measures import Played, measured
from fleetlora.comparison.plan import Job, Source, pending, plan_jobs
from fleetlora.comparison.tune import Tuned, read_tuned
from fleetlora.console import Progress, Quiet
from fleetlora.errors import ConfigError
from fleetlora.records import open_run

__all__ = ["compare", "compare_runs"]


def compare(
    source: Source,
    methods: Sequence[str],
    seeds: Sequence[int],
    out: str | Path,
    *,
    overrides: Iterable[str] = (),
    jobs: int = 1,
    executor: Executor | None = None,
    target: float | None = None,
    tuned: str | Path | None = None,
    overwrite: bool = False,
    report: bool = True,
    progress: Progress | None = None,
) -> Comparison:
    """Play every method with every seed on equal terms, and return what came out, written to ``out``.

    Runs lie in ``out/runs/METHOD/seed-N``. Those of this version that are complete are kept, so that a
    comparison that was interrupted, or is asked for more seeds or methods, plays only what is missing.

    Args:
        source: Name of a preset, path of a TOML file, or the values themselves.
        methods: Names of methods, the one the others are compared with first; ``homolora`` stands for one
            method per arm of ``lora.ranks``.
        seeds: Seeds, the same for every method.
        out: Directory of the comparison.
        overrides: ``key=value`` each, laid over every run.
        jobs: How many runs are played at a time. With 1 they are played in this process; with more, each has
            a process of its own, which reads the calling script anew: there the call must stand below
            ``if __name__ == "__main__":``. Every run has one thread, so the digests do not depend on it.
        executor: Plays the runs in place of ``jobs`` processes, such as :class:`fleetlora.cluster.RayRuns`.
        target: Mean accuracy whose first reach is timed; chosen from the runs if not given.
        tuned: What :func:`tune` wrote; the values it chose are laid over the methods.
        overwrite: Replace runs in ``out`` that are of another configuration or version, or damaged.
        report: Also write ``report.html`` and the figures.
        progress: Is told how it goes.

    Raises:
        InputError: Something of the user's is wrong.
        KeyboardInterrupt: It was interrupted; the runs that were done stay.
    """
    out, progress = Path(out), progress or Quiet()
    if jobs < 1:
        raise ConfigError(f"{jobs} runs at a time are none", where="--jobs", mend="give 1 or more")
    _check_target(target)
    check_directory(out)
    methods, overrides = list(methods), list(overrides)
    choice = None if tuned is None else read_tuned(tuned)
    planned = plan_jobs(source, methods, seeds, out, overrides, {} if choice is None else choice.chosen)
    if choice is not None:
        config = planned[0].experiment.model_dump(mode="json")
        choice.require_apart(list(dict.fromkeys(job.experiment.method for job in planned)), seeds, config)
    _play(planned, executor or LocalProcesses(jobs), overwrite, progress)
    return _conclude([job.directory for job in planned], out, target, choice, report, progress)


def compare_runs(
    directories: Iterable[str | Path],
    out: str | Path,
    *,
    target: float | None = None,
    report: bool = True,
    progress: Progress | None = None,
) -> Comparison:
    """Compare finished runs, and return what came out, written to ``out``.

    Args:
        directories: Run directories; the method of the first is the one the others are compared with.
        out: Directory of the comparison.
        target: Mean accuracy whose first reach is timed; chosen from the runs if not given.
        report: Also write ``report.html`` and the figures.
        progress: Is told how it goes.

    Raises:
        InputError: A run is incomplete, or methods have not the same seeds.
        ConfigError: The runs are not on equal terms, or those of a method not of one; names the key and both
            values.
    """
    _check_target(target)
    check_directory(Path(out))
    return _conclude([Path(d) for d in directories], Path(out), target, None, report, progress or Quiet())


def _check_target(target: float | None) -> None:
    if target is not None and not 0 < target <= 1:
        raise ConfigError(
            f"{target:g} is no accuracy", where="--target", mend="give a share of one, such as 0.7"
        )


def _play(planned: Sequence[Job], executor: Executor, overwrite: bool, progress: Progress) -> None:
    missing = pending(planned, overwrite)
    if len(missing) < len(planned):
        progress.say(f"{len(planned) - len(missing)} of {len(planned)} runs are there already")
    if missing:
        executor.play(missing, progress)


def _conclude(
    directories: Sequence[Path],
    out: Path,
    target: float | None,
    tuned: Tuned | None,
    report: bool,
    progress: Progress,
) -> Comparison:
    from fleetlora.report.compared import build_comparison_report, write_tables

    played = [measured(open_run(directory)) for directory in directories]
    said = None if tuned is None else _tuning(tuned, played)
    done = write_comparison(out, build_document(played, out, target=target, tuned=said))
    write_tables(done)
    if report:
        progress.say("drawing the report")
        build_comparison_report(out)
    return done


def _tuning(tuned: Tuned, played: Sequence[Played]) -> dict[str, Any]:
    """Return what a comparison says about where its methods' values were chosen."""
    methods = dict.fromkeys(one.method for one in played)
    return {
        "file": str(tuned.path),
        "name": tuned.document["name"],
        "seeds": tuned.seeds,
        "same_tracks": tuned.same_tracks(played[0].run.config),
        "overrides": {method: list(tuned.chosen.get(method, ())) for method in methods},
    }
