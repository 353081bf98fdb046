"""Runs one SUMO simulation through libsumo, in a process of its own.

Why its own process: libsumo holds one simulation per process, crashes the process on some damaged networks,
writes straight to the terminal, and on import points the environment's PROJ data at its own copy.

It is run as a script, which spares it every other import. It reads one JSON job from standard input,
``{"arguments": [...], "end_s": 60.0 | null, "every_s": 10.0}``, and writes JSON lines to standard output:
``{"at": 12.0}`` on the way, then ``{"done": "SUMO 1.28.0", "at": 60.0}`` or ``{"error": "..."}``. What SUMO
prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

__all__ = ["main"]


def main() -> None:
    """Run the job on standard input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever SUMO prints must not mix with the answers
    job = json.load(sys.stdin)
    try:
        import libsumo
    except ImportError as error:
        print(json.dumps({"error": f"libsumo cannot be loaded: {error}"}), file=answers)
        return
    try:
        libsumo.start(["sumo", *job["arguments"]])
        at_s = _drive(libsumo, job["end_s"], job["every_s"], answers)
        version = libsumo.getVersion()[1]
        libsumo.close()
    except (libsumo.TraCIException, libsumo.FatalTraCIError) as error:
        print(json.dumps({"error": str(error)}), file=answers)
        return
    print(json.dumps({"done": version, "at": at_s}), file=answers)


def _drive(libsumo: Any, end_s: float | None, every_s: float, answers: TextIO) -> float:
    """Advance to ``end_s`` or until no vehicle is left or to come; return the second reached."""
    at_s = float(libsumo.simulation.getTime())
    while (end_s is None or at_s < end_s) and libsumo.simulation.getMinExpectedNumber() > 0:
        target_s = at_s + every_s if end_s is None else min(at_s + every_s, end_s)
        libsumo.simulationStep(target_s)
        at_s = float(libsumo.simulation.getTime())
        print(json.dumps({"at": at_s}), file=answers)
    return at_s


if __name__ == "__main__":
    main()
