"""The headline study: every table of docs/results.md comes from here.

    study.py budgets                      # joules of the largest fixed rank, per city
    study.py steps                        # every method's step size, on another slice of Warsaw
    study.py deadlines                    # every method's deadline with that step size, on the same slice
    study.py constants                    # with both, each method's own constant, where it has one
    study.py main --city warsaw           # all methods at 60 % of those joules
    study.py quick --city warsaw          # UCB-DUAL with a deadline of a second, against the same rivals
    study.py ablation --city warsaw       # UCB-DUAL without each of its parts
    study.py classes --city warsaw        # the best rivals with our way of training and merging heads
    study.py departures --city warsaw     # what departing vehicles do, with short rounds and with long ones
    study.py tight --city warsaw          # 30 % and 100 %, ours and the two best rivals
    study.py sensitivity --city warsaw    # bandwidth, devices, dwell: half and double
    study.py curve                        # a learning curve, fitted to the trained runs that are at hand
    study.py develop --curve FILE         # what a second costs, on the tuning slice with three bandwidths

Each stage can be interrupted and called again: it plays what is missing, and leaves its result beside this
file as JSON with machine, versions and seeds. What stands there already and is of today's settings and
version of fleetlora is not played again, on whatever machine it was played; so a stage can be played in
parts, method by method: `--methods A,B` plays these and keeps the others that are there. `--data DIR` is the
folder that `data/` stands for in the cities' files. With `--curve FILE` nothing is trained: a curve fitted to
runs of the main stage stands in, and the name of the result says so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fleetlora.comparison import compare, merge_documents, read_tuned, tune
from fleetlora.comparison.merge import by_host, host_of
from fleetlora.comparison.plan import expand, plan_jobs
from fleetlora.comparison.play import Processes
from fleetlora.comparison.terms import checksum_of, method_terms, shared_terms
from fleetlora.comparison.tune import choose
from fleetlora.config import Experiment, load_experiment
from fleetlora.console import Progress, progress_on
from fleetlora.curves import fit_curves, read_curves
from fleetlora.doctor import versions
from fleetlora.errors import ConfigError
from fleetlora.federation.learner import Jobs, Learned, Learner, Score
from fleetlora.files import write_text
from fleetlora.physics import DEFAULT_DEVICES
from fleetlora.tuning import GRID, Setting
from fleetlora.workshop import Workshop

HERE = Path(__file__).parent
#: What was tuned, each file with what is chosen on top of the one before.
STEPS, LIMITS, TUNED = (HERE / f"{name}.json" for name in ("tuned-steps", "tuned-deadlines", "tuned"))
CITIES = ("warsaw", "sf", "ingolstadt")
OURS, QUICK = "ucb-dual", "ucb-dual-quick"
#: Without FlexLoRA: with one adapted layer FedRA has no layers to draw, and is the same but for rounding.
RIVALS = (
    *("homolora", "hetlora", "fedra", "flora", "ffa"),
    *("random", "greedy", "primal-dual-bwk", "ucb-bv", "ucb-alp", "ucb-dual-paper"),
)
ABLATIONS = tuple(
    f"ucb-dual-{part}"
    for part in (
        *("no-dual", "no-pool", "no-foresight", "no-freshness"),
        *("no-skip", "no-tail", "no-classes", "no-departure", "loop", "paper-loop"),
    )
)
DEPARTURES = (
    *("fixed", "fixed-departure", "fixed-oracle-departure"),
    *("ucb-dual-no-departure", OURS, "ucb-dual-oracle-departure"),
)
CURVE = "curve.json"
#: Stages whose runs a curve is fitted to.
TRAINED = ("main", "quick", "classes", "ablation")
#: Stages of the tuning slice or of all cities; the others are of one city.
TUNING = ("budgets", "steps", "deadlines", "constants", "curve", "develop")
STAGES = (*TUNING, "main", "quick", "ablation", "classes", "departures", "tight", "sensitivity")
#: Mean accuracy whose first reach is timed, the same in every city and table.
TARGET = 0.7
SEEDS, TUNING_SEED, DEVELOPMENT_SEEDS = (0, 1, 2), 100, (100, 101, 102)
SECONDS = (
    "policy.gain_time_s=0.75",
    *(f"policy.gain_latencies={typical}" for typical in (0.8, 1.0, 1.2, 1.5)),
)
#: Every step size is tried with short rounds and with long ones: the more updates, the smaller it should be.
LENGTHS = ("round.deadline_s=2.0", "round.deadline_s=30.0")
STEP_SIZES = tuple((step, length) for length in LENGTHS for (step,) in GRID)
DEADLINES = tuple((f"round.deadline_s={seconds}",) for seconds in (1.5, 2.0, 3.0))
#: What is tried too where the best lies at an edge of a grid.
BEYOND_STEPS: dict[Setting, Setting] = {
    (f"training.rate_factor={edge}", length): (f"training.rate_factor={beyond}", length)
    for edge, beyond in ((1.0, 0.5), (0.5, 0.25), (8.0, 16.0))
    for length in LENGTHS
}
BEYOND_DEADLINES: dict[Setting, Setting] = {
    DEADLINES[0]: ("round.deadline_s=1.0",),
    DEADLINES[-1]: ("round.deadline_s=30.0",),
}


def _values(key: str, *values: float) -> tuple[Setting, ...]:
    return tuple((f"{key}={value}",) for value in values)


#: Three values of the constant that a method's behaviour hangs on most.
CONSTANTS = {
    **dict.fromkeys((OURS, QUICK), _values("policy.gain_latencies", 0.8, 1.2, 1.8)),
    "ucb-dual-paper": _values("policy.bonus", 0.03, 0.1, 0.3),
    "hetlora": _values("aggregation.gamma", 0.85, 0.99, 1.0),
    "ucb-alp": _values("policy.exploration", 0.1, 0.3, 1.0),
    "ucb-bv": _values("policy.exploration", 0.03, 0.1, 1.0),
    "primal-dual-bwk": _values("policy.confidence", 0.03, 0.1, 1.0),
}
BEYOND_CONSTANTS: dict[Setting, Setting] = {
    (f"{key}={edge}",): (f"{key}={beyond}",)
    for key, edge, beyond in (
        ("policy.gain_latencies", 0.8, 0.5),
        ("policy.gain_latencies", 1.8, 2.7),
        ("policy.bonus", 0.03, 0.01),
        ("policy.bonus", 0.3, 1.0),
        ("policy.exploration", 0.03, 0.01),
        ("policy.exploration", 1.0, 3.0),
        ("policy.confidence", 0.03, 0.01),
        ("policy.confidence", 1.0, 3.0),
    )
}
#: Of deadlines or constants whose accuracies are closer than this, the one with the shorter rounds is
#: chosen: a standard error of three tests of 1,000 texts, sqrt(0.8 · 0.2 / 3000).
TOLERANCE = 0.007


def _devices(factor: float) -> str:
    """Return the override that multiplies the share of the two slow device classes, the others' less."""
    slow = {device.name for device in DEFAULT_DEVICES[:2]}
    before = sum(device.share for device in DEFAULT_DEVICES if device.name in slow)
    after = min(0.95, factor * before)
    rest = (1 - after) / (1 - before)
    rows = [
        device.model_dump(mode="json", exclude_none=True)
        | {"share": device.share * (after / before if device.name in slow else rest)}
        for device in DEFAULT_DEVICES
    ]
    tables = [
        "{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in row.items()) + "}" for row in rows
    ]
    return f"devices=[{', '.join(tables)}]"


#: Half and double of what the world is made of: the band, the slow devices' share, and how far an RSU
#: reaches, which is how long a vehicle dwells with it.
SENSITIVITY = {
    "bandwidth": ("radio.bandwidth_hz=5e6", "radio.bandwidth_hz=20e6"),
    "slow-devices": (_devices(0.5), _devices(2.0)),
    "dwell": ("sites.association.min_sinr_db=4.5", "sites.association.min_sinr_db=-16.5"),
}


class Untrained:
    """A learner that moves bytes and joules and learns nothing: enough for a rank that is fixed."""

    def __init__(self, real: Learner) -> None:
        self.costs, self.samples, self.model_bytes = real.costs, real.samples, real.model_bytes
        self.test_steps = real.test_steps

    def train(self, task: int, round: int, jobs: Jobs, progress: float) -> Learned:
        """Learn nothing."""
        return Learned.unknown(len(jobs))

    def sync(self, task: int) -> None:
        """Merge nothing."""

    def evaluate(self, task: int, samples: int | None) -> Score:
        """Test nothing."""
        return Score(float("nan"), float("nan"), 0)


class Study:
    """Runs the stages."""

    def __init__(
        self,
        data: Path,
        out: Path,
        workers: Processes,
        progress: Progress,
        curve: Path | None = None,
        asked: Sequence[str] = (),
    ) -> None:
        self.data, self.out, self.workers, self.progress = data, out, workers, progress
        self.given = curve
        ranks = load_experiment(self.source("tuning")).lora.ranks
        self.methods, self.largest = tuple(expand((OURS, *RIVALS), ranks)), f"homolora-{max(ranks)}"
        self.asked = tuple(expand(asked, ranks))

    def source(self, city: str) -> Path:
        """Return the city's file with ``data/`` put in its place."""
        path, file = self.out / f"{city}.toml", HERE / f"{city}.toml"
        write_text(path, file.read_text("utf-8").replace('"data/', f'"{self.data.resolve()}/'))
        return path

    def budgets(self) -> None:
        """Measure what the largest fixed rank spends in each city's window without a budget."""
        found = {}
        for city in (*CITIES, "tuning"):
            seeds = SEEDS if city in CITIES else (TUNING_SEED,)
            spent = [self._spent_j(self.source(city), seed) for seed in seeds]
            self.progress.say(f"{city}: {[round(j) for j in spent]} J")
            found[city] = {"seeds": list(seeds), "joules": spent, "mean_j": statistics.fmean(spent)}
        self._write("budgets", {"method": "homolora, largest rank, no budget", "cities": found})

    def _spent_j(self, source: Path, seed: int) -> float:
        from fleetlora.build import build_learner, build_simulation

        experiment: Experiment = load_experiment(source, method="homolora", seed=seed)
        workshop = Workshop()
        world = workshop.world(experiment)
        learner = build_learner(experiment, workshop.materials(experiment, world))
        simulation = build_simulation(experiment, world, Untrained(learner))  # type: ignore[arg-type]
        simulation.run()
        return float(simulation.ledger.total_j())

    def total(self, city: str, share: float) -> str:
        """Return the override that sets the city's joules to a share of the largest fixed rank's."""
        return f"budget.total_j={round(share * _recorded('budgets')['cities'][city]['mean_j'])}"

    def steps(self) -> None:
        """Choose every method's step size on the tuning slice, with short rounds or with long ones."""
        self._tune(STEPS, dict.fromkeys(self.methods, STEP_SIZES), BEYOND_STEPS, keep=1)

    def deadlines(self) -> None:
        """Choose how long every method's rounds may last, with the step size chosen before."""
        self._tune(LIMITS, dict.fromkeys(self.methods, DEADLINES), BEYOND_DEADLINES, STEPS, TOLERANCE)

    def constants(self) -> None:
        """Choose each method's own constant, with what was chosen before; those without one keep that.

        The quick variant has the step size of ours, and a deadline of its own.
        """
        chosen = {**read_tuned(LIMITS).chosen, QUICK: read_tuned(STEPS).chosen[OURS]}
        before = self._chosen("limits", chosen, LIMITS)
        self._tune(TUNED, CONSTANTS, BEYOND_CONSTANTS, before, TOLERANCE)

    def _tune(
        self,
        path: Path,
        grids: Mapping[str, Sequence[Setting]],
        beyond: Mapping[Setting, Setting],
        tuned: Path | None = None,
        tolerance: float = 0.0,
        keep: int | None = None,
    ) -> None:
        """Try what the methods that are asked for lack, keep what is there, and choose.

        Kept is what was tried with today's version, on today's terms, on top of what ``tuned`` holds today.

        Args:
            path: Where it is written.
            grids: What is tried, by method.
            beyond: What is tried too where the best lies at an edge.
            tuned: What was chosen before.
            tolerance: Accuracy that may be given up for shorter rounds.
            keep: How many values of the best setting are chosen; all if not given.
        """
        there = _recorded(path.stem) if path.exists() else {"methods": {}}
        before = read_tuned(tuned).chosen if tuned else dict.fromkeys(self.methods, ())
        methods = [method for method in dict.fromkeys((OURS, QUICK, *self.methods)) if method in before]
        unknown = [method for method in self.asked if method not in methods]
        if unknown:
            raise ConfigError(f"{unknown[0]} is not tuned here", where="--methods", mend=", ".join(methods))
        terms = self._terms(methods, before)
        scores = {
            method: one["scores"]
            for method, one in there["methods"].items()
            if one.get("terms") == terms.get(method) and _is_todays(host_of(there, method))
        }
        hosts, asked = {method: host_of(there, method) for method in scores}, self.asked or methods

        def chosen(method: str) -> Sequence[str]:
            return list(choose(scores[method], tolerance)["overrides"])

        def tried(method: str, setting: Setting) -> bool:
            return any(one["overrides"] == [*before[method], *setting] for one in scores.get(method, ()))

        def play(methods: Sequence[str], grid: Sequence[Setting], folder: str) -> None:
            found = tune(
                self.source("tuning"),
                methods,
                (TUNING_SEED,),
                self.out / folder,
                grid=grid,
                tuned=tuned,
                overrides=[self.total("tuning", 0.6)],
                executor=self.workers,
                progress=self.progress,
            ).document
            there.update(found)
            for method in methods:
                scores[method] = [*scores.get(method, ()), *found["methods"][method]["scores"]]
                hosts[method] = found["host"]

        for setting in dict.fromkeys(setting for grid in grids.values() for setting in grid):
            lacking = [m for m in asked if setting in grids.get(m, ()) and not tried(m, setting)]
            if lacking:
                play(lacking, (setting,), f"{path.stem}-{'-'.join(setting)}")
        for edge, next_one in beyond.items():
            at_it = [
                m
                for m in asked
                if m in scores and chosen(m)[-len(edge) :] == list(edge) and not tried(m, next_one)
            ]
            if at_it:
                play(at_it, (next_one,), f"{path.stem}-{'-'.join(next_one)}")
        found = {
            method: {"overrides": chosen(method)[:keep], "terms": terms[method], "scores": scores[method]}
            for method in methods
            if method in scores
        }
        parts = by_host({method: hosts[method] for method in found})
        kept = {method: {"overrides": list(before[method])} for method in methods if method not in grids}
        self._write(path.stem, there | {"tolerance": tolerance, "methods": {**found, **kept}, "parts": parts})

    def _terms(self, methods: Sequence[str], chosen: Mapping[str, Setting]) -> dict[str, str]:
        """Return a checksum by method of all that decides how it comes out on the tuning slice today."""
        configs = self._configs("tuning", methods, [self.total("tuning", 0.6)], chosen)
        terms = {m: self._told({**shared_terms(c), **method_terms(c)}) for m, c in configs.items()}
        return {
            m: hashlib.sha256(json.dumps(t, sort_keys=True).encode()).hexdigest() for m, t in terms.items()
        }

    def _configs(
        self, city: str, methods: Sequence[str], overrides: Sequence[str], chosen: Mapping[str, Setting]
    ) -> dict[str, Any]:
        """Return by method the configuration that it would be played with today, whatever the seed."""
        jobs = plan_jobs(self.source(city), methods, SEEDS[:1], self.out, list(overrides), dict(chosen))
        return {job.experiment.method: job.experiment.model_dump(mode="json") for job in jobs}

    def develop(self) -> None:
        """Play UCB-DUAL with prices of a second by the clock and by typical latencies, in three bands."""
        rows = []
        for bandwidth_hz in (5e6, 10e6, 20e6):
            for second in SECONDS:
                settings = (f"radio.bandwidth_hz={bandwidth_hz:g}", *read_tuned(TUNED).chosen[OURS], second)
                done = self._played(
                    f"develop/{bandwidth_hz:g}-{second}", "tuning", (OURS,), DEVELOPMENT_SEEDS, 0.6, settings
                )
                found = done["results"][OURS]
                keys = ("accuracy", "latency_s", "energy_j", "arrived")
                rows.append({"bandwidth_hz": bandwidth_hz, "second": second} | {k: found[k] for k in keys})
        about = {"seeds": list(DEVELOPMENT_SEEDS), "learner": done.get("learner"), "rows": rows}
        self._write(self._name("develop"), about)

    def main(self, city: str) -> None:
        """Compare all methods at 60 %."""
        self._compare(f"main-{city}", city, self.methods, 0.6)

    def quick(self, city: str) -> None:
        """Compare UCB-DUAL with a deadline of a second with the rivals of the main comparison."""
        rivals = [method for method in _recorded(f"main-{city}")["methods"] if method != OURS]
        self._compare(f"quick-{city}", city, (QUICK, *rivals), 0.6, beside=(f"main-{city}",))

    def ablation(self, city: str) -> None:
        """Compare UCB-DUAL with itself less each part, all with what was tuned for it."""
        methods = (OURS, *ABLATIONS)
        tuned = self._chosen("ablation", dict.fromkeys(methods, read_tuned(TUNED).chosen[OURS]))
        self._compare(f"ablation-{city}", city, methods, 0.6, tuned=tuned, beside=(f"main-{city}",))

    def classes(self, city: str) -> None:
        """Give rivals our way of training and merging heads: what the rest of ours adds.

        The two most accurate ones, and the one with the shortest rounds.
        """
        settings = ("training.own_classes=true", "aggregation.keep_classes=true")
        methods = tuple(dict.fromkeys((OURS, QUICK, *self.best(city), self.quickest(city))))
        beside = (f"main-{city}", f"quick-{city}")
        self._compare(f"classes-{city}", city, methods, 0.6, settings, beside=beside)

    def departures(self, city: str) -> None:
        """Compare departure rules, each told nothing, something, or (an upper bound) all.

        One large rank for all has long rounds, UCB-DUAL the deadline that was tuned for it.
        """
        ours, step = read_tuned(TUNED).chosen[OURS], read_tuned(STEPS).chosen[self.largest]
        fixed = (*step, *BEYOND_DEADLINES[DEADLINES[-1]])
        chosen = {method: fixed if method.startswith("fixed") else ours for method in DEPARTURES}
        self._compare(f"departures-{city}", city, DEPARTURES, 0.6, tuned=self._chosen("departures", chosen))

    def tight(self, city: str) -> None:
        """Compare ours with the two best rivals at 30 % and 100 %."""
        for share in (0.3, 1.0):
            self._compare(f"budget{round(100 * share)}-{city}", city, (OURS, *self.best(city)), share)

    def sensitivity(self, city: str) -> None:
        """Compare ours with the two best rivals in worlds of half and double bandwidth, devices, dwell."""
        for what, settings in SENSITIVITY.items():
            for size, setting in zip(("half", "double"), settings, strict=True):
                name = f"sensitivity-{what}-{size}-{city}"
                self._compare(name, city, (OURS, *self.best(city)), 0.6, (setting,))

    def curve(self) -> None:
        """Fit a learning curve to all trained comparisons of the cities that are at hand.

        Those that it is to stand in for are played in Warsaw if they are not at hand.
        """
        self._played("main-warsaw", "warsaw", (OURS, *self.best("warsaw")), SEEDS, 0.6, (), TUNED)
        names = [f"{stage}-{city}" for stage in TRAINED for city in CITIES]
        folders = [path for name in names if ((path := self.out / name) / "comparison.json").exists()]
        self._write("curve", dict(fit_curves(folders, self.out / CURVE, ("flora",), self.progress).document))

    def best(self, city: str) -> list[str]:
        """Return the two rivals with the highest accuracy of the city's main comparison."""
        accuracy = self._rivals(city, "accuracy")
        return sorted(accuracy, key=lambda name: -accuracy[name])[:2]

    def quickest(self, city: str) -> str:
        """Return the rival with the shortest rounds of the city's main comparison."""
        latency_s = self._rivals(city, "latency_s")
        return min(latency_s, key=lambda name: latency_s[name])

    def _rivals(self, city: str, measure: str) -> dict[str, float]:
        """Return the mean of a measure for every rival of the city's main comparison."""
        results = _recorded(f"main-{city}")["results"]
        return {name: values[measure]["value"] for name, values in results.items() if name != OURS}

    def _compare(
        self,
        name: str,
        city: str,
        methods: Sequence[str],
        share: float,
        settings: Sequence[str] = (),
        tuned: Path | None = None,
        beside: Sequence[str] = (),
    ) -> None:
        """Play what no recorded result holds, this one or those beside it, and write down all of it.

        Of the methods those that are asked for, and those that are recorded.
        """
        tuned = tuned or TUNED
        names = (self._name(name), *(beside if self.given is None else ()))
        parts = self._held(names, city, methods, share, settings, tuned)
        there = {method for part in parts for method in part["methods"]}
        lacking = [m for m in methods if m not in there and (not self.asked or m in self.asked)]
        if lacking:
            parts.insert(0, self._played(name, city, lacking, SEEDS, share, settings, tuned))
        held = [method for method in methods if method in {*there, *lacking}]
        self._write(self._name(name), merge_documents(parts, held, TARGET))

    def _chosen(self, name: str, chosen: Mapping[str, Setting], tuned: Path | None = None) -> Path:
        """Leave a file like a tuning's that lays over methods what was not tuned for themselves."""
        methods = {method: {"overrides": list(overrides)} for method, overrides in chosen.items()}
        path = self.out / f"tuned-{name}.json"
        write_text(path, json.dumps({**read_tuned(tuned or TUNED).document, "methods": methods}, indent=1))
        return path

    @property
    def _stand_in(self) -> Setting:
        """What is laid over every run where a curve stands in for training."""
        return () if self.given is None else ("learner.kind=curve", f"learner.curve={self.given.resolve()}")

    def _name(self, name: str) -> str:
        """Return the name of a result, which says so where a curve stands in for training."""
        return name if self.given is None else f"{name}-curve"

    def _held(
        self,
        names: Sequence[str],
        city: str,
        methods: Sequence[str],
        share: float,
        settings: Sequence[str],
        tuned: Path,
    ) -> list[dict[str, Any]]:
        """Return the recorded results, each with those methods alone that would be played just so today."""
        overrides = [self.total(city, share), *settings, *self._stand_in]
        configs = self._configs(city, methods, overrides, read_tuned(tuned).chosen)
        curve = None if self.given is None else read_curves(self.given).checksum
        found = []
        for document in (_recorded(name) for name in names if (HERE / f"{name}.json").exists()):
            held = [
                method
                for method in document["methods"]
                if method in configs
                and _is_todays(host_of(document, method))
                and document["terms"] == self._told(shared_terms(configs[method]))
                and document["method_terms"][method] == self._told(method_terms(configs[method]))
            ]
            same = document["seeds"] == list(SEEDS) and checksum_of(document) == curve
            if held and same:
                found.append({**document, "methods": held})
        return found

    def _played(
        self,
        name: str,
        city: str,
        methods: Sequence[str],
        seeds: Sequence[int],
        share: float,
        settings: Sequence[str],
        tuned: Path | None = None,
    ) -> dict[str, Any]:
        """Play a comparison, or what is missing of it, and return its document as it is recorded."""
        done = compare(
            self.source(city),
            methods,
            seeds,
            self.out / self._name(name),
            overrides=[self.total(city, share), *settings, *self._stand_in],
            executor=self.workers,
            tuned=tuned,
            progress=self.progress,
        )
        return dict(self._told(done.document))

    def _told(self, value: Any) -> Any:
        """Return a value as it is recorded: rounded, and without this machine's paths."""
        text = json.dumps(_rounded(value))
        for path, stands_for in (
            (self.data, "data"),
            (self.out, "runs/headline"),
            (HERE, "benchmarks/headline"),
        ):
            text = text.replace(str(path.resolve()), stands_for)
        return json.loads(text)

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        document = {**document, "host": {**versions(), **document.get("host", {})}}
        write_text(HERE / f"{name}.json", json.dumps(self._told(document), indent=1) + "\n")


def _recorded(name: str) -> dict[str, Any]:
    """Return a result that stands beside this file."""
    return dict(json.loads((HERE / f"{name}.json").read_text("utf-8")))


def _is_todays(host: Mapping[str, Any]) -> bool:
    """Tell whether a result was played with this version of fleetlora."""
    return bool(host["versions"]["fleetlora"] == versions()["versions"]["fleetlora"])


def _rounded(value: Any) -> Any:
    """Return a document with floats of six significant digits, so that the file stays small."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return (
        float(np.format_float_positional(value, 6, fractional=False)) if isinstance(value, float) else value
    )


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--city", choices=CITIES, action="append", help="default: all three")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("runs/headline"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--curve", type=Path, help="stands in for training; main has none")
    parser.add_argument("--methods", default="", help="A,B: tune or play these, beside those that are there")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Play a stage, as the command line or ``words`` ask for it."""
    given = _arguments(words)
    with progress_on() as shown, Processes(given.jobs) as workers:
        asked = [name for name in given.methods.split(",") if name]
        study = Study(given.data, given.out, workers, shown, given.curve, asked)
        stage = getattr(study, given.stage)
        if given.stage in TUNING:
            stage()
        else:
            for city in given.city or CITIES:
                stage(city)


if __name__ == "__main__":
    main()
