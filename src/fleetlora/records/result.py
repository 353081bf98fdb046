"""``result.json``: what a run came to, in one small document that tools rely on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fleetlora.errors import FleetLoraError
from fleetlora.records.digest import digest_of
from fleetlora.records.measures import (
    energy_by_task_j,
    fault_counts,
    last_values,
    latency_s,
    outcome_counts,
    overdraw_j,
    quarantine_counts,
    rsu_energy_j,
)
from fleetlora.records.schemas import SCHEMA

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RunIdentity", "build_result"]

_STATUSES = ("complete", "interrupted")


@dataclass(frozen=True)
class RunIdentity:
    """What a run is, known before its first round.

    Attributes:
        method: Name of the method.
        preset: Name of the preset, or of the user's file.
        seed: Seed of the experiment.
        vehicles: Number of vehicles.
        rsus: Number of RSUs.
    """

    method: str
    preset: str
    seed: int
    vehicles: int
    rsus: int


def build_result(
    identity: RunIdentity,
    tables: Mapping[str, pa.Table],
    *,
    tasks: Mapping[str, Mapping[str, Any]] | None = None,
    adapters: Mapping[str, np.ndarray] | None = None,
    learner: Mapping[str, Any] | None = None,
    host: Mapping[str, Any] | None = None,
    status: Literal["complete", "interrupted"] = "complete",
    privacy: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the contents of ``result.json``.

    Everything that can be is computed from the tables, so that the document cannot disagree with them.

    Args:
        identity: What the run is.
        tables: All tables, as :meth:`RunWriter.tables` returns them.
        tasks: More about each task by name, such as ``accuracy_head_only``; also brings in tasks that
            no table mentions. It may overrule ``accuracy``, ``accuracy_local`` and ``budget_j``.
        adapters: Every trained array by a unique name; part of the digest.
        learner: What stood in for training, where something did; part of the digest.
        host: Versions and host seconds; not part of the digest.
        status: Whether the run reached its end.
        privacy: What differential privacy guarantees, where it was on.

    Returns:
        A dictionary that JSON can hold: an absent value is ``None``, and so is an infinite budget.
    """
    if status not in _STATUSES:
        raise FleetLoraError(f"status {status!r} is none of {', '.join(_STATUSES)}", where="result.json")
    rounds, ledger = tables["rounds"], tables["ledger"]
    per_task = _per_task(rounds, ledger, tasks or {})
    counts = outcome_counts(tables["updates"])
    accuracies = [t["accuracy"] for t in per_task.values() if t["accuracy"] is not None]
    energies = {name: t["energy_j"] for name, t in per_task.items()}
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "status": status,
        **asdict(identity),
        "rounds": len(np.unique(rounds["round"].to_numpy())),
        "mean_accuracy": math.fsum(accuracies) / len(accuracies) if accuracies else None,
        "tasks": per_task,
        "latency_s": latency_s(rounds),
        "energy_j": {"total": math.fsum(energies.values()), "rsu": rsu_energy_j(ledger)},
        "updates": counts,
        "handoffs": int(np.count_nonzero(tables["contacts"]["handoff"].to_numpy())),
        "overdraw_j": overdraw_j(energies, {name: t["budget_j"] for name, t in per_task.items()}),
    }
    if learner is not None:
        result["learner"] = dict(learner)
    if "faults" in tables:
        result["faults"] = fault_counts(tables["faults"])
    if "quarantine" in tables:
        result["quarantine"] = quarantine_counts(tables["quarantine"])
    if privacy is not None:
        result["privacy"] = privacy
    result = _plain(result)
    result["digest"] = digest_of(result, tables, adapters or {})
    result["host"] = _plain(dict(host or {}))
    return result


def _per_task(
    rounds: pa.Table, ledger: pa.Table, extras: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    accuracy, local = last_values(rounds, "accuracy"), last_values(rounds, "accuracy_local")
    budget, energy = last_values(rounds, "budget_j"), energy_by_task_j(ledger)
    names = dict.fromkeys(
        [*extras, *rounds["task"].unique().to_pylist(), *ledger["task"].unique().to_pylist()]
    )
    return {
        name: {
            "accuracy": accuracy.get(name),
            "accuracy_local": local.get(name),
            "budget_j": budget.get(name),
            **extras.get(name, {}),
            "energy_j": energy.get(name, 0.0),
        }
        for name in names
    }


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON has it: NumPy scalars as Python's, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
