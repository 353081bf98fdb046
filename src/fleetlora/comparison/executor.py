"""Where the runs of a comparison are played: a small contract, and the registry of those who keep it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fleetlora.comparison.plan import Job
from fleetlora.comparison.play import default_processes, play
from fleetlora.console import Progress
from fleetlora.errors import ConfigError
from fleetlora.registry import Registry

__all__ = ["EXECUTORS", "Executor", "LocalProcesses"]


class Executor(Protocol):
    """Plays runs. Every run has one thread, so its digest does not tell who played it, or beside what."""

    def play(self, jobs: Sequence[Job], progress: Progress) -> None:
        """Play ``jobs`` and leave each in its directory; what is done stays when it is interrupted.

        Args:
            jobs: The runs; a directory may hold the checkpoints of its run, which then goes on.
            progress: Is told of every finished run.

        Raises:
            InputError: Something of the user's is wrong.
            FleetLoraError: A worker died, or was out of memory, too often.
            KeyboardInterrupt: It was interrupted.
        """
        ...


#: Made from the most runs played at a time, and the address of a cluster; ``None`` leaves the choice.
EXECUTORS: Registry[Callable[[int | None, str | None], Executor]] = Registry(
    "executor", ("fleetlora.cluster.runs",)
)


@EXECUTORS.register("local")
@dataclass(frozen=True)
class LocalProcesses:
    """Processes of this machine; see :func:`fleetlora.comparison.play.play`."""

    jobs: int | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.address is not None:
            raise ConfigError("is for a cluster", where="--address", mend="add --executor ray")

    def play(self, jobs: Sequence[Job], progress: Progress) -> None:
        """Play them in this process, or side by side."""
        play(jobs, default_processes() if self.jobs is None else self.jobs, progress)
