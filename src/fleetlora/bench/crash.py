"""``fleetlora bench crash``: kill a run again and again, and see whether it ends as if nobody had.

Every kill is a SIGKILL to a process of its own, at a random moment of the run or while it writes a
checkpoint; the run then goes on through ``fleetlora run --resume`` in another process. It counts as whole if
its digest is that of a run that was never killed. Rounds that were over before the kill and had to be played
again are counted too: at most those since the newest checkpoint. Processes are forked from one that has
imported what a run needs, for imports would take more of their time than the run.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from fleetlora.bench.registry import BENCHES
from fleetlora.console import Progress
from fleetlora.errors import FleetLoraError
from fleetlora.records import CHECKPOINTS
from fleetlora.rng import stream
from fleetlora.settings import Settings, quantity

__all__ = ["Crash"]

#: How long a process that is watched may sleep between two looks, seconds.
_LOOK_S = 0.001

_SERVER = multiprocessing.get_context("forkserver")

#: What loading a model imports late.
_HEAVY = ("transformers.models.auto.modeling_auto", "transformers.models.bert.modeling_bert")


@dataclass(frozen=True)
class Kill:
    """One kill, and what became of the run.

    Attributes:
        after_s: Host seconds from the start of the process to the kill.
        writing: Whether a checkpoint was half-written.
        rounds: Rounds that were over by then.
        replayed: Rounds of those that were played again.
        same: Whether the resumed run's digest is that of a run that was never killed.
        lost: Rounds that are missing from the resumed run.
    """

    after_s: float
    writing: bool
    rounds: int
    replayed: int
    same: bool
    lost: int


@BENCHES.register("crash")
class Crash(Settings):
    """What is killed, and how often."""

    source: str = Field("warsaw-small", description="preset or TOML file")
    kills: int = quantity(100, "1", "how many runs are killed", ge=1)
    writing: int = quantity(10, "1", "how many of them while they write a checkpoint", ge=0)
    seed: int = quantity(0, "1", "seed of the moments", ge=0)

    def measure(self, progress: Progress) -> dict[str, Any]:
        """Play a run whole, then kill and resume others."""
        rng = stream(self.seed, "bench", "crash")
        _warm_up()
        with tempfile.TemporaryDirectory(prefix="fleetlora-crash-") as name:
            folder = Path(name)
            progress.say(f"one run of {self.source} that nobody kills")
            began = time.perf_counter()
            whole = _start(self.source, folder / "whole").result()
            lasts_s = time.perf_counter() - began
            progress.begin("kills", self.kills)
            kills = []
            for number in range(self.kills):
                out = folder / f"killed-{number}"
                if number < self.writing:
                    kills.append(self._kill_writing(out, whole, int(rng.integers(1, whole["rounds"] + 1))))
                else:
                    kills.append(self._kill_after(out, whole, float(rng.uniform(0, lasts_s))))
                progress.advance("same" if kills[-1].same else "DIFFERENT")
        return {
            "settings": self.model_dump(mode="json"),
            "rounds": whole["rounds"],
            "digest": whole["digest"],
            "seconds": lasts_s,
            "kills": [asdict(kill) for kill in kills],
            "equal_digests": sum(kill.same for kill in kills),
            "lost_rounds": sum(kill.lost for kill in kills),
            "replayed_rounds": sum(kill.replayed for kill in kills),
            "while_writing": sum(kill.writing for kill in kills),
        }

    def lines(self, measured: Mapping[str, Any]) -> Iterator[str]:
        """Yield one sentence for each promise."""
        kills = len(measured["kills"])
        yield f"{measured['equal_digests']} of {kills} killed runs ended with the digest of the whole one"
        yield f"{measured['while_writing']} of them were killed while a checkpoint was half-written"
        yield f"{measured['lost_rounds']} rounds lost, {measured['replayed_rounds']} played again"

    def _kill_after(self, out: Path, whole: Mapping[str, Any], seconds: float) -> Kill:
        command, began = _start(self.source, out), time.perf_counter()
        command.process.join(seconds)
        return self._kill(command, out, whole, began)

    def _kill_writing(self, out: Path, whole: Mapping[str, Any], checkpoint: int) -> Kill:
        """Kill while the checkpoint of that number is being written."""
        command, began = _start(self.source, out), time.perf_counter()
        folder = out / CHECKPOINTS
        while command.process.is_alive() and not any(folder.glob(f".round-{checkpoint:08d}.*.part")):
            time.sleep(_LOOK_S)
        return self._kill(command, out, whole, began)

    def _kill(self, command: _Command, out: Path, whole: Mapping[str, Any], began: float) -> Kill:
        command.kill()
        after_s = time.perf_counter() - began
        writing = any((out / CHECKPOINTS).glob(".*.part"))
        over = _rounds_logged(out)
        if out.exists():
            resumed = _Command("run", "--resume", str(out), "--no-report", "--json").result()
        else:  # killed before it had made its directory: there is nothing to resume
            resumed = _start(self.source, out).result()
        return Kill(
            after_s,
            writing,
            over,
            max(0, _rounds_logged(out) - whole["rounds"]),
            resumed["digest"] == whole["digest"],
            whole["rounds"] - resumed["rounds"],
        )


def _rounds_logged(out: Path) -> int:
    """Return how many times a round was played in a run directory, again or not."""
    log = out / "log.txt"
    return log.read_text("utf-8").count("\nround ") if log.exists() else 0


def _start(source: str, out: Path) -> _Command:
    # checkpoints after every round, whatever they take: there is to be something to kill
    always = ("--set", "checkpoint.every=1", "--set", "checkpoint.share=1e9")
    return _Command("run", source, "--out", str(out), "--no-report", "--json", *always)


class _Command:
    """One ``fleetlora`` command in a process of its own.

    Args:
        *arguments: Its words.
    """

    def __init__(self, *arguments: str) -> None:
        self._said = tempfile.TemporaryDirectory(prefix="fleetlora-said-")
        self.process = _SERVER.Process(target=_be, args=(arguments, self._said.name))
        self.process.start()

    def result(self) -> dict[str, Any]:
        """Wait for its end, and return what it printed for machines.

        Raises:
            FleetLoraError: It failed.
        """
        self.process.join()
        said, complained = ((Path(self._said.name) / name).read_text("utf-8") for name in ("out", "err"))
        self._said.cleanup()
        if self.process.exitcode:
            raise FleetLoraError(f"a run failed: {complained.strip()[-500:]}", where="bench crash")
        result = json.loads(said)
        result.pop("host", None)
        return dict(result)

    def kill(self) -> None:
        """Kill it, and wait until it is dead."""
        self.process.kill()
        self.process.join()
        self._said.cleanup()


def _be(arguments: Sequence[str], said: str) -> None:
    """Be the command: called in its process."""
    from fleetlora.cli import main

    for number, name in ((1, "out"), (2, "err")):
        with (Path(said) / name).open("wb") as file:
            os.dup2(file.fileno(), number)
    sys.argv = ["fleetlora", *arguments]
    main()


def _warm_up() -> None:
    """Let the server of processes import what a run needs."""
    _SERVER.set_forkserver_preload(["fleetlora.api", "fleetlora.federation.lora_learner", *_HEAVY])
    first = _SERVER.Process(target=len, args=((),))
    first.start()
    first.join()
