"""What a comparison is to play: one run for every method and seed, and which of them are there already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetlora.comparison.terms import (
    ABSENT,
    checksum_of,
    differences,
    more,
    orders,
    require_equal_terms,
    settles_nothing,
)
from fleetlora.config import Experiment, load_experiment
from fleetlora.doctor import versions
from fleetlora.documents import flat, read_json, read_toml
from fleetlora.errors import ConfigError, FleetLoraError, InputError
from fleetlora.methods import HOMOLORA, homolora_rank
from fleetlora.records import Run, check_run_directory, open_run

__all__ = ["Job", "Variant", "expand", "pending", "plan_jobs", "plan_variants"]

#: Name of a preset, path of a TOML file, or the values themselves.
Source = str | Path | Mapping[str, Any]

#: Laid beneath the user's values: a second study beside every run is what `head-only` as a method is for.
_BENEATH = ("evaluation.head_only=false",)

#: Where a result has the checksum of the curve that stood in for training.
_LEARNED = "learner.sha256"

#: Where it has the version that played it.
_VERSION = "host.versions.fleetlora"


@dataclass(frozen=True)
class Job:
    """One run: what is to be played, the directory it is left in, and values that tell it from others."""

    experiment: Experiment
    directory: Path
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Method, values and seed, for people."""
        return ", ".join([self.experiment.method, *self.overrides, f"seed {self.experiment.seed}"])


@dataclass(frozen=True)
class Variant:
    """A method with values of its own, and the folder that its runs lie in, one for every seed."""

    method: str
    overrides: tuple[str, ...]
    folder: Path


def plan_jobs(
    source: Source,
    methods: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    overrides: Iterable[str] = (),
    tuned: Mapping[str, Sequence[str]] | None = None,
) -> list[Job]:
    """Return the runs of a comparison, method by method.

    Args:
        source: What is played.
        methods: Names of methods; ``homolora`` stands for one method per arm of ``lora.ranks``.
        seeds: Seeds, the same for every method.
        out: Directory of the comparison.
        overrides: ``key=value`` each, laid over every run.
        tuned: ``key=value`` of each method's own, of other keys than ``overrides``.

    Raises:
        ConfigError: A method or value is unknown, named twice, laid over a method's own, or makes terms
            unequal.
        InputError: No such preset or file.
    """
    _require_distinct(methods, "--methods", "name at least one method")
    overrides, tuned = list(overrides), tuned or {}
    ranks = load_experiment(source, method=methods[0], overrides=overrides).lora.ranks
    variants = [
        Variant(method, tuple(tuned.get(method, ())), out / "runs" / method)
        for method in expand(methods, ranks)
    ]
    return plan_variants(source, variants, seeds, overrides)


def plan_variants(
    source: Source, variants: Sequence[Variant], seeds: Sequence[int], overrides: Sequence[str]
) -> list[Job]:
    """Return one run for every variant and seed, all on equal terms.

    Raises:
        ConfigError: A method or value is unknown, laid over a variant's own, or makes terms unequal.
        InputError: No such preset or file.
    """
    _require_distinct(seeds, "--seeds", "give at least one seed")
    if any(_key(text) in ("method", "seed") for text in overrides):
        raise ConfigError(
            "a comparison sets method and seed itself", where="--set", mend="use --methods and --seeds"
        )
    jobs = []
    for variant in variants:
        _require_apart(variant, overrides)
        own = [*_BENEATH, *variant.overrides, *overrides]
        for seed in seeds:
            experiment = load_experiment(source, method=variant.method, seed=seed, overrides=own)
            jobs.append(Job(experiment, variant.folder / f"seed-{seed}", variant.overrides))
    require_equal_terms([(job.name, job.experiment.model_dump(mode="json")) for job in jobs])
    return jobs


def _require_apart(variant: Variant, overrides: Sequence[str]) -> None:
    """Check that no override of all runs hides one of the variant's own."""
    for text in overrides:
        key = _key(text)
        hidden = next((own for own in variant.overrides if _overlap(key, _key(own))), None)
        if hidden is not None:
            raise ConfigError(
                f"is laid over {hidden} of {variant.method}, which was chosen or is to be tried",
                where=f"--set {key}",
                mend="leave it out, or leave that key out of the tuning",
            )


def _key(override: str) -> str:
    return override.partition("=")[0].strip()


def _overlap(one: str, other: str) -> bool:
    """Tell whether two dotted keys are the same, or one lies within the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def expand(methods: Sequence[str], ranks: Sequence[int]) -> list[str]:
    """Return the methods with ``homolora`` replaced by one method per rank.

    Raises:
        ConfigError: A ``homolora-R`` names a rank that is no arm.
    """
    each = [f"{HOMOLORA}-{rank}" for rank in ranks]
    expanded = [name for method in methods for name in (each if method == HOMOLORA else [method])]
    for name in expanded:
        rank = homolora_rank(name)
        if rank is not None and rank not in ranks:
            raise ConfigError(
                f"{name!r} trains a rank that is not one of the arms {list(ranks)}",
                where="--methods",
                mend=f"choose one of {', '.join(each)}, or add the rank to lora.ranks",
            )
    return list(dict.fromkeys(expanded))


def _require_distinct(values: Sequence[Any], where: str, mend: str) -> None:
    if not values:
        raise ConfigError("nothing is given", where=where, mend=mend)
    doubled = next((value for value in values if list(values).count(value) > 1), None)
    if doubled is not None:
        raise ConfigError(f"{doubled!r} is given twice", where=where, mend="give it once")


def pending(jobs: Sequence[Job], overwrite: bool = False) -> list[Job]:
    """Return the jobs that are still to be played.

    A complete run of the same configuration is kept, if this version played it.

    Args:
        jobs: All jobs.
        overwrite: Play those again whose directory holds another run, or a damaged one.

    Raises:
        InputError: A directory holds a run of another configuration or version, a damaged one, or files that
            are no run's; or a learning curve cannot be read.
    """
    curves = {path for job in jobs if (path := job.experiment.learner.curve) is not None}
    checksums = {path: _checksum(path) for path in curves}
    version = versions()["versions"].get("fleetlora", ABSENT)
    return [job for job in jobs if not _is_done(job, checksums, version, overwrite)]


def _checksum(curve: str) -> str:
    from fleetlora.assets import resolve
    from fleetlora.curves import read_curves

    return read_curves(resolve(curve)).checksum


def _is_done(job: Job, checksums: Mapping[str, str], version: str, overwrite: bool) -> bool:
    if not check_run_directory(job.directory, overwrite=True):
        return False
    found, wanted = _stored(job.directory), _settings(job.experiment.model_dump(mode="json"))
    run = _complete(job.directory, overwrite)
    if run is not None:
        found[_VERSION] = run.result.get("host", {}).get("versions", {}).get("fleetlora", ABSENT)
        wanted[_VERSION] = version
        if job.experiment.learner.curve is not None:  # one that is refitted keeps its path
            found[_LEARNED] = checksum_of(run.result)
            wanted[_LEARNED] = checksums[job.experiment.learner.curve]
    changed = [d for d in differences(found, wanted) if not settles_nothing(d.key)]
    if not changed:
        return run is not None
    if not overwrite:
        first = changed[0]
        raise ConfigError(
            f"the run there has {first.one!r}, this comparison wants {first.other!r}{more(changed)}",
            where=f"{job.directory}: {first.key}",
            mend="choose another --out, or replace the run with --overwrite",
        )
    return False


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    return {**flat(config), **orders(config)}


def _stored(directory: Path) -> dict[str, Any]:
    """Return the configuration of a run, flat; with today's defaults where it says nothing."""
    path = directory / "config.toml"
    try:
        raw = read_toml(path)[1]
    except InputError:
        raise InputError(
            "cannot be read", where=str(path), mend="remove the directory, or choose another --out"
        ) from None
    try:
        return _settings(load_experiment(raw).model_dump(mode="json"))
    except FleetLoraError:
        return _settings(raw)  # of another version: what it says itself must do


def _complete(directory: Path, overwrite: bool) -> Run | None:
    """Return a run; None if it is not complete, or is damaged and may be replaced."""
    try:
        result = read_json(directory / "result.json", "run again")
    except InputError:
        return None
    if not isinstance(result, dict) or result.get("status") != "complete":
        return None
    try:
        return open_run(directory)
    except InputError as error:
        if overwrite:
            return None
        mend = f"replace the run with --overwrite, or remove {directory}"
        raise InputError(error.problem, where=error.where, mend=mend) from None
