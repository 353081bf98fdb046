"""What went wrong, as columns of the table ``faults``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Events"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """n events; each column (n,).

    Attributes:
        kind: What happened.
        begin_s: When it began, virtual seconds.
        end_s: When it was over.
        rsu: RSU it concerns, −1 where none.
        vehicle: Vehicle it concerns, −1 where none.
        task: Number of the task whose update it concerns, −1 where none.
        value: How bad it was, in the kind's own unit; NaN where there is nothing to say.
    """

    kind: NDArray[np.str_]
    begin_s: Floats
    end_s: Floats
    rsu: Ints
    vehicle: Ints
    task: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.begin_s)

    @classmethod
    def of(
        cls,
        kind: str,
        begin_s: ArrayLike,
        end_s: ArrayLike,
        *,
        rsu: ArrayLike = -1,
        vehicle: ArrayLike = -1,
        task: ArrayLike = -1,
        value: ArrayLike = np.nan,
    ) -> Events:
        """Return events of one kind; each argument is a column (n,) or one value for all."""
        given = (begin_s, end_s, rsu, vehicle, task, value)
        begin, end, at_rsu, of_vehicle, of_task, worth = np.broadcast_arrays(*map(np.atleast_1d, given))
        return cls(
            kind=np.full(len(begin), kind),
            begin_s=np.array(begin, dtype=np.float64),
            end_s=np.array(end, dtype=np.float64),
            rsu=np.array(at_rsu, dtype=np.int64),
            vehicle=np.array(of_vehicle, dtype=np.int64),
            task=np.array(of_task, dtype=np.int64),
            value=np.array(worth, dtype=np.float64),
        )

    @classmethod
    def none(cls) -> Events:
        """Return no events."""
        return cls.of("", np.empty(0), np.empty(0))

    @classmethod
    def joined(cls, parts: Sequence[Events]) -> Events:
        """Return the events of all parts, by begin; those of one moment in the parts' order."""
        columns = {
            f.name: np.concatenate([getattr(p, f.name) for p in [cls.none(), *parts]]) for f in fields(cls)
        }
        order = np.argsort(columns["begin_s"], kind="stable")
        return cls(**{name: column[order] for name, column in columns.items()})

    def rows(self, round: int, tasks: Sequence[str]) -> dict[str, Any]:
        """Return them as the table ``faults`` takes them.

        Args:
            round: Number of the round.
            tasks: Names of the tasks.
        """
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        columns["task"] = [tasks[k] if k >= 0 else None for k in self.task.tolist()]
        return {"round": np.full(len(self), round), **columns}
