"""Running one simulation in a worker process: its arguments, its progress, and what its failures mean."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fleetlora.errors import InputError, MissingDependencyError
from fleetlora.traces.sumo_inputs import Scenario, silenced

__all__ = ["FCD", "RECORD", "Run", "simulate"]

FCD = "fcd.parquet"
RECORD = "run.json"

_LOG = logging.getLogger(__name__)
_SHOWN = 5
_MIN_REPORTS = 100
#: The interpreter's arguments; -P keeps our other modules' names out of the worker's way.
_WORKER = ("-P", str(Path(__file__).with_name("sumo_worker.py")))
#: Warnings about our own way of running it, not about the scenario.
_OURS = ("Column based formats are still experimental",)
#: What libsumo raises when it has printed the reason instead.
_EMPTY_REASON = "Process Error"
_PARQUET = b"PAR1"
#: Files are not checked against schemas, as one that a file names could add outputs to it; and a vehicle that
#: records its conflicts (SSM) would write into a file of its own name.
_QUIET = {
    "xml-validation": "never",
    "xml-validation.net": "never",
    "xml-validation.routes": "never",
    "device.ssm.file": "NUL",
}


@dataclass(frozen=True)
class Run:
    """How a scenario is run: what is recorded, and the options that replace the scenario's.

    Attributes:
        begin_s: First second recorded.
        end_s: Second at which the simulation ends; None: when the last vehicle has arrived.
        period_s: Time between fixes.
        step_s: Length of a step.
        scale: Factor on the demand, or None.
        seed: Seed, or None.
        geo: Whether positions are degrees, as the network has a projection.
    """

    begin_s: float
    end_s: float | None
    period_s: float
    step_s: float
    scale: float | None
    seed: int | None
    geo: bool

    def options(self) -> dict[str, str]:
        """Return SUMO's options for this run by long name, without any path."""
        chosen = {"scale": self.scale, "seed": self.seed}
        return {
            **{option: str(value) for option, value in chosen.items() if value is not None},
            "step-length": str(self.step_s),
            "device.fcd.begin": str(self.begin_s),
            "device.fcd.period": str(self.period_s),
            "fcd-output.geo": str(self.geo).lower(),
            "fcd-output.attributes": "id,x,y,type",
            "person-device.fcd.probability": "0",  # column formats do not tell persons from vehicles
            "no-step-log": "true",
            "duration-log.disable": "true",
            "aggregate-warnings": str(_SHOWN),
        }


def simulate(
    scenario: Scenario,
    run: Run,
    folder: Path,
    scratch: Path,
    progress: Callable[[float, float | None], None] | None = None,
) -> None:
    """Run a scenario and leave its positions (``fcd.parquet``) and a record (``run.json``) in ``folder``.

    Args:
        scenario: The scenario.
        run: How to run it.
        folder: Where the results go.
        scratch: Folder for passing files.
        progress: Told how far it is.

    Raises:
        InputError: SUMO refused the scenario, or crashed.
        MissingDependencyError: libsumo is installed and cannot be loaded.
    """
    began = time.monotonic()
    copies = silenced(scenario, scratch)
    files = {
        option: ",".join(str(copies.get(path, path)) for path in paths)
        for option, paths in scenario.files.items()
    }
    options = {**scenario.options, **files, **_QUIET, **run.options(), "fcd-output": str(folder / FCD)}
    job: dict[str, object] = {
        "arguments": [f"--{option}={value}" for option, value in options.items()],
        "end_s": run.end_s,
        "every_s": 10.0 if run.end_s is None else max((run.end_s - run.begin_s) / _MIN_REPORTS, run.step_s),
    }
    answer, output = _work(scenario, run, job, scratch, progress)
    for original, copy in copies.items():
        output = output.replace(str(copy), str(original))
        if "error" in answer:
            answer["error"] = str(answer["error"]).replace(str(copy), str(original))
    if "done" not in answer:
        raise _failure(scenario, answer, output)
    size = _check_whole(scenario, folder / FCD)
    warnings = _lines(output, "Warning:", _OURS)
    if warnings:
        _LOG.info("%s: SUMO gave %d warnings, the first: %s", scenario.config, len(warnings), warnings[0])
    record = {
        "sumo": answer["done"],
        "scenario": scenario.config.name,
        "options": run.options(),
        "simulated_until_s": answer["at"],
        "wall_s": round(time.monotonic() - began, 2),
        "warnings": warnings[:_SHOWN],
        "bytes": size,
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _check_whole(scenario: Scenario, fcd: Path) -> int:
    """Return the size of SUMO's output in bytes after a look at both of its ends."""
    ends = b""
    if fcd.is_file():
        with fcd.open("rb") as file:
            ends = file.read(4)
            file.seek(-len(ends), os.SEEK_END)
            ends += file.read()
    if ends != _PARQUET * 2:
        raise InputError(
            "SUMO left no whole Parquet file of positions",
            where=str(scenario.config),
            mend="free disk space; or, if SUMO is older than 1.25, pip install --upgrade 'fleetlora[sumo]'",
        )
    return fcd.stat().st_size


def _work(
    scenario: Scenario,
    run: Run,
    job: dict[str, object],
    scratch: Path,
    progress: Callable[[float, float | None], None] | None,
) -> tuple[dict[str, object], str]:
    """Return the worker's last answer and all that SUMO printed."""
    printed = scratch / "printed.txt"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    answer: dict[str, object] = {}
    with (
        printed.open("wb") as sink,
        subprocess.Popen(
            [sys.executable, *_WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            cwd=scratch,
            env=environment,
            text=True,
        ) as worker,
    ):
        try:
            assert worker.stdin is not None
            assert worker.stdout is not None
            json.dump(job, worker.stdin)
            worker.stdin.close()
            for line in worker.stdout:
                answer = json.loads(line)
                if progress and "at" in answer:
                    progress(answer["at"], run.end_s)  # type: ignore[arg-type]
        except BaseException:
            worker.kill()
            raise
    if "done" not in answer and "error" not in answer:
        answer = {**answer, "crash": worker.returncode}
    return answer, printed.read_text(encoding="utf-8", errors="replace")


def _lines(output: str, sign: str, without: tuple[str, ...] = ()) -> list[str]:
    """Return what SUMO printed after ``sign``, each once, in order."""
    whole = output.replace("\n ", " ")  # SUMO indents the lines that continue a message
    found = [line.removeprefix(sign).strip() for line in whole.splitlines() if line.startswith(sign)]
    return [line for line in dict.fromkeys(found) if not line.startswith(without)]


def _failure(scenario: Scenario, answer: dict[str, object], output: str) -> InputError:
    """Return the error that a run's last answer and output amount to."""
    where = str(scenario.config)
    reason = str(answer.get("error", ""))
    if reason.startswith("libsumo cannot be loaded"):
        return MissingDependencyError(reason, where=where, mend="pip install --upgrade 'fleetlora[sumo]'")
    reasons = _lines(output, "Error:")
    if reason and reason != _EMPTY_REASON:
        reasons.append(" ".join(reason.split()))
    if "crash" in answer:
        reasons = reasons or output.strip().splitlines()[-1:]
        at = f"at simulated second {answer['at']}" if "at" in answer else "while loading its files"
        reasons.append(f"SUMO crashed {at} (status {answer['crash']})")
        return InputError(
            "; ".join(reasons),
            where=where,
            mend=f"most often the network is damaged: check that {scenario.net} is whole",
        )
    return InputError(
        f"SUMO cannot run it: {'; '.join(dict.fromkeys(reasons))}",
        where=where,
        mend="correct the scenario; `sumo -c` on it tells more",
    )
