"""``fleetlora bench scale``: whole simulations of ever more vehicles; what they take, and how that grows.

A city of each size (:mod:`fleetlora.bench.city`) is played from its files to its run directory by what
``fleetlora run`` calls: contacts, radio, budgets, departures, policies, ledger, checkpoints and tables, only
without training and without drawing a report. Each is played by a process of its own, whose peak memory is
that run's.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import field_validator

from fleetlora.bench.city import TASKS, City
from fleetlora.bench.registry import BENCHES
from fleetlora.console import Progress, Quiet
from fleetlora.errors import FleetLoraError
from fleetlora.records import ledger_error_j
from fleetlora.settings import Settings, quantity
from fleetlora.threads import one_thread

__all__ = ["Scale", "exponent", "play"]

T = TypeVar("T")

_FEWEST = 100  # vehicles of a city


@BENCHES.register("scale")
class Scale(Settings):
    """The sizes, and how long each is played."""

    vehicles: tuple[int, ...] = quantity((1_000, 10_000, 100_000), "1", "sizes of the fleet", min_length=1)
    rounds: int = quantity(1000, "1", "rounds of each", ge=1)
    seed: int = quantity(0, "1", "seed of the cities", ge=0)

    @field_validator("vehicles")
    @classmethod
    def _vehicles(cls, vehicles: tuple[int, ...]) -> tuple[int, ...]:
        if min(vehicles) < _FEWEST:
            raise ValueError(f"a city has at least {_FEWEST} vehicles")
        return vehicles

    def measure(self, progress: Progress) -> dict[str, Any]:
        """Play every size, each in a process of its own."""
        rows = []
        progress.begin("sizes", len(self.vehicles))
        for vehicles in self.vehicles:
            city = City(vehicles=vehicles, rounds=self.rounds, seed=self.seed)
            with tempfile.TemporaryDirectory(prefix="fleetlora-scale-") as name:
                _alone(city.make, Path(name))
                rows.append(_alone(play, Path(name)))
            progress.advance(f"{vehicles:,} vehicles, {rows[-1]['cpu_s']:.0f} s")
        sizes = [row["vehicles"] for row in rows]
        return {
            "settings": self.model_dump(mode="json"),
            "city": city.model_dump(mode="json", exclude={"vehicles", "rounds", "seed"}),
            "tasks": len(TASKS),
            "learner": "a synthetic curve: nothing was trained",
            "clock": "processor seconds, one thread",
            "sizes": rows,
            "exponents": {
                name: exponent(sizes, [row[name] for row in rows]) for name in ("cpu_s", "peak_mib")
            },
        }

    def lines(self, measured: Mapping[str, Any]) -> Iterator[str]:
        """Yield two lines a size, and one for how time and memory grow."""
        for row in measured["sizes"]:
            yield (
                f"{row['vehicles']:,} vehicles, {row['rounds']:,} rounds: {row['cpu_s']:.0f} s "
                f"({row['build_s']:.0f} s to build), {row['wall_s']:.0f} s on the clock, "
                f"{row['peak_mib']:.0f} MiB"
            )
            yield (
                f"  {row['updates']['started']:,} updates, {row['updates']['arrived']:,} arrived, "
                f"{row['us_per_update']:.0f} µs each; overdrawn {row['overdraw_j']:g} J, "
                f"ledger and updates differ by {row['ledger_error_j']:g} J"
            )
        if len(measured["sizes"]) > 1:
            power = measured["exponents"]
            yield f"with V vehicles: time as V^{power['cpu_s']:.2f}, memory as V^{power['peak_mib']:.2f}"


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """Return the power of the size that fits the values best, by least squares in logarithms.

    Args:
        sizes: Sizes; with fewer than two there is no answer.
        values: What was measured at each, above 0.
    """
    if len(set(sizes)) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _alone(work: Callable[[Path], T], folder: Path) -> T:
    """Do the work in a fresh process with one thread.

    Raises:
        FleetLoraError: The process died.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_one_arrow_thread) as fresh:
        try:
            return fresh.submit(_with_one_thread, work, folder).result()
        except BrokenProcessPool:
            raise FleetLoraError(
                "the process that played it died",
                where="bench scale",
                mend="give it more memory, or fewer vehicles",
            ) from None


def _one_arrow_thread() -> None:
    import pyarrow as pa

    pa.set_cpu_count(1)


def _with_one_thread(work: Callable[[Path], T], folder: Path) -> T:
    with one_thread():
        return work(folder)


class _Stages(Quiet):
    """Notes when the rounds begin and when the last of them is over, in seconds of computing."""

    def __init__(self) -> None:
        self.began_s = time.process_time()
        self.built_s = self.played_s = 0.0

    def begin(self, what: str, total: int) -> None:
        """Take note that everything is built."""
        self.built_s = time.process_time() - self.began_s

    def advance(self, note: str = "") -> None:
        """Take note that a round is over."""
        self.played_s = time.process_time() - self.began_s


def play(folder: Path) -> dict[str, Any]:
    """Play the experiment in ``folder``; return what it came to and what it took, with one thread.

    ``cpu_s`` is the seconds of computing of the whole run; of them ``build_s`` until the first round begins,
    and ``rounds_s`` until the last is over, with its tables and checkpoints. The rest is the last test, the
    map and the last tables.
    """
    from fleetlora.api import run

    stages, clock_s = _Stages(), time.perf_counter()
    done = run(folder / "experiment.toml", folder / "run", overwrite=True, report=False, progress=stages)
    cpu_s, wall_s = time.process_time() - stages.began_s, time.perf_counter() - clock_s
    peak_mib, result = _peak_mib(), done.result
    rounds_s, started = stages.played_s - stages.built_s, result["updates"]["started"]
    return {
        "vehicles": result["vehicles"],
        "rsus": result["rsus"],
        "rounds": result["rounds"],
        "contacts": done.tables["contacts"].num_rows,
        "handoffs": result["handoffs"],
        "updates": result["updates"],
        "energy_j": result["energy_j"]["total"],
        "cpu_s": cpu_s,
        "build_s": stages.built_s,
        "rounds_s": rounds_s,
        "wall_s": wall_s,
        "peak_mib": peak_mib,
        "us_per_update": 1e6 * rounds_s / max(1, started),
        "overdraw_j": result["overdraw_j"],
        "ledger_error_j": ledger_error_j(done.tables["ledger"], done.tables["updates"]),
        "digest": result["digest"],
    }


def _peak_mib() -> float:
    """Return the most memory that this process has had.

    The system counts what the process had that started this one too, so that one must stay small.
    """
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
