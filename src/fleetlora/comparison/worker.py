"""Playing one run, in this process or in one of several, always with one thread.

Sums of floats depend on how many threads share them. With one thread a run, its digest does not depend on
how many runs are played side by side.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import tomllib
from pathlib import Path
from typing import Any

from fleetlora.console import Quiet
from fleetlora.threads import one_thread

__all__ = ["begin_worker", "goes_on", "play_here", "play_in_worker"]


def play_here(config_toml: str, directory: Path, workshop: Any, progress: Any = None) -> None:
    """Play one run in this process and leave its directory; the same run, unfinished, goes on.

    Raises:
        InputError: Something of the user's is wrong.
        KeyboardInterrupt: The run was stopped; its directory holds the rounds that were done.
    """
    from fleetlora.api import resume, run
    from fleetlora.config import load_experiment

    if goes_on(config_toml, directory):
        resume(directory, report=False, progress=progress, workshop=workshop)
        return
    experiment = load_experiment(tomllib.loads(config_toml))
    run(experiment, directory, overwrite=True, report=False, progress=progress, workshop=workshop)


def goes_on(config_toml: str, directory: Path) -> bool:
    """Tell whether the directory holds checkpoints of exactly this run."""
    from fleetlora.records import CHECKPOINTS, CONFIG, Checkpoints

    config = directory / CONFIG
    same = config.is_file() and config.read_text("utf-8", errors="replace") == config_toml
    return same and bool(Checkpoints(directory / CHECKPOINTS))


class _UntilTold(Quiet):
    """Stops the run at the end of a step or round when the main process says so."""

    def __init__(self, stop: Any) -> None:
        self._stop = stop

    def say(self, line: str) -> None:
        """Stop before the next step."""
        self.advance()

    def advance(self, note: str = "") -> None:
        """Raise KeyboardInterrupt, which the run takes for Ctrl-C, once it is to stop."""
        if self._stop.is_set():
            raise KeyboardInterrupt


#: What this worker process keeps from run to run: the signal to stop, and the workshop.
_kept: dict[str, Any] = {}


def begin_worker(stop: Any) -> None:
    """Prepare a worker process: Ctrl-C is the main process's business, and no worker outlives it.

    Args:
        stop: An event; once set, runs stop at the end of their round.
    """
    from fleetlora.workshop import Workshop

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _kept.update(stop=stop, workshop=Workshop())


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def play_in_worker(config_toml: str, directory: Path) -> bool:
    """Play one run in this worker process; return whether it came to its end."""
    try:
        with one_thread():
            play_here(config_toml, directory, _kept["workshop"], _UntilTold(_kept["stop"]))
    except KeyboardInterrupt:
        return False
    return True
