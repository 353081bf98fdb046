"""Admission: which of the vehicles in contact an RSU lets into a round, and for which task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Admission", "admit"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Admission:
    """The vehicles let into a round, sorted by task, then RSU; each column (n,)."""

    vehicle: Ints
    rsu: Ints
    task: Ints

    def __len__(self) -> int:
        return len(self.vehicle)


def admit(
    serving: NDArray[np.integer], holds: NDArray[np.bool_], per_task: int, rng: np.random.Generator
) -> Admission:
    """Return who takes part in the round that begins now.

    A vehicle in contact that holds data offers itself for one of its tasks, drawn uniformly; an RSU takes at
    most ``per_task`` of those that offer themselves for a task, drawn uniformly.

    Args:
        serving: (V,) RSU that serves each vehicle now, -1 if none.
        holds: (V, K) whether the vehicle holds data of the task.
        per_task: Most vehicles per RSU and task.
        rng: Generator of this round's admission.
    """
    draws = rng.random(holds.shape)
    order = rng.random(len(serving))
    here = np.flatnonzero((serving >= 0) & holds.any(axis=1))
    task = np.where(holds[here], draws[here], -1.0).argmax(axis=1)
    rsu = serving[here].astype(np.int64)
    sort = np.lexsort((order[here], rsu, task))
    vehicle, rsu, task = here[sort], rsu[sort], task[sort]
    begins = np.ones(len(vehicle), dtype=np.bool_)
    begins[1:] = (rsu[1:] != rsu[:-1]) | (task[1:] != task[:-1])
    first = np.maximum.accumulate(np.where(begins, np.arange(len(vehicle)), 0))
    taken = np.arange(len(vehicle)) - first < per_task
    return Admission(vehicle[taken], rsu[taken], task[taken])
