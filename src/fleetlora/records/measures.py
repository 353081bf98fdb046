"""What a run's tables add up to: latency, energy, outcomes and final accuracies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetlora.records.schemas import ARRIVED, OUTCOMES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "energy_by_task_j",
    "fault_counts",
    "last_values",
    "latency_s",
    "ledger_error_j",
    "outcome_counts",
    "overdraw_j",
    "quarantine_counts",
    "residence_factor",
    "rsu_energy_j",
]

#: Relative excess over a budget that is the rounding of a sum, not spending.
_ROUNDING = 1e-9


def latency_s(rounds: pa.Table) -> dict[str, float | None]:
    """Return ``mean_round`` and ``total`` virtual seconds of the ``rounds`` table.

    A round lasts as long as its longest task, so the mean is of the longest task latency, over the rounds in
    which anyone started: a round without updates, for example after the joules are spent, has no latency.
    The total is the last moment at which a round ended. Either is ``None`` without such rounds.
    """
    if rounds.num_rows == 0:
        return {"mean_round": None, "total": None}
    number, latency = rounds["round"].to_numpy(), rounds["latency_s"].to_numpy()
    _, row_round = np.unique(number, return_inverse=True)
    longest = np.full(row_round.max() + 1, -np.inf)
    np.maximum.at(longest, row_round, latency)
    longest = longest[np.bincount(row_round, rounds["started"].to_numpy()) > 0]
    return {
        "mean_round": math.fsum(longest.tolist()) / len(longest) if len(longest) else None,
        "total": float(rounds["t_end_s"].to_numpy().max()),
    }


def outcome_counts(updates: pa.Table) -> dict[str, int]:
    """Return how many updates were ``started``, how many ended in each outcome, and how many ``arrived``."""
    counts = {"started": updates.num_rows, **dict.fromkeys(OUTCOMES, 0), **_counts(updates, "outcome")}
    counts["arrived"] = sum(counts[outcome] for outcome in ARRIVED)
    return counts


def ledger_error_j(ledger: pa.Table, updates: pa.Table) -> float:
    """Return by how many joules the vehicles' rows of the ledger and the ``updates`` table differ."""
    booked = ledger["joules"].to_numpy()[ledger["vehicle"].to_numpy() >= 0]
    return abs(math.fsum(booked) - math.fsum(updates["joules"].to_numpy()))


def fault_counts(faults: pa.Table) -> dict[str, int]:
    """Return how many rows the ``faults`` table has of each kind, of those that came."""
    return _counts(faults, "kind")


def quarantine_counts(quarantine: pa.Table) -> dict[str, int]:
    """Return how many updates and reports were refused for each reason."""
    return _counts(quarantine, "reason")


def _counts(table: pa.Table, column: str) -> dict[str, int]:
    pairs = table[column].combine_chunks().value_counts().to_pylist()
    return {pair["values"]: pair["counts"] for pair in sorted(pairs, key=lambda pair: pair["values"])}


def energy_by_task_j(ledger: pa.Table) -> dict[str, float]:
    """Return the vehicles' joules per task, of the tasks that have any."""
    return _sums(ledger, ledger["vehicle"].to_numpy() >= 0)


def rsu_energy_j(ledger: pa.Table) -> float:
    """Return the RSUs' own joules."""
    return math.fsum(_sums(ledger, ledger["vehicle"].to_numpy() < 0).values())


def overdraw_j(spent_j: Mapping[str, float], budgets_j: Mapping[str, float | None]) -> float:
    """Return the joules spent above the budgets, 0 where only a sum's rounding is above."""
    over = 0.0
    for task, spent in spent_j.items():
        budget = budgets_j.get(task)
        if budget is not None and spent > budget * (1 + _ROUNDING):
            over += spent - budget
    return over


def residence_factor(updates: pa.Table) -> float | None:
    """Return the median factor by which predicted residences were off, at least 1; None without updates.

    Seconds below one count as one, as they do in the prediction.
    """
    columns = ("residence_predicted_s", "residence_true_s")
    predicted, true = (np.maximum(updates[name].to_numpy(), 1.0) for name in columns)
    return float(np.exp(np.median(np.abs(np.log(predicted / true))))) if len(true) else None


def last_values(rounds: pa.Table, column: str) -> dict[str, Any]:
    """Return the last value of ``column`` that is not null, by task."""
    pairs = zip(rounds["task"].to_pylist(), rounds[column].to_pylist(), strict=True)
    return {task: value for task, value in pairs if value is not None}


def _sums(ledger: pa.Table, rows: np.ndarray) -> dict[str, float]:
    tasks = ledger["task"].combine_chunks()
    codes, joules = tasks.indices.to_numpy(), ledger["joules"].to_numpy()
    return {
        task: math.fsum(joules[mine].tolist())
        for code, task in enumerate(tasks.dictionary.to_pylist())
        if (mine := rows & (codes == code)).any()
    }
