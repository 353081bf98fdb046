"""Plays one after the other or side by side in several processes; what comes out is the same."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Event

from fleetlora.regret.contenders import Contender
from fleetlora.regret.instances import INSTANCES
from fleetlora.regret.play import Curve, play

__all__ = ["Play", "run_plays"]

_stop: Event | None = None  # of a worker process: set when the parent gives up


@dataclass(frozen=True)
class Play:
    """One play, by names and numbers only, so that it can be sent to another process."""

    instance: str
    contender: Contender
    horizon: int
    seed: int

    def run(self) -> Curve:
        """Play it."""
        instance = INSTANCES[self.instance]
        rounds = instance.rounds(self.horizon)
        policy = self.contender.make(instance, rounds)
        return play(policy, instance, rounds, self.seed, _stopped, self.contender.until_spent)


def run_plays(plays: Sequence[Play], jobs: int) -> Iterator[tuple[int, Curve]]:
    """Yield the number and the curve of every play, in the order in which they end.

    Args:
        plays: The plays.
        jobs: How many are played at a time; 1 is in this process.
    """
    if min(jobs, len(plays)) <= 1:
        yield from ((number, one.run()) for number, one in enumerate(plays))
        return
    context = get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(min(jobs, len(plays)), context, _begin_worker, (stop,)) as pool:
        pending = {pool.submit(one.run): number for number, one in enumerate(plays)}
        try:
            for future in as_completed(pending):
                yield pending[future], future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin_worker(stop: Event) -> None:
    """Leave Ctrl-C to the parent, which then stops the workers."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _stopped() -> bool:
    return _stop is not None and _stop.is_set()
