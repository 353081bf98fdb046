"""``fleetlora bench crash``: kill a run again and again, and see whether it ends as if nobody had.

Every kill is a SIGKILL to a process of its own, at a random moment of the run or while it writes a
checkpoint; the run then goes on through ``fleetlora run --resume`` in another process. It counts as whole if
its digest is that of a run that was never killed. Rounds that were over before the kill and had to be played
again are counted too: at most those since the newest checkpoint.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
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
        with tempfile.TemporaryDirectory(prefix="fleetlora-crash-") as name:
            folder = Path(name)
            progress.say(f"one run of {self.source} that nobody kills")
            began = time.perf_counter()
            whole = _json(_start(self.source, folder / "whole"))
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
        process, began = _start(self.source, out), time.perf_counter()
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return self._kill(process, out, whole, began)

    def _kill_writing(self, out: Path, whole: Mapping[str, Any], checkpoint: int) -> Kill:
        """Kill while the checkpoint of that number is being written."""
        process, began = _start(self.source, out), time.perf_counter()
        folder = out / CHECKPOINTS
        while process.poll() is None and not any(folder.glob(f".round-{checkpoint:08d}.*.part")):
            time.sleep(_LOOK_S)
        return self._kill(process, out, whole, began)

    def _kill(
        self, process: subprocess.Popen[str], out: Path, whole: Mapping[str, Any], began: float
    ) -> Kill:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        after_s = time.perf_counter() - began
        writing = any((out / CHECKPOINTS).glob(".*.part"))
        over = _rounds_logged(out)
        if out.exists():
            resumed = _json(_fleetlora("run", "--resume", str(out), "--no-report", "--json"))
        else:  # killed before it had made its directory: there is nothing to resume
            resumed = _json(_start(self.source, out))
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


def _start(source: str, out: Path) -> subprocess.Popen[str]:
    # checkpoints after every round, whatever they take: there is to be something to kill
    always = ("--set", "checkpoint.every=1", "--set", "checkpoint.share=1e9")
    return _fleetlora("run", source, "--out", str(out), "--no-report", "--json", *always)


def _fleetlora(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fleetlora", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _json(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a command printed for machines.

    Raises:
        FleetLoraError: It failed.
    """
    said, complained = process.communicate()
    if process.returncode:
        raise FleetLoraError(f"a run failed: {complained.strip()[-500:]}", where="bench crash")
    result = json.loads(said)
    result.pop("host", None)
    return dict(result)
