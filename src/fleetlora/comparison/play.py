"""Playing the runs of a comparison, one after the other or side by side in several processes."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Self

from fleetlora.comparison.plan import Job
from fleetlora.comparison.worker import begin_worker, play_here, play_in_worker
from fleetlora.config import to_toml
from fleetlora.console import Progress
from fleetlora.errors import FleetLoraError
from fleetlora.threads import one_thread

__all__ = ["Processes", "default_processes", "note", "play"]


def default_processes() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def play(jobs: Sequence[Job], processes: int, progress: Progress) -> None:
    """Play ``jobs``, each with one thread; what is done stays when it is interrupted.

    Args:
        jobs: The runs to play.
        processes: How many are played at a time; 1 is in this process.
        progress: Is told of every finished run.

    Raises:
        InputError: Something of the user's is wrong; runs that were done stay.
        FleetLoraError: A process died.
        KeyboardInterrupt: It was interrupted; runs that were done stay.
    """
    if min(processes, len(jobs)) > 1:
        with Processes(min(processes, len(jobs))) as workers:
            workers.play(jobs, progress)
        return
    from fleetlora.workshop import Workshop

    progress.begin("runs", len(jobs))
    workshop = Workshop()
    for job in jobs:
        with one_thread():
            play_here(to_toml(job.experiment), job.directory, workshop)
        progress.advance(note(job))


class Processes:
    """Worker processes that stay from one comparison to the next, with what they keep: an executor.

    Filling the outputs of the frozen layers takes minutes where texts are many, once a process. Several
    comparisons over the same texts pay for it once::

        with Processes(2) as workers:
            for seconds in (1.0, 2.0):
                compare(..., overrides=[f"round.deadline_s={seconds}"], executor=workers)

    Once interrupted, or after an error, it plays no more.

    Args:
        count: How many runs are played at a time.
    """

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._count, self._stop = count, context.Event()
        self._pool = ProcessPoolExecutor(count, context, begin_worker, (self._stop,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def play(self, jobs: Sequence[Job], progress: Progress) -> None:
        """Play ``jobs``; see :class:`fleetlora.comparison.executor.Executor`."""
        progress.begin("runs", len(jobs))
        try:
            _keep_busy(self._pool, jobs, self._count, progress)
        except BrokenProcessPool:
            raise FleetLoraError(
                "a process that played a run died",
                mend="start again with fewer --jobs, each takes the memory of a run of its own; in a script,"
                " call compare below `if __name__ == '__main__':`; what is done is kept",
            ) from None
        except BaseException:
            self._stop.set()
            raise


def _keep_busy(pool: ProcessPoolExecutor, jobs: Sequence[Job], processes: int, progress: Progress) -> None:
    """Give out as many runs as there are processes, so that none waits in a queue when it is stopped."""
    waiting, flying = list(jobs)[::-1], dict[Future[bool], Job]()
    while waiting or flying:
        while waiting and len(flying) < processes:
            job = waiting.pop()
            flying[pool.submit(play_in_worker, to_toml(job.experiment), job.directory)] = job
        for future in wait(flying, return_when=FIRST_COMPLETED).done:
            job = flying.pop(future)
            if not future.result():  # told to stop, by an error or interrupt before this call
                raise FleetLoraError(
                    "was not played: these processes were stopped before",
                    where=job.name,
                    mend="go on with new Processes; what is done is kept",
                )
            progress.advance(note(job))


def note(job: Job) -> str:
    """Return how a finished run came out, in a few words."""
    result = json.loads((job.directory / "result.json").read_text("utf-8"))
    accuracy, latency_s = result["mean_accuracy"], result["latency_s"]["mean_round"]
    said = "no accuracy" if accuracy is None else f"{100 * accuracy:.1f} %"
    return f"{job.name}: {said}" + ("" if latency_s is None else f", {latency_s:.1f} s a round")
