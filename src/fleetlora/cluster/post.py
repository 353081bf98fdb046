"""What the workers of a comparison and the process that started it tell each other: one small Ray actor."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from fleetlora.cluster.parcel import Parcel, pack_run
from fleetlora.console import Quiet

__all__ = ["Post", "Reporting"]


class Post:
    """Keeps the latest state of every run that is played, and the word to stop. Lives beside the driver."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}
        self._kept: dict[str, Parcel] = {}
        self._stop = False

    def begin(self, name: str) -> tuple[int, Parcel | None]:
        """Return how often a run was begun, this time included, and its latest state."""
        self._begun[name] = self._begun.get(name, 0) + 1
        return self._begun[name], self._kept.get(name)

    def begun(self) -> dict[str, int]:
        """Return how often each run was begun."""
        return dict(self._begun)

    def keep(self, name: str, parcel: Parcel) -> None:
        """Keep the state of a run in place of the one before."""
        self._kept[name] = parcel

    def forget(self, name: str) -> None:
        """Drop what is kept of a run that is over."""
        self._kept.pop(name, None)

    def stop(self) -> None:
        """Let every run stop at the end of its round."""
        self._stop = True

    def stopped(self) -> bool:
        """Tell whether runs are to stop."""
        return self._stop


class Reporting(Quiet):
    """Sends the state of a run to the post now and then, and stops it when the post says so.

    Args:
        post: The actor.
        name: The run's name.
        directory: Where it is played.
        every_s: Seconds between two states.
    """

    def __init__(self, post: Any, name: str, directory: Path, every_s: float) -> None:
        self._post, self._name, self._directory, self._every_s = post, name, directory, every_s
        self._sent = time.monotonic()

    def say(self, line: str) -> None:
        """Stop before the next step, if told to."""
        self._ask()

    def advance(self, note: str = "") -> None:
        """Stop, if told to; else send the state when it is time."""
        self._ask()
        if time.monotonic() - self._sent >= self._every_s:
            import ray

            ray.get(self._post.keep.remote(self._name, pack_run(self._directory)))
            self._sent = time.monotonic()

    def _ask(self) -> None:
        import ray

        if ray.get(self._post.stopped.remote()):
            raise KeyboardInterrupt
