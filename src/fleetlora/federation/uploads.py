"""What travels from a vehicle to its RSU when local training is over, and what an RSU refuses of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fleetlora.lora import Adapter

__all__ = ["Refusal", "Upload", "first_of_each"]


@dataclass(frozen=True, eq=False)
class Upload:
    """One update as it reaches its RSU.

    Attributes:
        vehicle: Who sends it.
        rsu: The RSU that admitted the vehicle.
        round: The round that it says it belongs to.
        rank: The rank that it says it has.
        samples: Training samples behind it: its weight.
        received: What the RSU sent to the vehicle; the RSU's own copy.
        adapter: What the vehicle sends back.
    """

    vehicle: int
    rsu: int
    round: int
    rank: int
    samples: float
    received: Adapter
    adapter: Adapter


@dataclass(frozen=True)
class Refusal:
    """An update or a report that an RSU refused.

    Attributes:
        task: Number of the task.
        vehicle: Who sent it.
        rsu: Who refused it.
        reason: Why, one word of docs/reliability.md.
        value: What was wrong, where it is a number, else NaN.
    """

    task: int
    vehicle: int
    rsu: int
    reason: str
    value: float = float("nan")


def first_of_each(*keys: Sequence[int] | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows are the first with their keys: one update per vehicle, task and round.

    Args:
        *keys: Columns (n,), in the order of arrival; equal in all of them is the same update.
    """
    columns = np.stack([np.asarray(key, dtype=np.int64) for key in keys])
    first = np.zeros(columns.shape[1], dtype=np.bool_)
    if columns.size:
        first[np.unique(columns, axis=1, return_index=True)[1]] = True
    return first
