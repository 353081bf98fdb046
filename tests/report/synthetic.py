"""A run directory as a real one would be, made of plausible numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleetlora.records import (
    OUTCOMES,
    Ledger,
    MapData,
    RunIdentity,
    RunWriter,
    build_result,
    street_lines,
    write_map,
)

CONFIG = """\
name = "grid-city"
method = "ucb-dual"
seed = 7

[traces]
source = "warsaw"
path = "asset:warsaw-buses/data_0.txt"

[lora]
ranks = [1, 2, 4, 8, 16]
alpha = 16.0

[[devices]]
name = "orin-nano"
share = 0.6

[[devices]]
name = "xavier-nx"
share = 0.4

[policy]
name = "ucb-dual"
bonus = 0.5
"""
RANKS = np.array([1, 2, 4, 8, 16])
BLOCK_M = 400.0


@dataclass(frozen=True)
class City:
    """What the made-up run is like."""

    tasks: Sequence[str] = ("reuters52", "20newsgroups", "clinc150")
    vehicles: int = 200
    rsus: int = 9
    rounds: int = 48
    round_s: float = 30.0
    frames: int = 100
    blocks: int = 16
    budget_j: float | None = 170_000.0
    all_lost: bool = False
    with_map: bool = True
    unit_name: str = "Plac"
    vehicle_name: str = "bus"
    seed: int = 7
    preset: str = "grid-city"


def make_run(directory: Path, city: City, finish: bool = True, config: str = CONFIG) -> Path:
    """Write the run of ``city`` to ``directory``; without ``finish`` it is as Ctrl-C would leave it."""
    rng = np.random.default_rng(city.seed)
    identity = RunIdentity("ucb-dual", city.preset, city.seed, city.vehicles, city.rsus)
    writer = RunWriter(directory, config, identity)
    ledger = Ledger(city.tasks, dict.fromkeys(city.tasks, city.budget_j))
    for number in range(city.rounds):
        for index, task in enumerate(city.tasks):
            _round(writer, ledger, city, rng, number, index, task)
        writer.append_ledger(ledger)
    world = _drive(city, rng)
    writer.append("contacts", _contacts(world))
    if city.with_map:
        write_map(world, writer.map_path)
    writer.flush()
    if finish:
        head = {task: {"accuracy_head_only": 0.62 + 0.05 * k} for k, task in enumerate(city.tasks)}
        versions = {"fleetlora": "0.1.0", "python": "3.11.2", "numpy": "2.4.0", "torch": "2.13.0"}
        host = {"seconds": 184.2, "checkpoints_seconds": 3.684, "versions": versions}
        writer.finish(build_result(identity, writer.tables(), tasks=head, host=host))
    return directory


def _round(
    writer: RunWriter, ledger: Ledger, city: City, rng: np.random.Generator, number: int, k: int, task: str
) -> None:
    progress = number / max(city.rounds - 1, 1)
    admitted = min(int(rng.integers(28, 46)), city.vehicles)
    start_s = number * city.round_s
    vehicle = rng.choice(city.vehicles, admitted, replace=False)
    taste = np.exp(-((np.arange(5) - (3.2 - 2.4 * progress + 0.3 * k)) ** 2) / 1.4)
    rank = RANKS[rng.choice(5, admitted, p=taste / taste.sum())]
    device = np.where(vehicle % 5 < 3, "orin-nano", "xavier-nx")
    download_s = 0.4 + 0.08 * rank * rng.uniform(0.6, 1.6, admitted)
    compute_s = (
        (5.0 + 0.25 * rank) * np.where(device == "orin-nano", 1.0, 1.5) * rng.uniform(0.9, 1.1, admitted)
    )
    upload_s = 0.6 + 0.16 * rank * rng.uniform(0.6, 2.2, admitted)
    share = [0, 0, 0, 0.2, 0.8] if city.all_lost else [0.78, 0.08, 0.06, 0.03, 0.05]
    outcome = np.array(OUTCOMES)[rng.choice(5, admitted, p=share)]
    phases = {"download": 2.5 * download_s, "compute": 12.0 * compute_s, "upload": 4.0 * upload_s}
    wanted = sum(phases.values())
    taken = ledger.affordable(task, wanted) & (rng.random(admitted) > 0.12)
    if number == 20 and k == 1:
        taken[:] = False
    done_s = (start_s + download_s + compute_s + upload_s)[taken]
    rsu, ending = vehicle[taken] % city.rsus, outcome[taken]
    for phase, joules in phases.items():
        ledger.charge(number, done_s, vehicle[taken], rsu, task, phase, ending, joules[taken])
    rsu_j = 30.0 * city.round_s
    ledger.charge(
        number, start_s + city.round_s, -1, np.arange(city.rsus), task, "rsu", "none", rsu_j / city.rsus
    )
    arrived = taken & np.isin(outcome, OUTCOMES[:3])
    spans = (download_s + compute_s + upload_s)[taken]
    accuracy = 0.95 - 0.03 * k - (0.5 - 0.05 * k) * np.exp(-5 * progress) + rng.normal(0, 0.004)
    evaluated = number % 2 == 1 and not city.all_lost
    n = int(taken.sum())
    writer.append("rounds", {
        "round": number, "task": task, "t_start_s": start_s, "t_end_s": start_s + city.round_s,
        "latency_s": float(min(spans.max(), 28.0)) if n else 0.0,
        "download_s": _mean(download_s[arrived]), "compute_s": _mean(compute_s[arrived]),
        "upload_s": _mean(upload_s[arrived]),
        "admitted": admitted, "skipped": admitted - n, "started": n,
        **{word: int((outcome[taken] == word).sum()) for word in OUTCOMES},
        "mean_rank": _mean(rank[taken]),
        "energy_j": float(wanted[taken].sum()), "energy_rsu_j": rsu_j,
        "spent_j": ledger.spent_j(task), "budget_j": ledger.budget_j(task),
        "price": float(np.clip(0.6 * progress + 0.2 * np.sin(6 * progress + k), 0, 2)),
        "synced": evaluated, "accuracy": float(accuracy) if evaluated else np.nan,
        "loss": 1 - float(accuracy) if evaluated else np.nan,
        "accuracy_local": float(accuracy) - 0.06 if evaluated else np.nan,
    })  # fmt: skip
    if not n:
        return
    none = np.full(n, np.nan)
    writer.append("updates", {
        "round": number, "task": task, "rsu": vehicle[taken] % city.rsus, "vehicle": vehicle[taken],
        "device": device[taken], "rank": rank[taken], "steps": 6, "samples": 40, "t_start_s": start_s,
        "t_end_s": start_s + spans, "download_s": download_s[taken], "compute_s": compute_s[taken],
        "upload_s": upload_s[taken], "bytes_down": 9_000 * rank[taken], "bytes_up": 9_000 * rank[taken],
        "joules": wanted[taken], "outcome": outcome[taken], "rsu_to": none, "reward": rng.random(n),
        "loss_before": none, "loss_after": none, "accuracy_local": none,
        "residence_predicted_s": rng.uniform(10, 90, n), "residence_true_s": rng.uniform(10, 90, n),
    })  # fmt: skip


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _drive(city: City, rng: np.random.Generator) -> MapData:
    """Send the vehicles over a street grid, turning at random; serve each by the nearest RSU in reach."""
    steps, side_m = 6 * max(city.rounds, 1), city.blocks * BLOCK_M
    speed_mps = rng.uniform(6, 14, city.vehicles)
    at = rng.integers(0, city.blocks + 1, (2, city.vehicles)).astype(float) * BLOCK_M
    path = np.empty((2, city.vehicles, steps + 1))
    path[:, :, 0] = at
    heading = rng.integers(0, 4, city.vehicles)
    for step in range(steps):
        heading = (heading + rng.choice([0, 0, 0, 1, 3], city.vehicles)) % 4
        move = np.stack([np.cos(heading * np.pi / 2), np.sin(heading * np.pi / 2)]).round() * BLOCK_M
        outside = ((at + move < 0) | (at + move > side_m)).any(axis=0)
        move[:, outside] *= -1
        heading[outside] = (heading[outside] + 2) % 4
        at = at + move
        path[:, :, step + 1] = at
    times = np.linspace(0, max(city.rounds, 1) * city.round_s, city.frames)
    legs = np.clip(times[None, :] * speed_mps[:, None] / BLOCK_M, 0, steps - 1e-6)
    leg, part = legs.astype(int), legs % 1.0
    rows = np.arange(city.vehicles)[:, None]
    x, y = path[:, rows, leg] * (1 - part) + path[:, rows, leg + 1] * part
    leaves = rng.random(city.vehicles) < 0.2
    x[leaves, int(0.7 * city.frames) :] = np.nan
    y[np.isnan(x)] = np.nan
    side = int(np.ceil(np.sqrt(city.rsus)))
    grid = np.linspace(0.2, 0.8, side) * side_m
    sites = np.array([(gx, gy) for gx in grid for gy in grid])[: city.rsus].T
    away = np.hypot(x[..., None] - sites[0], y[..., None] - sites[1])
    serving = np.where(
        np.nan_to_num(away, nan=np.inf).min(-1) < 1_150.0, np.nan_to_num(away, nan=np.inf).argmin(-1), -1
    )
    changed = (serving[:, 1:] != serving[:, :-1]) & (serving[:, 1:] >= 0) & (serving[:, :-1] >= 0)
    who, when = np.nonzero(changed)
    order = np.argsort(when, kind="stable")
    who, when = who[order], when[order]
    street_x, street_y = street_lines(
        path[0].ravel(), path[1].ravel(), np.arange(path[0].size) % (steps + 1) == 0
    )
    return MapData(
        t_s=times, x_m=x, y_m=y, serving=serving,
        vehicle_ids=[f"{city.vehicle_name} {v:03d}" for v in range(city.vehicles)],
        rsu_names=[f"{city.unit_name} {chr(65 + j % 26)}" for j in range(city.rsus)],
        rsu_x_m=sites[0], rsu_y_m=sites[1],
        coverage_m=1_150.0, handoff_t_s=times[when + 1], handoff_vehicle=who, handoff_from=serving[who, when],
        handoff_to=serving[who, when + 1], handoff_x_m=x[who, when + 1], handoff_y_m=y[who, when + 1],
        street_x_m=street_x, street_y_m=street_y,
    )  # fmt: skip


def _contacts(world: MapData) -> dict[str, Any]:
    n = len(world.handoff_t_s)
    return {
        "vehicle": world.handoff_vehicle, "rsu": world.handoff_to, "t_in_s": world.handoff_t_s,
        "t_out_s": world.handoff_t_s + 20.0, "handoff": np.ones(n, bool), "end": np.zeros(n, np.int8),
    }  # fmt: skip
