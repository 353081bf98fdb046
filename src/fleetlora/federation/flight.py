"""The course of the updates that were started: what really happened on the road, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from fleetlora.federation.world import Here, World
from fleetlora.physics import PhaseJoules, Work, run_airtime

__all__ = ["Flight", "Started", "fly"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Started:
    """The updates started in a round, of all tasks; each column (n,).

    ``worst_j`` is what an update may cost at most: the ledger set it aside before the vehicle began.
    """

    vehicle: Ints
    rsu: Ints
    task: Ints
    rank: Ints
    steps: Ints
    bytes_down: Ints
    bytes_up: Ints
    compute_s: Floats
    residence_s: Floats
    worst_j: Floats

    def __len__(self) -> int:
        return len(self.vehicle)

    def take(self, rows: NDArray[np.bool_]) -> Started:
        """Return some of the updates."""
        return Started(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @classmethod
    def joined(cls, parts: list[Started]) -> Started:
        """Return the updates of several tasks as one."""
        return cls(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(cls)
            }
        )


@dataclass(frozen=True)
class Flight:
    """What became of the started updates; each column (n,).

    Attributes:
        download_s: Seconds spent downloading, cut off where the vehicle left or the deadline struck.
        compute_s: Seconds spent training.
        upload_s: Seconds spent uploading.
        end_s: Virtual time at which the update arrived or ended.
        delivered: Whether it arrived.
        spent: Joules of the vehicles, phase by phase.
        rsu_j: Joules the RSU spent on it.
        residence_s: Seconds the vehicle really had left in contact when the round began.
    """

    download_s: Floats
    compute_s: Floats
    upload_s: Floats
    end_s: Floats
    delivered: NDArray[np.bool_]
    spent: PhaseJoules
    rsu_j: Floats
    residence_s: Floats


def fly(world: World, started: Started, here: Here, deadline_s: float) -> Flight:
    """Return the course of the updates along the vehicles' true tracks.

    Vehicles that transmit at the same time in one RSU share its band; an update that is not through when
    its vehicle leaves the RSU, or at the deadline, is lost there and then, its joules with it.
    """
    leaves_s = here.leaves_s[started.vehicle]
    work = Work(
        group=started.rsu,
        start_s=np.full(len(started), here.time_s),
        down_bits=8.0 * started.bytes_down.astype(np.float64),
        compute_s=started.compute_s,
        up_bits=8.0 * started.bytes_up.astype(np.float64),
        end_s=np.minimum(leaves_s, here.time_s + deadline_s),
    )
    course = run_airtime(work, world.capacity(started.vehicle, started.rsu, here.time_s, work.end_s))
    return Flight(
        download_s=course.down_s,
        compute_s=course.compute_s,
        upload_s=course.up_s,
        end_s=course.end_s,
        delivered=course.done,
        spent=world.energy.energy_j(
            course.down_s, course.compute_s, course.up_s, world.computers.take(started.vehicle)
        ),
        rsu_j=world.rsu_power.energy_j(course.down_air_s, course.up_air_s),
        residence_s=leaves_s - here.time_s,
    )
