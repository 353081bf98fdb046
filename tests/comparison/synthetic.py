"""Finished runs as a comparison sees them, made of plausible numbers instead of hours of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fleetlora.comparison.document import build_document
from fleetlora.comparison.measures import Curve, Played
from fleetlora.methods import homolora_rank
from fleetlora.records import Run, RunIdentity

#: How good, how slow and how hungry each method is, next to one rank 4 for all.
METHODS: dict[str, tuple[float, float, float]] = {
    "ucb-dual": (0.030, 0.72, 0.80),
    "ucb-dual-paper": (0.016, 0.80, 0.86),
    "homolora-2": (-0.020, 0.70, 0.74),
    "homolora-4": (0.0, 1.0, 1.0),
    "homolora-8": (0.012, 1.5, 1.3),
    "homolora-16": (0.006, 2.4, 1.6),
    "random": (-0.012, 1.45, 1.2),
    "greedy": (0.002, 1.9, 1.5),
    "ucb-bv": (0.008, 1.0, 1.0),
    "ucb-alp": (0.011, 1.05, 0.98),
    "primal-dual-bwk": (0.009, 1.1, 1.02),
    "hetlora": (-0.006, 1.15, 1.1),
    "flora": (0.004, 1.9, 1.35),
    "flexlora": (0.003, 1.15, 1.1),
    "ffa": (-0.025, 0.92, 0.95),
    "fedra": (-0.035, 0.9, 0.93),
    "fedit": (-0.004, 1.02, 1.0),
    "head-only": (-0.11, 0.5, 0.55),
}
RULES = ("hetlora", "flora", "flexlora", "ffa", "fedra", "fedit")
TASKS = ("newsgroups", "reuters", "clinc150")


def config(method: str, seed: int, **changes: Any) -> dict[str, Any]:
    """Return the configuration of a run; ``changes`` are laid over its sections."""
    rank = homolora_rank(method)
    policy: dict[str, Any] = (
        {"name": "fixed"} if rank or method in ("head-only", *RULES) else {"name": method}
    )
    if method == "ucb-dual-paper":
        policy = {"name": "ucb-dual", "pooled": False}
    values: dict[str, Any] = {
        "name": "grid-city",
        "method": method,
        "seed": seed,
        "traces": {"source": "warsaw", "start_s": 175.0},
        "lora": {"ranks": [2, 4, 8, 16]},
        "policy": {**policy, **({"rank": rank} if rank else {})},
        "aggregation": {"rule": method if method in RULES else "product"},
        "departure": {"rule": "drop"},
        "training": {"train_adapter": method != "head-only", "steps": 2},
        "round": {"count": 40},
        "budget": {"total_j": 5000.0},
        "tasks": [{"name": task, "source": "texts"} for task in TASKS],
    }
    for section, more in changes.items():
        values[section] = {**values[section], **more} if isinstance(more, dict) else more
    return values


def played(
    method: str, seed: int, folder: Path = Path("/runs"), tasks: Sequence[str] = TASKS, **changes: Any
) -> Played:
    """Return a run of ``method``; a method that is not known is as one rank 4 for all."""
    gain, slow, hungry = METHODS.get(method, (0.0, 1.0, 1.0))
    rng = np.random.default_rng([seed, sum(map(ord, method))])
    luck = np.random.default_rng(seed).normal(0, 0.01)  # the same for all methods of a seed
    final = 0.84 + gain + luck + rng.normal(0, 0.003)
    latency_s, energy_j = 6.4 * slow * rng.uniform(0.97, 1.03), 4000 * hungry * rng.uniform(0.98, 1.02)
    steps = np.arange(1, 21)
    t_s, joules = steps * 2 * latency_s, energy_j * steps / 20
    accuracy = final - (final - 0.3) * np.exp(-steps / 4) + rng.normal(0, 0.004, 20)
    accuracy[-1] = final
    started = int(rng.integers(700, 900))
    lost, abandoned, early, handed = (int(started * p) for p in (0.05, 0.02, 0.03, 0.06))
    values: dict[str, float | None] = {
        "accuracy": float(final),
        "latency_s": float(latency_s),
        "total_s": float(t_s[-1]),
        "energy_j": float(energy_j),
        "wasted_j": 0.07 * float(energy_j),
        "delivered_share": 1 - (lost + abandoned) / started,
        "rounds": 40,
        "started": started,
        "arrived": started - lost - abandoned,
        "early": early,
        "handed_off": handed,
        "abandoned": abandoned,
        "lost": lost,
        "mean_rank": float(homolora_rank(method) or 5.5),
        "handoffs": 812,
        "overdraw_j": 0.0,
        "rsu_j": 900.0,
    }
    for k, task in enumerate(tasks):
        values[f"accuracy.{task}"], values[f"energy_j.{task}"] = float(final) + 0.02 * (1 - k), energy_j / 3
    result = {"status": "complete", "digest": f"{seed:02d}{method}", "tasks": dict.fromkeys(tasks)}
    run = Run(
        folder / method / f"seed-{seed}",
        "",
        config(method, seed, **changes),
        {},
        RunIdentity(method, "grid-city", seed, 1432, 32),
        result,
    )
    return Played(method, seed, run, values, Curve(t_s, joules, accuracy))


def document(
    methods: Sequence[str] = tuple(METHODS), seeds: Sequence[int] = range(5), **options: Any
) -> dict[str, Any]:
    """Return the contents of ``comparison.json`` of a made-up comparison."""
    return build_document([played(m, s) for m in methods for s in seeds], Path("/runs"), **options)
