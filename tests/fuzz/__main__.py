"""``python -m tests.fuzz READER|all``: fuzz readers, each in a process of its own, and sum up what came out.

A process that dies is started again for what is left of its executions, and its last input is a finding.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: Modules that are not called as their distribution is.
_MODULES = {"pillow": "PIL"}

#: A process of a reader is given up once it has died so often.
_DEATHS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz, print a line for each reader, and return 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("reader", help="a reader's name, several with commas between them, or all")
    parser.add_argument("--runs", type=int, default=10_000, help="executions, divided by the readers' shares")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blind", action="store_true", help="draw changes from the seed, without coverage")
    parser.add_argument("--out", type=Path, help="also write the summary as JSON to this file")
    parser.add_argument("--found", type=Path, default=Path("fuzz-findings"), help="folder for what is found")
    given = parser.parse_args(arguments)
    os.environ |= {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    guided = not given.blind and find_spec("atheris") is not None
    _import_all(guided)
    from tests.fuzz.readers import READERS

    names = list(READERS) if given.reader == "all" else given.reader.split(",")
    whole = sum(READERS[name].share for name in names)
    began, tallies = time.perf_counter(), []
    for name in names:
        runs = max(1, round(given.runs * READERS[name].share / whole))
        tallies.append(_fuzz_in_processes(name, runs, given.seed, given.found / name, guided))
        print(_line(tallies[-1]), flush=True)
        if given.out:
            document = _summary(tallies, time.perf_counter() - began, given.seed, guided)
            given.out.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return int(any(tally["findings"] for tally in tallies))


def _import_all(guided: bool) -> None:
    """Import what readers are made of, once for all processes; if ``guided``, so that coverage is seen."""
    import importlib
    import pkgutil
    from contextlib import nullcontext

    instrumented: Any = nullcontext()
    if guided:
        import atheris

        instrumented = atheris.instrument_imports(include=["fleetlora"], enable_loader_override=False)
    skipped = ("fleetlora.__main__", "fleetlora.cli", "fleetlora.regret", "fleetlora.bench")
    with instrumented:
        import fleetlora

        for module in pkgutil.walk_packages(fleetlora.__path__, "fleetlora."):
            if not module.name.startswith(skipped):
                importlib.import_module(module.name)


def _fuzz_in_processes(name: str, runs: int, seed: int, found: Path, guided: bool) -> dict[str, Any]:
    """Return the tally of a reader over as many processes as it takes."""
    total: dict[str, Any] = {"reader": name, "executions": 0, "refused": 0, "seconds": 0.0, "slowest_s": 0.0}
    total |= {"peak_bytes": 0, "findings": {}}
    for attempt in range(_DEATHS):
        left = runs - total["executions"]
        if left <= 0:
            break
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "tally.json"
            status = _in_a_process(name, left, seed + 1000 * attempt, out, found, guided)
            tally = json.loads(out.read_text("utf-8")) if out.exists() else {"executions": 0, "findings": {}}
            _add(total, tally)
            if tally["executions"] < left:
                _died(total, status, out, found)
    return total


def _in_a_process(name: str, runs: int, seed: int, out: Path, found: Path, guided: bool) -> int:
    """Fuzz in a fork of this process, what it prints in a file beside ``out``; return its wait status."""
    from tests.fuzz.engine import fuzz
    from tests.fuzz.readers import READERS

    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        printed = os.open(out.with_suffix(".log"), os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        fuzz(READERS[name], runs, seed, out, found, guided)
    finally:
        os._exit(0)


def _add(total: dict[str, Any], tally: dict[str, Any]) -> None:
    for key in ("executions", "refused", "seconds"):
        total[key] += tally.get(key, 0)
    for key in ("slowest_s", "peak_bytes"):
        total[key] = max(total[key], tally.get(key, 0))
    for signature, one in tally["findings"].items():
        known = total["findings"].setdefault(signature, {**one, "times": 0})
        known["times"] += one["times"]


def _died(total: dict[str, Any], status: int, out: Path, found: Path) -> None:
    """Count what killed a process as a finding, and keep its last input."""
    said, last = (out.with_suffix(ending) for ending in (".log", ".last"))
    told = said.read_text("utf-8", "replace")[-2000:] if said.exists() else ""
    why = "hang" if "timeout" in told else "memory" if "out-of-memory" in told else "died"
    name = f"{why}-{len(total['findings'])}"
    if last.exists():
        found.mkdir(parents=True, exist_ok=True)
        (found / name).write_bytes(last.read_bytes())
    total["findings"][name] = {"times": 1, "input": name, "told": f"wait status {status}\n{told}"}
    total["executions"] += 1


def _line(tally: dict[str, Any]) -> str:
    return (
        f"{tally['reader']:14} {tally['executions']:8} executions, {tally['refused']:8} refused,"
        f" slowest {tally['slowest_s']:.2f} s, {tally['peak_bytes'] / 2**20:.0f} MiB,"
        f" {len(tally['findings'])} findings{''.join(chr(10) + '    ' + one for one in tally['findings'])}"
    )


def _summary(tallies: list[dict[str, Any]], wall_s: float, seed: int, guided: bool) -> dict[str, Any]:
    from fleetlora.doctor import versions

    host = versions()
    names = ("atheris", "polars", "pyarrow", "safetensors", "pydantic", "pillow")
    host["versions"] |= {name: version(name) for name in names if find_spec(_MODULES.get(name, name))}
    return {
        "bench": "fuzz",
        "seed": seed,
        "guided_by_coverage": guided,
        "executions": sum(tally["executions"] for tally in tallies),
        "findings": sum(len(tally["findings"]) for tally in tallies),
        "slowest_s": max(tally["slowest_s"] for tally in tallies),
        "peak_bytes": max(tally["peak_bytes"] for tally in tallies),
        "seconds": wall_s,
        "readers": {tally["reader"]: {k: v for k, v in tally.items() if k != "reader"} for tally in tallies},
        "host": host,
    }


if __name__ == "__main__":
    sys.exit(main())
