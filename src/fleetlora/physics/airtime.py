"""The channel of an RSU in time: who transmits when, and how the bandwidth is shared.

A vehicle's update has three phases: download, compute, upload. While n vehicles of one RSU
transmit, in either direction, each has 1/n of the bandwidth (processor sharing). Vehicle i moves

    (C_i(b) − C_i(a)) / n   bits between two events a and b,

where C_i is its cumulative capacity, piecewise linear in time, along its true track. Nothing
else happens between events, so a phase ends exactly where C_i has grown by n times the bits left.

RSUs do not disturb one another. All of them take a step at once, each to its own next event, on
columns: no loop over vehicles or RSUs, as many steps as the busiest RSU has events.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from fleetlora.physics.capacity import Capacity
from fleetlora.physics.piecewise import first_reach, value_at

__all__ = ["Timeline", "Work", "run_airtime"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Stages of a row; the first three after WAIT are its phases, in order.
_WAIT, _DOWN, _COMPUTE, _UP, _DONE, _CUT = range(-1, 5)
_N_PHASES = 3


@dataclass(frozen=True)
class Work:
    """What each vehicle sets out to do: one row an update, columns of one length n.

    Attributes:
        group: ``(n,)`` RSU whose channel the row uses (any integers).
        start_s: ``(n,)`` when its download begins.
        down_bits: ``(n,)`` bits to download.
        compute_s: ``(n,)`` seconds of computing.
        up_bits: ``(n,)`` bits to upload.
        end_s: ``(n,)`` when the row is cut off: true end of the contact or deadline, the earlier.
    """

    group: Ints
    start_s: Floats
    down_bits: Floats
    compute_s: Floats
    up_bits: Floats
    end_s: Floats

    def __post_init__(self) -> None:
        """Refuse columns of different lengths, negative amounts and ends before starts."""
        for column in fields(self):
            kind = np.int64 if column.name == "group" else np.float64
            array = np.asarray(getattr(self, column.name), dtype=kind)
            if array.shape != np.shape(self.group) or array.ndim != 1:
                raise ValueError(f"Work.{column.name} must be a column as long as Work.group")
            if not np.isfinite(array).all():
                raise ValueError(f"Work.{column.name} holds values that are not finite")
            object.__setattr__(self, column.name, array)
        for name in ("down_bits", "compute_s", "up_bits"):
            if (getattr(self, name) < 0).any():
                raise ValueError(f"Work.{name} holds negative values")
        if (self.end_s < self.start_s).any():
            raise ValueError("Work.end_s lies before Work.start_s")


@dataclass(frozen=True)
class Timeline:
    """What became of each row of :class:`Work`; columns ``(n,)``.

    Attributes:
        down_s: Seconds spent downloading, shorter if the row was cut off.
        compute_s: Seconds spent computing.
        up_s: Seconds spent uploading.
        end_s: When the row finished or was cut off.
        done: Whether everything was uploaded in time.
        down_bits: Bits really downloaded.
        up_bits: Bits really uploaded.
        down_air_s: The row's share of the RSU's air in ``down_s``: the sum over an RSU's rows, both
            directions together, is the time its channel was in use. Where its radio is off there is no air.
        up_air_s: The row's share of the RSU's air in ``up_s``.
    """

    down_s: Floats
    compute_s: Floats
    up_s: Floats
    end_s: Floats
    done: Bools
    down_bits: Floats
    up_bits: Floats
    down_air_s: Floats
    up_air_s: Floats


def run_airtime(work: Work, capacity: Capacity) -> Timeline:
    """Play every row's download, computing and upload, and return how long each took.

    A row depends on the others of its RSU only through the number that transmit at a time. What a cut
    row has left, ``work.up_bits - timeline.up_bits``, may be carried on at another RSU.

    Args:
        work: ``n`` rows.
        capacity: The rows' cumulative capacity; its knots must span ``start_s`` to ``end_s``.

    Raises:
        ValueError: Capacity and work differ in length, or the knots do not span the work.
    """
    if len(capacity.t_s) != len(work.group):
        raise ValueError(f"capacity has {len(capacity.t_s)} rows, work has {len(work.group)}")
    if (capacity.t_s[:, 0] > work.start_s).any() or (capacity.t_s[:, -1] < work.end_s).any():
        raise ValueError("the knots of the capacity do not span start_s to end_s of the work")
    channel = _Channel(work, capacity)
    while channel.live.size:
        channel.step()
    return channel.timeline()


class _Channel:
    """State of all rows and RSUs while :func:`run_airtime` plays them."""

    def __init__(self, work: Work, capacity: Capacity) -> None:
        n = len(work.group)
        self.work, self.knots, self.on_s = work, capacity.t_s, capacity.on_s
        self.cumulative = {_DOWN: capacity.down_bits, _UP: capacity.up_bits}
        self.asked = np.stack([work.down_bits, work.compute_s, work.up_bits])
        self.left = self.asked.copy()  # bits, seconds, bits
        self.spent = np.zeros((_N_PHASES, n))
        self.air = np.zeros((_N_PHASES, n))
        self.stage = np.full(n, _WAIT)
        self.since = work.start_s.copy()  # when the row entered its stage
        self.end = work.end_s.copy()
        self.moved_to = np.zeros(n)  # the row's cumulative capacity, this direction, at its RSU's clock
        names, self.group = np.unique(work.group, return_inverse=True)
        self.clock = np.full(len(names), -np.inf)
        self._keep(np.argsort(self.group, kind="stable"))

    def step(self) -> None:
        """Move every RSU to its next event and let the rows concerned change their stage."""
        rows, sharing = self.live, self._sharing()
        finish = self._finish_times(sharing)
        ends = np.where(self.stage[rows] == _WAIT, np.inf, self.work.end_s[rows])
        event = np.minimum(finish, ends)
        now = np.minimum.reduceat(event, self.first)[self.slot]
        self._move(now, sharing)
        self.clock[self.group[rows]] = now
        due, in_time = event <= now, finish <= ends
        self._enter_next(rows[due & in_time], now[due & in_time])
        self._cut(rows[due & ~in_time], now[due & ~in_time])
        finished = self.stage[rows] >= _DONE
        if finished.any():
            self._keep(rows[~finished])

    def timeline(self) -> Timeline:
        """Return the result."""
        down, compute, up = self.spent
        moved = self.asked - self.left
        done = self.stage == _DONE
        return Timeline(
            down, compute, up, self.end, done, moved[_DOWN], moved[_UP], self.air[_DOWN], self.air[_UP]
        )

    def _keep(self, rows: Ints) -> None:
        """Go on with ``rows`` (sorted by RSU) only."""
        self.live = rows
        groups = self.group[rows]
        fresh = np.ones(len(rows), dtype=bool)
        fresh[1:] = groups[1:] != groups[:-1]
        self.first, self.slot = np.flatnonzero(fresh), np.cumsum(fresh) - 1

    def _sharing(self) -> Floats:
        """Return for every live row how many rows transmit in its RSU (at least 1)."""
        stage = self.stage[self.live]
        transmits = (stage == _DOWN) | (stage == _UP)
        count = np.bincount(self.slot, weights=transmits, minlength=len(self.first))
        return np.asarray(np.maximum(count, 1.0)[self.slot])

    def _finish_times(self, sharing: Floats) -> Floats:
        """Return when each live row completes its stage if the sharing stays as it is."""
        rows = self.live
        stage, finish = self.stage[rows], np.full(len(rows), np.inf)
        waits, computes = stage == _WAIT, stage == _COMPUTE
        finish[waits] = self.since[rows[waits]]
        finish[computes] = self.since[rows[computes]] + self.asked[_COMPUTE, rows[computes]]
        for phase, cumulative in self.cumulative.items():
            at = np.flatnonzero(stage == phase)
            target = self.moved_to[rows[at]] + self.left[phase, rows[at]] * sharing[at]
            reached = first_reach(self.knots, cumulative, rows[at], target)
            finish[at] = np.maximum(reached, self.clock[self.group[rows[at]]])
        return finish

    def _move(self, now: Floats, sharing: Floats) -> None:
        """Move bits from the RSUs' clocks to ``now``."""
        stage = self.stage[self.live]
        for phase, cumulative in self.cumulative.items():
            at = np.flatnonzero(stage == phase)
            rows = self.live[at]
            reached = value_at(self.knots, cumulative, rows, now[at])
            moved = (reached - self.moved_to[rows]) / sharing[at]
            self.left[phase, rows] = np.maximum(self.left[phase, rows] - moved, 0.0)
            self.air[phase, rows] += self._seconds_on(rows, now[at]) / sharing[at]
            self.moved_to[rows] = reached

    def _seconds_on(self, rows: Ints, now: Floats) -> Floats:
        """Return for how long the radio of each row's RSU is on between the RSU's clock and ``now``."""
        clock: Floats = self.clock[self.group[rows]]
        if self.on_s is None:
            return now - clock
        return value_at(self.knots, self.on_s, rows, now) - value_at(self.knots, self.on_s, rows, clock)

    def _enter_next(self, rows: Ints, now: Floats) -> None:
        """Complete the stage of ``rows`` and enter the next one that has anything to do."""
        stage = self.stage[rows]
        begun = stage != _WAIT
        self.left[stage[begun], rows[begun]] = 0.0
        self._book(rows[begun], now[begun])
        stage += 1
        for phase in (_DOWN, _COMPUTE, _UP):
            stage[(stage == phase) & (self.asked[phase, rows] == 0)] += 1
        self.stage[rows], self.since[rows] = stage, now
        self.end[rows[stage == _DONE]] = now[stage == _DONE]
        for phase, cumulative in self.cumulative.items():
            at = stage == phase
            self.moved_to[rows[at]] = value_at(self.knots, cumulative, rows[at], now[at])

    def _cut(self, rows: Ints, now: Floats) -> None:
        """End ``rows`` where they stand."""
        self._book(rows, now)
        self.stage[rows] = _CUT

    def _book(self, rows: Ints, now: Floats) -> None:
        self.spent[self.stage[rows], rows] = now - self.since[rows]
