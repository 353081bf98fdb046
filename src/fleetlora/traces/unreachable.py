"""Finding fixes that no vehicle could have reached in time.

Of two fixes of a vehicle, the later is *in reach* if it asks for no more than the greatest speed. Being in
reach is transitive, so the fixes to believe are a longest chain in which each is in reach of the one before.
One wild fix then costs one fix, wherever in the track it lies, the first included. Two long stretches may be
out of reach of each other and both be true (a device moved to another vehicle, a clock put right); therefore
a chain may *jump*, at the price of ``jump_fixes`` fixes. With K the fixes kept, in their order,

    maximise  |K| − jump_fixes · #{jumps in K},

which is a dynamic programme over the fixes of a vehicle, run for all places with dirt at once. A stretch of
more than ``jump_fixes`` sound fixes is never given up for one jump, so a place ends where the track has been
sound for longer than that, and all else is kept without being looked at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["reachable", "too_fast"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def too_fast(vehicle: Ints, t_s: Floats, x_m: Floats, y_m: Floats, max_speed_mps: float) -> Bools:
    """Return (n,) whether each fix is of the same vehicle as the one before and out of its reach."""
    fast = np.zeros(len(vehicle), dtype=bool)
    near = _in_reach(np.diff(x_m), np.diff(y_m), np.diff(t_s), max_speed_mps)
    fast[1:] = (vehicle[1:] == vehicle[:-1]) & ~near
    return fast


def _in_reach(dx: Floats, dy: Floats, dt: Floats, max_speed_mps: float) -> Bools:
    """Return whether (dx, dy) metres can be driven in ``dt`` seconds."""
    return np.asarray(dx * dx + dy * dy <= (max_speed_mps * dt) ** 2)


def reachable(
    vehicle: Ints, t_s: Floats, x_m: Floats, y_m: Floats, max_speed_mps: float, jump_fixes: int
) -> Bools:
    """Return which fixes to keep so that the rest can be driven.

    Args:
        vehicle: (n,) vehicle of each fix, ascending.
        t_s: (n,) times, seconds, ascending within a vehicle.
        x_m: (n,) metres east.
        y_m: (n,) metres north.
        max_speed_mps: Greatest speed that is believed, m/s.
        jump_fixes: How many fixes a jump is worth.

    Returns:
        (n,) bool.
    """
    keep = np.ones(len(vehicle), dtype=bool)
    fast = np.flatnonzero(too_fast(vehicle, t_s, x_m, y_m, max_speed_mps))
    if not len(fast):
        return keep
    start, stop = _places(vehicle, fast, jump_fixes)
    previous, end = _longest_chains(t_s, x_m, y_m, start, stop, max_speed_mps, jump_fixes)
    length = stop - start
    rows = np.repeat(start - np.append(0, np.cumsum(length)[:-1]), length) + np.arange(length.sum())
    keep[rows] = False
    while len(end):
        keep[end] = True
        end = previous[end]
        end = end[end >= 0]
    return keep


def _places(vehicle: Ints, fast: Ints, jump_fixes: int) -> tuple[Ints, Ints]:
    """Return where each dirty place starts and stops, longest first.

    ``fast`` holds the fixes that are out of reach of the one before.
    """
    pad = jump_fixes + 1
    apart = (np.diff(fast) >= 2 * pad) | (np.diff(vehicle[fast]) != 0)
    first, last = fast[np.append(True, apart)], fast[np.append(apart, True)]
    begins = np.searchsorted(vehicle, vehicle[first], side="left")
    ends = np.searchsorted(vehicle, vehicle[first], side="right")
    start, stop = np.maximum(first - pad, begins), np.minimum(last + pad, ends)
    order = np.argsort(start - stop, kind="stable")
    return start[order], stop[order]


def _longest_chains(
    t: Floats, x: Floats, y: Floats, start: Ints, stop: Ints, max_speed_mps: float, jump_fixes: int
) -> tuple[Ints, Ints]:
    """Return the fix before each fix in its best chain (-1: none), and each place's last fix.

    Step k looks at the k-th fix of every place. To pass over more than 2 · ``jump_fixes`` fixes costs a jump
    too, however near the two are: that bounds the work, and to keep so many sound ones would cost two jumps.
    """
    score, previous = np.zeros(len(t), dtype=np.int64), np.full(len(t), -1, dtype=np.int64)
    top, top_at = np.zeros(len(start), dtype=np.int64), start.copy()
    lookback = np.arange(1, 2 * jump_fixes + 2)
    length = stop - start
    for step in range(int(length[0])):
        live = int(np.searchsorted(-length, -step, side="left"))
        here = start[:live] + step
        back = here[:, None] - lookback[: max(step, 1)]
        dx, dy, dt = (column[here, None] - column[back] for column in (x, y, t))
        near = _in_reach(dx, dy, dt, max_speed_mps)
        scores = np.where(near, score[back], -1) if step else np.full((live, 1), -1)
        nearest = np.argmax(scores, axis=1)  # of equals, the latest
        driven = scores[np.arange(live), nearest]
        jumped = top[:live] - jump_fixes
        by_jump = jumped > np.maximum(driven, 0)
        best = np.where(by_jump, jumped, np.maximum(driven, 0))
        comes_from = np.where(driven > 0, back[np.arange(live), nearest], -1)
        previous[here] = np.where(by_jump, top_at[:live], comes_from)
        score[here] = best + 1
        higher = score[here] >= top[:live]
        top[:live] = np.where(higher, score[here], top[:live])
        top_at[:live] = np.where(higher, here, top_at[:live])
    return previous, top_at
