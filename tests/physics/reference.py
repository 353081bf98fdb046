"""A second, slow way to play airtime: one vehicle at a time, one stretch of constant rate after another.

It shares no step with the real one: it never inverts a cumulative capacity, but walks from knot to
knot and asks who transmits, at what rate, and what comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fleetlora.physics import Capacity, Work

PHASES = ("down", "compute", "up")


@dataclass
class Row:
    index: int
    group: int
    start_s: float
    end_s: float
    left: list[float]
    phase: int = 0
    spent: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    air: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    stop_s: float | None = None
    done: bool = False


def play(work: Work, capacity: Capacity) -> list[Row]:
    """Return every row's outcome, in order."""
    asked = np.stack([work.down_bits, work.compute_s, work.up_bits], axis=1).tolist()
    rows = [
        Row(i, int(work.group[i]), work.start_s[i], work.end_s[i], asked[i]) for i in range(len(work.group))
    ]
    for group in {row.group for row in rows}:
        _play_one([row for row in rows if row.group == group], capacity)
    return rows


def _play_one(rows: list[Row], capacity: Capacity) -> None:
    corners = {t for row in rows for t in (*capacity.t_s[row.index], row.start_s, row.end_s)}
    now = min(row.start_s for row in rows)
    while True:
        for row in rows:
            _settle(row, now)
        active = [row for row in rows if row.stop_s is None and row.start_s <= now]
        if not active and all(row.stop_s is not None for row in rows):
            return
        sending = [row for row in active if PHASES[row.phase] != "compute"]
        until = min(t for t in corners if t > now)
        rates = {row.index: _rate(row, capacity, now, until) / len(sending) for row in sending}
        for row in active:
            speed = rates.get(row.index, 1.0)
            if speed > 0:
                until = min(until, now + row.left[row.phase] / speed)
        until = max(until, np.nextafter(now, np.inf))
        for row in active:
            row.spent[row.phase] += until - now
            row.left[row.phase] -= (until - now) * rates.get(row.index, 1.0)
            if row in sending:
                row.air[row.phase] += (until - now) / len(sending)
        now = until


def _settle(row: Row, now: float) -> None:
    """Pass to the next phase with anything left, or stop."""
    if row.stop_s is not None or row.start_s > now:
        return
    while row.phase < 3 and row.left[row.phase] <= 1e-7:
        row.phase += 1
    if row.phase == 3:
        row.done, row.stop_s = True, now
    elif now >= row.end_s:
        row.stop_s = row.end_s


def _rate(row: Row, capacity: Capacity, a: float, b: float) -> float:
    table = capacity.down_bits if PHASES[row.phase] == "down" else capacity.up_bits
    bits = np.interp([a, b], capacity.t_s[row.index], table[row.index])
    return float((bits[1] - bits[0]) / (b - a))
