"""The runs of a comparison as tasks of a Ray cluster.

No disk is shared: what a run reads of this machine's files is sent to the workers, they fetch assets
themselves, and what a run leaves is sent back. While it is played its state is sent every minute too, so that
the run of a worker that dies goes on elsewhere from its latest checkpoint that was sent.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetlora.assets import standing_in
from fleetlora.cluster.connect import connected, here, require_same, translated
from fleetlora.cluster.parcel import Parcel, deliver, local_inputs, pack_input, pack_run, unpack
from fleetlora.cluster.post import Post, Reporting
from fleetlora.comparison.executor import EXECUTORS
from fleetlora.comparison.plan import Job
from fleetlora.comparison.play import note
from fleetlora.comparison.worker import goes_on, play_here
from fleetlora.config import to_toml
from fleetlora.console import Progress
from fleetlora.errors import FleetLoraError
from fleetlora.threads import one_thread

__all__ = ["RayRuns"]

#: How often a run is begun again whose worker died.
RETRIES = 3


@EXECUTORS.register("ray")
@dataclass(frozen=True)
class RayRuns:
    """Plays every run as a task of a Ray cluster, one core each.

    Args:
        jobs: Most runs at a time; as many as the cluster has cores if not given.
        address: ``host:port`` of the cluster's head; see :func:`fleetlora.cluster.connected`.
        every_s: Seconds between two states that a run sends home.
    """

    jobs: int | None = None
    address: str | None = None
    every_s: float = 60.0

    def play(self, jobs: Sequence[Job], progress: Progress) -> None:
        """Play ``jobs``; see :class:`fleetlora.comparison.executor.Executor`."""
        inputs = {value: pack_input(value) for job in jobs for value in local_inputs(job.experiment)}
        with connected(self.address, progress.say) as ray:
            _Play(ray, inputs, self.every_s, progress).all(jobs, self.jobs)


class _Play:
    """One comparison on a cluster that was joined."""

    def __init__(self, ray: Any, inputs: Mapping[str, Parcel], every_s: float, progress: Progress) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.ray, self.every_s, self.progress = ray, every_s, progress
        self.inputs = [(value, ray.put(parcel)) for value, parcel in inputs.items()]
        home = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.post = ray.remote(num_cpus=0)(Post).options(scheduling_strategy=home).remote()
        self.task = ray.remote(num_cpus=1, max_retries=RETRIES)(_play_there)
        self.flying: dict[Any, Job] = {}
        self.told: dict[str, int] = {}

    def all(self, jobs: Sequence[Job], most: int | None) -> None:
        cores = max(1, int(self.ray.cluster_resources().get("CPU", 1)))
        waiting = list(jobs)[::-1]
        self.progress.begin("runs", len(jobs))
        try:
            while waiting or self.flying:
                while waiting and len(self.flying) < (most or cores):
                    self._submit(waiting.pop())
                self._collect()
        except BaseException:
            self._stop()
            raise
        finally:
            self.ray.kill(self.post)

    def _submit(self, job: Job) -> None:
        config = to_toml(job.experiment)
        if goes_on(config, job.directory):
            self.ray.get(self.post.keep.remote(job.name, pack_run(job.directory)))
        self.flying[self.task.remote(job.name, config, self.inputs, self.post, self.every_s, here())] = job

    def _collect(self) -> None:
        """Wait a moment for a run to end, and bring it home."""
        ready, _ = self.ray.wait(list(self.flying), timeout=1.0)
        for reference in ready:
            job = self.flying.pop(reference)
            self._bring(reference, job)
            self.progress.advance(note(job))
        for name, times in self.ray.get(self.post.begun.remote()).items():
            if times > max(1, self.told.get(name, 0)):
                self.told[name] = times
                self.progress.say(f"{name}: its worker died; the run is begun a {times}. time")

    def _bring(self, reference: Any, job: Job) -> bool:
        with translated(self.ray, job.name):
            whole, parcel = self.ray.get(reference)
        if parcel:
            deliver(parcel, job.directory)
        self.ray.get(self.post.forget.remote(job.name))
        return bool(whole)

    def _stop(self) -> None:
        """Let the runs that are played end their round, and bring home what they have."""
        self.progress.say("stopping at the end of the rounds that are played now")
        self.post.stop.remote()
        for reference, job in self.flying.items():
            try:
                self._bring(reference, job)
            except FleetLoraError as error:
                self.progress.say(str(error))  # the first failure is what the caller hears of


#: What a worker process keeps from run to run: the workshop, and the folder that inputs lie in.
_kept: dict[str, Any] = {}


def _play_there(
    name: str,
    config_toml: str,
    inputs: Sequence[tuple[str, Any]],
    post: Any,
    every_s: float,
    expected: Mapping[str, str],
) -> tuple[bool, Parcel]:
    """Play one run in this worker; return whether it came to its end, and its files."""
    import ray

    from fleetlora.workshop import Workshop

    require_same(expected, here(), ray.util.get_node_ip_address())
    times, state = ray.get(post.begin.remote(name))
    if times > RETRIES + 1:
        raise FleetLoraError(
            f"was begun {times - 1} times, and each time its worker died",
            where=name,
            mend="most often memory ran out: give fewer --jobs, or machines with more memory",
        )
    workshop = _kept.setdefault("workshop", Workshop())
    with tempfile.TemporaryDirectory(prefix="fleetlora-run-") as folder:
        directory = Path(folder) / "run"
        unpack(state or {}, directory)
        try:
            with standing_in(_copies(inputs)), one_thread():
                play_here(config_toml, directory, workshop, Reporting(post, name, directory, every_s))
        except KeyboardInterrupt:
            return False, pack_run(directory)
        return True, pack_run(directory)


def _copies(inputs: Sequence[tuple[str, Any]]) -> dict[str, Path]:
    """Return where copies of the driver's files lie on this machine, by their paths there."""
    import ray

    found: dict[str, Path] = {}
    for value, reference in inputs:
        key = reference.hex()
        if key not in _kept:
            folder = tempfile.TemporaryDirectory(prefix="fleetlora-input-")
            parcel: Parcel = ray.get(reference)
            unpack(parcel, Path(folder.name))
            is_file = list(parcel) == [Path(value).name]
            _kept[key] = folder, Path(folder.name) / Path(value).name if is_file else Path(folder.name)
        found[value] = _kept[key][1]
    return found
