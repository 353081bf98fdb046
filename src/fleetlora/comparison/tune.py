"""Tuning: play every setting of every method's grid, choose by accuracy, and write down what was chosen."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetlora.comparison.executor import Executor, LocalProcesses
from fleetlora.comparison.measures import measured
from fleetlora.comparison.plan import Source, Variant, expand, pending, plan_variants
from fleetlora.comparison.shapes import check_tuned
from fleetlora.comparison.statistics import estimate
from fleetlora.comparison.tracks import share_tracks
from fleetlora.config import load_experiment
from fleetlora.console import Progress, Quiet
from fleetlora.doctor import versions
from fleetlora.documents import flat, read_json, refuse_newer
from fleetlora.errors import ConfigError
from fleetlora.files import write_text
from fleetlora.records import open_run
from fleetlora.tuning import GRID, Setting

__all__ = ["TUNED", "Tuned", "choose", "read_tuned", "tune"]

TUNED = "tuned.json"

#: Number of the layout of ``tuned.json``.
_SCHEMA = 1


@dataclass(frozen=True)
class Tuned:
    """What tuning chose.

    Attributes:
        path: The file.
        document: Its contents.
    """

    path: Path
    document: Mapping[str, Any]

    @property
    def chosen(self) -> dict[str, tuple[str, ...]]:
        """The chosen ``key=value`` of every method."""
        return {name: tuple(one["overrides"]) for name, one in self.document["methods"].items()}

    def require_apart(self, methods: Sequence[str], seeds: Sequence[int], config: Mapping[str, Any]) -> None:
        """Check that a comparison may use what was chosen: not seen before, and every method tuned.

        Seen is what this tuning saw, and what those saw that it goes on from.

        Args:
            methods: The methods that are compared.
            seeds: Their seeds.
            config: Configuration of one of their runs.

        Raises:
            ConfigError: A tuning saw some of the same tracks and a same seed, or left out a method.
        """
        for one in self.seen():
            both = sorted(set(seeds) & set(one["seeds"]))
            if both and _same_tracks(one, config):
                raise ConfigError(
                    f"was chosen on the same tracks with seed {both[0]}, which is to be reported",
                    where=str(self.path),
                    mend="tune on another part of the tracks (traces.start_s, traces.duration_s), or report"
                    " other seeds",
                )
        self.require_all(methods)

    def require_all(self, methods: Sequence[str]) -> None:
        """Check that every one of the methods was tuned.

        Raises:
            ConfigError: One was left out.
        """
        left_out = [m for m in methods if m not in self.chosen]
        if left_out:
            raise ConfigError(
                f"{left_out[0]} has not been tuned, others have",
                where=str(self.path),
                mend="tune all methods of a comparison with the same effort",
            )

    def same_tracks(self, config: Mapping[str, Any]) -> bool:
        """Tell whether the tuning, or one before it, saw some of the tracks that ``config`` names."""
        return any(_same_tracks(one, config) for one in self.seen())

    @property
    def seeds(self) -> list[int]:
        """The seeds of the tuning and of those before it."""
        return list(dict.fromkeys(seed for one in self.seen() for seed in one["seeds"]))

    def seen(self) -> list[dict[str, Any]]:
        """Return the seeds and traces of the tuning and of those before it, the latest first."""
        every = (self.document, *self.document.get("before", ()))
        return [{"seeds": one["seeds"], "traces": one["traces"]} for one in every]


def _same_tracks(tuning: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    return share_tracks(flat(config["traces"]), tuning["traces"])


def tune(
    source: Source,
    methods: Sequence[str],
    seeds: Sequence[int],
    out: str | Path,
    *,
    grid: Sequence[Setting] = GRID,
    tuned: str | Path | None = None,
    tolerance: float = 0.0,
    overrides: Iterable[str] = (),
    jobs: int = 1,
    executor: Executor | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Tuned:
    """Play every setting of a grid with every method, choose (:func:`choose`), and write ``out/tuned.json``.

    Runs that are complete are kept, as in a comparison.

    Args:
        source: Name of a preset, path of a TOML file, or the values themselves: what to tune on.
        methods: Names of methods.
        seeds: Seeds to tune with, not to report.
        out: Directory of the tuning; its runs lie in ``runs/METHOD/setting-K/seed-N``.
        grid: The settings, the same for every method.
        tuned: What an earlier tuning wrote; the values it chose are laid beneath every setting.
        tolerance: Accuracy that may be given up for a lower latency, as a share.
        overrides: ``key=value`` each, laid over every run.
        jobs: How many runs are played at a time.
        executor: Plays the runs in place of ``jobs`` processes.
        overwrite: Replace runs in ``out`` that are of another configuration or version, or damaged.
        progress: Is told how it goes.

    Raises:
        InputError: Something of the user's is wrong.
        KeyboardInterrupt: It was interrupted; the runs that were done stay.
    """
    out, overrides, progress = Path(out), list(overrides), progress or Quiet()
    if not methods:
        raise ConfigError("nothing is given", where="--methods", mend="name at least one method")
    experiment = load_experiment(source, method=methods[0], overrides=overrides)
    names = expand(methods, experiment.lora.ranks)
    before: Mapping[str, Setting] = dict.fromkeys(names, ())
    seen: dict[str, Any] = {}
    if tuned is not None:
        earlier = read_tuned(tuned)
        earlier.require_all(names)
        before, seen = earlier.chosen, {"before": earlier.seen()}
    variants = [
        Variant(method, (*before[method], *setting), out / "runs" / method / f"setting-{number}")
        for method in names
        for number, setting in enumerate(grid)
    ]
    missing = pending(plan_variants(source, variants, seeds, overrides), overwrite)
    if missing:
        (executor or LocalProcesses(jobs)).play(missing, progress)
    scores: dict[str, list[dict[str, Any]]] = {}
    for variant in variants:
        scores.setdefault(variant.method, []).append(_score(variant, seeds))
    document = {
        "schema": _SCHEMA,
        "name": experiment.name,
        "seeds": list(seeds),
        "traces": flat(experiment.traces.model_dump(mode="json")),
        **seen,
        "tolerance": tolerance,
        "methods": {
            method: {"overrides": choose(tried, tolerance)["overrides"], "scores": tried}
            for method, tried in scores.items()
        },
        "host": versions(),
    }
    write_text(out / TUNED, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return Tuned(out / TUNED, document)


def _score(variant: Variant, seeds: Sequence[int]) -> dict[str, Any]:
    runs = [measured(open_run(variant.folder / f"seed-{seed}")) for seed in seeds]
    return {
        "overrides": list(variant.overrides),
        **{
            key: estimate([one.values[key] for one in runs]).value
            for key in ("accuracy", "latency_s", "energy_j")
        },
        "digests": [one.run.result["digest"] for one in runs],
    }


def choose(tried: Sequence[Mapping[str, Any]], tolerance: float = 0.0) -> Mapping[str, Any]:
    """Return the most accurate setting, or one within ``tolerance`` of it whose rounds are shorter.

    Of equals the more accurate one, then the first.

    Args:
        tried: Scores, ``accuracy`` as a share and ``latency_s`` each; ``None`` is the worst of either.
        tolerance: Accuracy that may be given up for a lower latency, such as the standard error of a test.
    """

    def accuracy(score: Mapping[str, Any]) -> float:
        return -1.0 if score["accuracy"] is None else float(score["accuracy"])

    def latency_s(score: Mapping[str, Any]) -> float:
        return math.inf if score["latency_s"] is None else float(score["latency_s"])

    best = max(map(accuracy, tried))
    close = [score for score in tried if accuracy(score) >= best - tolerance]
    return min(close, key=lambda score: (latency_s(score), -accuracy(score)))


def read_tuned(path: str | Path) -> Tuned:
    """Read ``tuned.json``, or the one in the directory ``path``.

    Raises:
        InputError: It is not there, damaged, or of a newer layout.
    """
    path = Path(path)
    file = path / TUNED if path.is_dir() else path
    mend = "give the file that `fleetlora compare --tune` wrote"
    document = read_json(file, mend)
    schema = document.get("schema") if isinstance(document, dict) else None
    refuse_newer(schema, _SCHEMA, file)
    check_tuned(document, file, mend)
    return Tuned(file, document)
