"""Run an experiment from beginning to end, and leave a run directory behind. The command line calls this."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fleetlora.build import CurveMaterials, Materials, build_learner, build_simulation
from fleetlora.config import Experiment, load_experiment, to_toml
from fleetlora.console import Progress, Quiet
from fleetlora.doctor import versions
from fleetlora.errors import InputError
from fleetlora.federation.learner import Learner, Score
from fleetlora.federation.loop import Simulation
from fleetlora.federation.playback import map_of
from fleetlora.federation.rows import RoundReport
from fleetlora.federation.world import World
from fleetlora.records import (
    CHECKPOINTS,
    CONFIG,
    HEAD_ONLY,
    Checkpoint,
    Checkpoints,
    CheckpointSettings,
    Run,
    RunIdentity,
    RunWriter,
    build_result,
    check_run_directory,
    open_run,
    write_map,
)
from fleetlora.workshop import Workshop

__all__ = ["resume", "run"]


def run(
    source: str | Path | Mapping[str, Any] | Experiment,
    out: str | Path,
    *,
    method: str | None = None,
    seed: int | None = None,
    overrides: Iterable[str] = (),
    overwrite: bool = False,
    report: bool = True,
    progress: Progress | None = None,
    workshop: Workshop | None = None,
) -> Run:
    """Run an experiment and return what it left in ``out``.

    Args:
        source: Name of a preset, path of a TOML file, the values themselves, or an experiment.
        out: Directory that the run is written to.
        method: Name of a method; replaces the experiment's.
        seed: Replaces the experiment's seed.
        overrides: ``key=value`` each, laid on top of everything.
        overwrite: Replace a run that is already in ``out``.
        report: Also write ``report.html`` and the figures.
        progress: Is told how it goes.
        workshop: Keeps tracks, encoded texts and the like for further runs of the same data.

    Raises:
        InputError: Something of the user's is wrong; nothing is left half-written.
        KeyboardInterrupt: The run was interrupted; the rounds that were done are readable in ``out``.
    """
    experiment = (
        source
        if isinstance(source, Experiment)
        else load_experiment(source, method=method, seed=seed, overrides=overrides)
    )
    progress = progress or Quiet()
    check_run_directory(out, overwrite)
    _Study.of(experiment, progress, workshop).play(Path(out), overwrite)
    return _concluded(Path(out), report, progress)


def resume(
    directory: str | Path,
    *,
    report: bool = True,
    progress: Progress | None = None,
    workshop: Workshop | None = None,
) -> Run:
    """Go on with a run that was stopped, wherever it was, and return it as if it never had been.

    It goes on from its newest checkpoint that is whole, from the start if there is none; a run that is
    complete is returned as it is. The digest is that of a run that was not stopped.

    Args:
        directory: The run directory.
        report: Also write ``report.html`` and the figures.
        progress: Is told how it goes.
        workshop: Keeps tracks, encoded texts and the like for further runs of the same data.

    Raises:
        InputError: It is no run directory, or its tables or the data it was made from are not what they were.
        KeyboardInterrupt: The run was interrupted again; it can be resumed again.
    """
    progress = progress or Quiet()
    left = open_run(directory)
    if left.complete:
        progress.say(f"{left.path} is complete already")
        return left
    experiment = load_experiment(left.path / CONFIG)
    checkpoint = Checkpoints(left.path / CHECKPOINTS).newest(progress.say)
    if checkpoint is None:
        progress.say("there is no checkpoint; the run begins anew")
        return run(experiment, directory, overwrite=True, report=report, progress=progress, workshop=workshop)
    _Study.of(experiment, progress, workshop).resume(left, checkpoint)
    return _concluded(left.path, report, progress)


def _concluded(out: Path, report: bool, progress: Progress) -> Run:
    """Draw the report of a run that has just ended, if asked for, and return the run."""
    if report:
        from fleetlora.report import build_report

        progress.say("drawing the report")
        build_report(out)
    return open_run(out)


#: Share of a run's time that writing tables may take; each is written whole, so the rows of many rounds wait.
_WRITING = 0.04


class _Chore:
    """Work beside the rounds that waits while it has taken more than ``share`` of the run's time."""

    def __init__(self, share: float) -> None:
        self.share, self.began, self.took = share, time.perf_counter(), 0.0

    @property
    def may_begin(self) -> bool:
        return self.took <= self.share * (time.perf_counter() - self.began)

    def do(self, work: Callable[[], None]) -> None:
        began = time.perf_counter()
        work()
        self.took += time.perf_counter() - began


@dataclass
class _Saver:
    """Leaves checkpoints of a simulation behind, and brings one back.

    Only what was made from the same roads, model and data can go on where another stopped.
    """

    simulation: Simulation
    study: _Study
    settings: CheckpointSettings
    checkpoints: Checkpoints

    def __post_init__(self) -> None:
        self.keeping = self.study.chore("checkpoints", self.settings.share)

    @property
    def due(self) -> bool:
        """Whether the rounds that are over call for a checkpoint."""
        every = self.settings.every
        return every > 0 and self.simulation.round % every == 0 and self.keeping.may_begin

    def save(self) -> None:
        self.keeping.do(self._save)

    def _save(self) -> None:
        state = {"fingerprint": self.study.fingerprint, "simulation": self.simulation.state_dict()}
        self.checkpoints.save(self.simulation.round, state)

    def load(self, checkpoint: Checkpoint) -> None:
        """Take the simulation to where it was.

        Raises:
            InputError: It was made from something else.
        """
        if checkpoint.state["fingerprint"] != self.study.fingerprint:
            raise InputError(
                "the tracks, texts or model are not those that the run began with",
                where=str(self.checkpoints.folder.parent),
                mend="bring them back, or run again from the start",
            )
        self.simulation.load_state_dict(checkpoint.state["simulation"])


@dataclass
class _Recorder:
    """Keeps every round for the run directory, writes them there often, and a checkpoint when one is due."""

    writer: RunWriter
    saver: _Saver
    progress: Progress

    def __post_init__(self) -> None:
        self.writing = self.saver.study.chore("tables", _WRITING)

    def on_round(self, report: RoundReport) -> None:
        self.writer.append("rounds", report.rounds)
        self.writer.append("updates", report.updates)
        self.writer.append("faults", report.faults)
        self.writer.append("quarantine", report.quarantine)
        self.writer.append_ledger(self.saver.simulation.ledger)
        if self.saver.due:
            # a checkpoint never comes before the rows of its rounds
            self.saver.keeping.do(self.writer.flush)
            self.saver.save()
        elif self.writing.may_begin:
            self.writing.do(self.writer.flush)
        delivered, started = sum(report.rounds["delivered"]), sum(report.rounds["started"])
        line = f"t={report.clock_s:.0f} s, {delivered}/{started} delivered"
        scores = [
            f"{task} {100 * accuracy:.1f} %"
            for task, accuracy in zip(report.rounds["task"], report.rounds["accuracy"], strict=True)
            if accuracy is not None
        ]
        self.writer.log(f"round {report.round}: {', '.join([line, *scores])}")
        self.progress.advance(", ".join([line, *scores]))


@dataclass
class _Ticker:
    """Moves the bar once a round, and leaves a checkpoint when one is due."""

    saver: _Saver
    progress: Progress

    def on_round(self, report: RoundReport) -> None:
        if self.saver.due:
            self.saver.save()
        self.progress.advance()


def _last_test(learner: Learner, n_tasks: int) -> list[Score]:
    """Merge what is left unmerged at the RSUs, and test each task's model on all test samples."""
    for task in range(n_tasks):
        learner.sync(task)
    return [learner.evaluate(task, None) for task in range(n_tasks)]


@dataclass
class _Study:
    """One run: the rounds, the head-only run beside them, the last test, and everything written down."""

    experiment: Experiment
    world: World
    materials: Materials | CurveMaterials
    progress: Progress
    began: float
    chores: list[tuple[str, _Chore]] = field(default_factory=list)

    @classmethod
    def of(cls, experiment: Experiment, progress: Progress, workshop: Workshop | None) -> _Study:
        """Return the study of an experiment, its world and materials made or taken from the workshop."""
        began = time.perf_counter()
        workshop = workshop or Workshop()
        world = workshop.world(experiment, progress.say)
        materials = workshop.materials(experiment, world, progress.say)
        return cls(experiment, world, materials, progress, began)

    @cached_property
    def fingerprint(self) -> str:
        """A checksum of what its runs are made from: the roads, the model, the data, and who holds it."""
        contacts = self.world.contacts
        roads = (contacts.vehicle, contacts.rsu, contacts.t_in_s, contacts.t_out_s)
        digest = hashlib.sha256()
        for array in (*roads, *self.materials.arrays()):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @property
    def identity(self) -> RunIdentity:
        return RunIdentity(
            method=self.experiment.method,
            preset=self.experiment.name,
            seed=self.experiment.seed,
            vehicles=self.world.tracks.n_vehicles,
            rsus=len(self.world.sites),
        )

    def chore(self, name: str, share: float) -> _Chore:
        """Return work beside the rounds whose seconds the result will tell, with all others of its name."""
        self.chores.append((name, _Chore(share)))
        return self.chores[-1][1]

    def play(self, out: Path, overwrite: bool) -> None:
        """Play it from the start."""
        learner, saver = self._begun(self.experiment, out / CHECKPOINTS)
        optional = ("faults",) if self.experiment.faults.on else ()
        with RunWriter(out, to_toml(self.experiment), self.identity, overwrite, optional) as writer:
            writer.log(str(self.world.account))
            self._to_the_end(saver, learner, writer)

    def resume(self, left: Run, checkpoint: Checkpoint) -> None:
        """Play what a run that was stopped has left to play."""
        learner, saver = self._begun(self.experiment, left.path / CHECKPOINTS)
        saver.load(checkpoint)
        with RunWriter.resume(left, checkpoint.rounds) as writer:
            writer.log(f"resumed after {checkpoint.rounds} rounds")
            self._to_the_end(saver, learner, writer)

    def _begun(self, experiment: Experiment, folder: Path) -> tuple[Learner, _Saver]:
        """Return the learner of a simulation that is about to play its first round, and who saves it."""
        learner = build_learner(experiment, self.materials)
        simulation = build_simulation(experiment, self.world, learner)
        return learner, _Saver(simulation, self, experiment.checkpoint, Checkpoints(folder))

    def _to_the_end(self, saver: _Saver, learner: Learner, writer: RunWriter) -> None:
        head = Checkpoints(saver.checkpoints.folder / HEAD_ONLY)
        try:
            self._rounds("rounds", saver, _Recorder(writer, saver, self.progress))
            scores = self._final(learner, writer)
            extras = self._extras(scores, head)
        except KeyboardInterrupt:
            self._write(saver.simulation, learner, writer, {}, "interrupted")
            raise
        self._write(saver.simulation, learner, writer, extras, "complete")
        head.remove()
        saver.checkpoints.remove()

    def _rounds(self, kind: str, saver: _Saver, observer: _Recorder | _Ticker) -> None:
        self.progress.begin(kind, self.experiment.round.count)
        for _ in range(saver.simulation.round):
            self.progress.advance()
        saver.simulation.run([observer])

    def _final(self, learner: Learner, writer: RunWriter) -> list[Score]:
        """Test the models and save their adapters; no row of the rounds waits any longer."""
        writer.flush()
        self.progress.say("testing the aggregated models on all test samples")
        scores = _last_test(learner, len(self.experiment.tasks))
        if self.materials.stand_in is None:
            for k, task in enumerate(self.experiment.tasks):
                learner.save(k, writer.adapter_dir(task.name))
        return scores

    def _extras(self, scores: list[Score], checkpoints: Checkpoints) -> dict[str, dict[str, Any]]:
        head: Sequence[Score | None] = [None] * len(scores)
        if self.experiment.evaluation.head_only and self.materials.stand_in is None:
            head = self._head_only(checkpoints)
        names = [task.name for task in self.experiment.tasks]
        return {
            name: {
                "accuracy": score.accuracy,
                "accuracy_head_only": None if alone is None else alone.accuracy,
                "loss": score.loss,
                "classes": classes,
                "test_samples": score.samples,
            }
            for name, score, alone, classes in zip(names, scores, head, self.materials.classes, strict=True)
        }

    def _head_only(self, checkpoints: Checkpoints) -> list[Score]:
        """Play the same rounds with the heads alone, or what is left of them, and return the last test."""
        experiment = self.experiment.with_method("head-only")
        learner, saver = self._begun(experiment, checkpoints.folder)
        if checkpoint := checkpoints.newest(self.progress.say):
            saver.load(checkpoint)
        self._rounds("head-only rounds", saver, _Ticker(saver, self.progress))
        return _last_test(learner, len(experiment.tasks))

    def _write(
        self,
        simulation: Simulation,
        learner: Learner,
        writer: RunWriter,
        extras: dict[str, dict[str, Any]],
        status: Any,
    ) -> None:
        end_s = min(max(simulation.clock_s, 1.0), self.world.tracks.duration_s)
        contacts = self.world.contacts
        writer.append("contacts", contacts.to_arrow().take(contacts.overlap(0.0, end_s)))
        write_map(map_of(self.world, end_s), writer.map_path)
        host = {**versions(), "seconds": time.perf_counter() - self.began}
        for name, chore in self.chores:
            host[f"{name}_seconds"] = host.get(f"{name}_seconds", 0.0) + chore.took
        result = build_result(
            self.identity,
            writer.tables(),
            tasks=extras or {task.name: {} for task in self.experiment.tasks},
            adapters=learner.arrays(),
            learner=self.materials.stand_in,
            host=host,
            status=status,
            privacy=learner.privacy(),
        )
        writer.finish(result)
