"""A SUMO scenario as fixes: the simulation is run through libsumo, once, and its output kept in the cache.

SUMO itself writes the positions (FCD, in Parquet), which is faster than asking libsumo for every vehicle in
every step. The output is found again by a hash of the configuration, every input file, the options and SUMO's
version. Which vehicles are kept (``vehicle_types``, ``share``) is decided on reading: no new simulation.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

from fleetlora.assets import derived_dir, make_folder
from fleetlora.errors import InputError, MissingDependencyError
from fleetlora.settings import quantity
from fleetlora.traces.fixes import DEGREES, LOCAL, RawFixes
from fleetlora.traces.sources import TRACE_SOURCES
from fleetlora.traces.sumo_columns import VehicleChoice
from fleetlora.traces.sumo_formats import read_fcd
from fleetlora.traces.sumo_inputs import Scenario, read_scenario
from fleetlora.traces.sumo_net import has_projection
from fleetlora.traces.sumo_run import FCD, RECORD, Run, simulate
from fleetlora.traces.textfile import find_file

__all__ = ["SumoScenario"]

#: Called with the simulated second reached and the last one, which may not be known.
Progress = Callable[[float, float | None], None]

_FORMAT = 1  # part of the cache's key: raise it when the meaning of what is kept changes


@TRACE_SOURCES.register("sumo")
class SumoScenario(VehicleChoice):
    """A simulation of a scenario; it always starts at the scenario's own begin, so that streets fill up."""

    path: str = quantity(..., "file", "SUMO configuration (*.sumocfg), or 'asset:sumo-rl/...'")
    begin_s: float | None = quantity(None, "s", "first simulated second recorded; none: the scenario's", ge=0)
    end_s: float | None = quantity(None, "s", "simulated second at which to end; none: the scenario's", ge=0)
    period_s: float = quantity(1.0, "s", "time between fixes, a multiple of the step", gt=0)
    step_s: float | None = quantity(None, "s", "length of a simulation step; none: the scenario's", gt=0)
    scale: float | None = quantity(None, "1", "factor on the demand; none: the scenario's", gt=0)
    seed: int | None = quantity(None, "1", "seed of the simulation; none: the scenario's", ge=0)

    def read(self, progress: Progress | None = None) -> RawFixes:
        """Return the fixes of all vehicles kept, after running the simulation unless its output is cached.

        Args:
            progress: Told how far a running simulation is.

        Raises:
            MissingDependencyError: SUMO is not installed.
            InputError: The scenario or an option is wrong, SUMO failed, or the cache cannot be written.
        """
        version = _sumo_version()
        scenario = read_scenario(find_file(self.path))
        run = self.plan(scenario)
        folder = derived_dir("sumo") / f"{scenario.config.stem}-{_key(scenario, run, version)}"

        def make(fresh: Path, scratch: Path) -> None:
            simulate(scenario, run, fresh, scratch, progress)

        make_folder(folder, lambda: _is_whole(folder), make)
        columns, _ = read_fcd(folder / FCD)
        raw = columns.fixes(self, DEGREES if run.geo else LOCAL, str(self.path), scenario.config.stem)
        if not len(raw):
            raise InputError(
                f"none of the {len(columns.names)} vehicles that drove from {run.begin_s:g} s "
                f"to {'its end' if run.end_s is None else f'{run.end_s:g} s'} was kept",
                where=str(self.path),
                mend="check begin_s, end_s, vehicle_types and share",
            )
        return raw

    def plan(self, scenario: Scenario) -> Run:
        """Return how to run a scenario under these options.

        Raises:
            InputError: The recorded time is empty, or the fixes do not fall on simulation steps.
        """
        starts_s = scenario.seconds("begin", 0.0)
        begin_s = max(starts_s, self.begin_s or 0.0)
        own_end_s = scenario.seconds("end", -1.0)
        end_s = self.end_s if self.end_s is not None else (own_end_s if own_end_s >= 0 else None)
        if end_s is not None and end_s <= begin_s:
            raise InputError(
                f"recording would end at {end_s:g} s, not after its begin at {begin_s:g} s",
                where=str(self.path),
                mend=f"the scenario runs from {starts_s:g} s"
                + (f" to {own_end_s:g} s" if own_end_s >= 0 else "")
                + ": set begin_s and end_s inside it",
            )
        step_s = self.step_s or scenario.seconds("step-length", 1.0)
        steps = self.period_s / step_s
        if abs(steps - round(steps)) > 1e-6 or round(steps) < 1:
            raise InputError(
                f"period_s {self.period_s:g} is no multiple of the simulation step of {step_s:g} s",
                where=str(self.path),
                mend="change period_s or step_s; SUMO would otherwise record at other times",
            )
        geo = has_projection(scenario.net)
        return Run(begin_s, end_s, self.period_s, step_s, self.scale, self.seed, geo)


def _sumo_version() -> str:
    if importlib.util.find_spec("libsumo") is None:
        raise MissingDependencyError(
            "SUMO is not installed", where="trace source 'sumo'", mend="pip install 'fleetlora[sumo]'"
        )
    return importlib.metadata.version("libsumo")


def _key(scenario: Scenario, run: Run, version: str) -> str:
    text = json.dumps([_FORMAT, version, scenario.digest(), run.options()])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _is_whole(folder: Path) -> bool:
    """Return whether a cached run has its record, and its output the size noted there."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return bool((folder / FCD).stat().st_size == record["bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
