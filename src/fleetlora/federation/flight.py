"""The course of the updates that were started: what really happened on the road, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fleetlora.federation.world import Here, World
from fleetlora.physics import Capacity, PhaseJoules, Timeline, Work, run_airtime
from fleetlora.records import ARRIVED

__all__ = ["Flight", "Started", "fly"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Hand-offs change who shares a band with whom, which may bring about others; they settle in two or three
#: turns.
MOST_TURNS = 20


@dataclass(frozen=True)
class Started:
    """The updates started in a round, of all tasks; each column (n,).

    Attributes:
        vehicle: Vehicle.
        rsu: RSU that admitted it.
        task: Task number.
        chosen: Rank that its policy chose.
        rank: Rank that it trains, lower where it was pruned.
        steps: Local steps it will take.
        full_steps: Local steps of a full update.
        bytes_down: Bytes it downloads.
        bytes_up: Bytes it uploads.
        compute_s: Seconds its steps take.
        test_s: Seconds in which it measures its gain once it is through.
        hand_off: Whether it carries on after a handoff, and uploads through the next RSU.
        gives_up: Whether it gives the update up when it leaves otherwise, rather than lose it.
        limit_s: Seconds after which it gives up.
        residence_s: What it thinks it has left in contact.
        worst_j: What it may cost at most: the ledger set it aside before the vehicle began.
    """

    vehicle: Ints
    rsu: Ints
    task: Ints
    chosen: Ints
    rank: Ints
    steps: Ints
    full_steps: Ints
    bytes_down: Ints
    bytes_up: Ints
    compute_s: Floats
    test_s: Floats
    hand_off: Bools
    gives_up: Bools
    limit_s: Floats
    residence_s: Floats
    worst_j: Floats

    def __len__(self) -> int:
        return len(self.vehicle)

    def take(self, rows: Bools) -> Started:
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
        download_s: Seconds spent downloading, cut off where the vehicle gave up.
        compute_s: Seconds spent training.
        upload_s: Seconds spent uploading.
        end_s: Virtual time at which the update reached its RSU or ended.
        outcome: One of :data:`~fleetlora.records.OUTCOMES`.
        rsu_to: RSU it was uploaded through after a hand-off, −1 where there was none.
        spent: Joules of the vehicles, phase by phase.
        rsu_j: Joules its own RSU spent on it.
        rsu_to_j: Joules the RSU after the hand-off spent on it.
        residence_s: Seconds the vehicle really had left in contact when the round began.
        stamp_s: When it ended as its RSU has it, who may believe the vehicle's clock.
    """

    download_s: Floats
    compute_s: Floats
    upload_s: Floats
    end_s: Floats
    outcome: NDArray[np.str_]
    rsu_to: Ints
    spent: PhaseJoules
    rsu_j: Floats
    rsu_to_j: Floats
    residence_s: Floats
    stamp_s: Floats

    @cached_property
    def arrived(self) -> Bools:
        """(n,) whether the update reached the model."""
        return np.isin(self.outcome, ARRIVED)


@dataclass(frozen=True)
class _Legs:
    """Second legs, by what the first left over: rows of ``Started`` that go on at another RSU; columns
    (m,)."""

    row: Ints
    rsu: Ints
    start_s: Floats
    bits: Floats
    end_s: Floats

    def __len__(self) -> int:
        return len(self.row)

    def same_as(self, other: _Legs) -> bool:
        return all(
            np.array_equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)
        )


def fly(world: World, started: Started, here: Here) -> Flight:
    """Return the course of the updates along the vehicles' true tracks.

    Vehicles that transmit at the same time in one RSU share its band. An update that is not through when its
    vehicle is handed off goes on at the next RSU if the plan says so and the download is done; otherwise it
    ends there. What is not through at its limit, or when its vehicle starts anew, is lost. Joules count,
    whatever came of them.
    """
    compute_s, test_s = (
        world.computing_s(started.vehicle, here.time_s, planned_s)
        for planned_s in (started.compute_s, started.test_s)
    )
    started = replace(started, compute_s=compute_s, test_s=test_s)
    leaves_s = here.leaves_s[started.vehicle]
    limit = np.minimum(here.time_s + started.limit_s, world.halts_s(started.vehicle, here.time_s))
    first, capacity = _first_legs(world, started, here, np.minimum(leaves_s, limit))
    legs = _Legs(*(np.empty(0, kind) for kind in (np.int64, np.int64, float, float, float)))
    course = run_airtime(first, capacity)
    for _ in range(MOST_TURNS):
        found = _second_legs(world, started, here, course, limit)
        if found.same_as(legs):
            break
        legs = found
        course = _run_both(world, started, first, capacity, legs)
    return _account(world, started, here, course, legs, limit)


def _first_legs(world: World, started: Started, here: Here, end_s: Floats) -> tuple[Work, Capacity]:
    start_s = np.full(len(started), here.time_s)
    work = Work(
        group=started.rsu,
        start_s=start_s,
        down_bits=8.0 * started.bytes_down.astype(np.float64),
        compute_s=started.compute_s,
        up_bits=8.0 * started.bytes_up.astype(np.float64),
        end_s=end_s,
    )
    return work, world.capacity(started.vehicle, started.rsu, start_s, end_s)


def _second_legs(world: World, started: Started, here: Here, course: Timeline, limit: Floats) -> _Legs:
    """Return who goes on at another RSU: downloaded, not through, and handed off before its limit."""
    n, contacts = len(started), world.contacts
    handed_to = contacts.handed_to[here.contact[started.vehicle]]
    contact = np.maximum(handed_to, 0)
    cut_s = course.end_s[:n]
    end_s = np.minimum(contacts.t_out_s[contact], limit)
    start_s = np.minimum(cut_s + started.compute_s - course.compute_s[:n], end_s)
    downloaded = course.down_bits[:n] >= 8.0 * started.bytes_down * (1 - 1e-12)
    left = (cut_s < limit) & ~course.done[:n] & (handed_to >= 0)
    row = np.flatnonzero(started.hand_off & left & downloaded)
    return _Legs(
        row=row,
        rsu=contacts.rsu[contact[row]].astype(np.int64),
        start_s=start_s[row],
        bits=8.0 * started.bytes_up[row] - course.up_bits[row],
        end_s=end_s[row],
    )


def _run_both(world: World, started: Started, first: Work, capacity: Capacity, legs: _Legs) -> Timeline:
    """Return the timeline of the first legs, then the second ones, all sharing their RSUs' bands."""
    none = np.zeros(len(legs))
    second = Work(legs.rsu, legs.start_s, none, none, legs.bits, legs.end_s)
    along = world.capacity(started.vehicle[legs.row], legs.rsu, legs.start_s, legs.end_s)
    joined = Work(
        **{
            field.name: np.concatenate([getattr(first, field.name), getattr(second, field.name)])
            for field in fields(Work)
        }
    )
    return run_airtime(joined, Capacity.stacked([capacity, along]))


def _account(
    world: World, started: Started, here: Here, course: Timeline, legs: _Legs, limit: Floats
) -> Flight:
    """Return what the legs come to, update by update."""
    n, m = len(started), len(legs)
    first, second = slice(0, n), slice(n, n + m)
    compute_s, upload_s = course.compute_s[first].copy(), course.up_s[first].copy()
    compute_s[legs.row] += legs.start_s - course.end_s[legs.row]
    upload_s[legs.row] += course.up_s[second]
    end_s, rsu_to = course.end_s[first].copy(), np.full(n, -1, dtype=np.int64)
    given_up = started.gives_up & ~course.done[first] & (course.end_s[first] < limit)
    given_up[legs.row] = False
    backhaul_s = world.backhaul_s(started.bytes_up[legs.row], course.end_s[second])
    end_s[legs.row] = course.end_s[second] + np.where(course.done[second], backhaul_s, 0.0)
    rsu_to[legs.row] = legs.rsu
    rsu_to_j = np.zeros(n)
    rsu_to_j[legs.row] = world.rsu_power.energy_j(course.down_air_s[second], course.up_air_s[second])
    outcome = _outcomes(started, course.done[first], legs.row[course.done[second]], given_up)
    worked_s = compute_s + np.where(np.isin(outcome, ARRIVED), started.test_s, 0.0)
    return Flight(
        download_s=course.down_s[first],
        compute_s=compute_s,
        upload_s=upload_s,
        end_s=end_s,
        outcome=outcome,
        rsu_to=rsu_to,
        spent=world.energy.energy_j(
            course.down_s[first], worked_s, upload_s, world.computers.take(started.vehicle)
        ),
        rsu_j=world.rsu_power.energy_j(course.down_air_s[first], course.up_air_s[first]),
        rsu_to_j=rsu_to_j,
        residence_s=here.leaves_s[started.vehicle] - here.time_s,
        stamp_s=end_s,
    )


def _outcomes(started: Started, done: Bools, through: Ints, given_up: Bools) -> NDArray[np.str_]:
    """Return each update's outcome; ``through`` are the rows that a second leg brought through."""
    outcome = np.where(done, np.where(started.steps < started.full_steps, "early", "delivered"), "lost")
    outcome = outcome.astype("<U10")
    outcome[given_up] = "abandoned"
    outcome[through] = "handed_off"
    return outcome
