"""A round as the records have it: rows of the tables ``rounds`` and ``updates``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetlora.faults import Events
from fleetlora.federation.flight import Flight, Started
from fleetlora.federation.learner import Learned, Score
from fleetlora.federation.rsu import Admission
from fleetlora.federation.world import Here
from fleetlora.records import OUTCOMES, Ledger
from fleetlora.scheduling import Policy

__all__ = ["RoundReport", "Story", "report_round"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RoundReport:
    """One round: columns of ``rounds``, one row a task, of ``updates``, ``faults`` and ``quarantine``."""

    round: int
    clock_s: float
    rounds: dict[str, Any]
    updates: dict[str, Any]
    faults: dict[str, Any]
    quarantine: dict[str, Any]


@dataclass(frozen=True)
class Story:
    """Everything that happened in a round; columns of n started updates, or of K tasks.

    Attributes:
        here: The moment the round began.
        admission: Who was let in.
        started: The updates that were started.
        flight: What became of them.
        learned: What their vehicles saw on held-out samples.
        rewards: (n,) rewards.
        sync_s: (K,) seconds the cloud's merge took; 0 where there was none.
        synced: Whether the cloud merged.
        scores: Tests of the aggregated models, by task number.
    """

    here: Here
    admission: Admission
    started: Started
    flight: Flight
    learned: Learned
    rewards: Floats
    sync_s: Floats
    synced: bool
    scores: Mapping[int, Score]

    @cached_property
    def ends_s(self) -> Floats:
        """(K,) virtual time at which each task's round is over."""
        last = np.full(len(self.sync_s), self.here.time_s)
        np.maximum.at(last, self.started.task, self.flight.end_s)
        return last + self.sync_s


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _task_row(task: int, story: Story) -> dict[str, Any]:
    """Return what one task's row of the ``rounds`` table says of the vehicles."""
    started, flight = story.started, story.flight
    mine = started.task == task
    arrived = mine & flight.arrived
    accuracy = story.learned.accuracy[arrived]
    admitted = int((story.admission.task == task).sum())
    counts = {outcome: int((flight.outcome[mine] == outcome).sum()) for outcome in OUTCOMES}
    return {
        "t_start_s": story.here.time_s,
        "t_end_s": float(story.ends_s[task]),
        "latency_s": float(story.ends_s[task] - story.here.time_s),
        "download_s": _mean(flight.download_s[arrived]),
        "compute_s": _mean(flight.compute_s[arrived]),
        "upload_s": _mean(flight.upload_s[arrived]),
        "admitted": admitted,
        "skipped": admitted - int(mine.sum()),
        "started": int(mine.sum()),
        **counts,
        "mean_rank": _mean(started.rank[mine].astype(np.float64)),
        "energy_j": float(flight.spent.total_j[mine].sum()),
        "energy_rsu_j": float((flight.rsu_j + flight.rsu_to_j)[mine].sum()),
        "accuracy_local": _mean(accuracy[~np.isnan(accuracy)]),
    }


def _rounds(round: int, ledger: Ledger, policies: Sequence[Policy], story: Story) -> dict[str, list[Any]]:
    rows = []
    for task, (name, policy) in enumerate(zip(ledger.tasks, policies, strict=True)):
        score = story.scores.get(task)
        rows.append(
            {
                "round": round,
                "task": name,
                **_task_row(task, story),
                "spent_j": ledger.spent_j(name),
                "budget_j": ledger.budget_j(name),
                "price": policy.price,
                "synced": story.synced,
                "accuracy": score.accuracy if score else None,
                "loss": score.loss if score else None,
            }
        )
    return {column: [row[column] for row in rows] for column in rows[0]}


def _updates(
    round: int, tasks: Sequence[str], device: NDArray[Any], samples: NDArray[np.int64], story: Story
) -> dict[str, Any]:
    started, flight, learned = story.started, story.flight, story.learned
    return {
        "round": np.full(len(started), round),
        "task": np.asarray(tasks)[started.task],
        "rsu": started.rsu,
        "vehicle": started.vehicle,
        "device": device[started.vehicle],
        "rank": started.rank,
        "steps": started.steps,
        "samples": samples[started.vehicle, started.task],
        "t_start_s": np.full(len(started), story.here.time_s),
        "t_end_s": flight.end_s,
        "download_s": flight.download_s,
        "compute_s": flight.compute_s,
        "upload_s": flight.upload_s,
        "bytes_down": started.bytes_down,
        "bytes_up": started.bytes_up,
        "joules": flight.spent.total_j,
        "outcome": flight.outcome,
        "rsu_to": flight.rsu_to,
        "reward": story.rewards,
        "loss_before": learned.loss_before,
        "loss_after": learned.loss_after,
        "accuracy_local": learned.accuracy,
        "residence_predicted_s": started.residence_s,
        "residence_true_s": flight.residence_s,
    }


def _quarantine(round: int, tasks: Sequence[str], learned: Learned) -> dict[str, Any]:
    refused = learned.refused
    values = np.array([refusal.value for refusal in refused], dtype=np.float64)
    return {
        "round": np.full(len(refused), round),
        "task": [tasks[refusal.task] for refusal in refused],
        "rsu": [refusal.rsu for refusal in refused],
        "vehicle": [refusal.vehicle for refusal in refused],
        "reason": [refusal.reason for refusal in refused],
        "value": np.where(np.isfinite(values), values, np.nan),
    }


def report_round(
    round: int,
    clock_s: float,
    ledger: Ledger,
    policies: Sequence[Policy],
    device: NDArray[Any],
    samples: NDArray[np.int64],
    story: Story,
    events: Events,
) -> RoundReport:
    """Return a round's rows.

    Args:
        round: Number of the round.
        clock_s: Virtual time at which the next round begins.
        ledger: The ledger after the round.
        policies: One policy a task, after the round.
        device: (V,) name of each vehicle's device class.
        samples: (V, K) training samples of each vehicle and task.
        story: What happened.
        events: What went wrong.
    """
    return RoundReport(
        round,
        clock_s,
        _rounds(round, ledger, policies, story),
        _updates(round, ledger.tasks, device, samples, story),
        events.rows(round, ledger.tasks),
        _quarantine(round, ledger.tasks, story.learned),
    )
