"""What tracks say about motion: their straight legs, and the state of vehicles at a moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Legs", "State"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Legs:
    """The L straight legs of all tracks; row i goes from one fix to the next of the same piece.

    Rows are sorted by vehicle, then time. Within a piece, ``t1_s`` of a leg is ``t0_s`` of the next.

    Attributes:
        vehicle: (L,) int64 vehicle index.
        piece: (L,) int64 piece index, counted over all vehicles.
        fix: (L,) int64 row of the fix where the leg begins.
        t0_s: (L,) start, seconds.
        t1_s: (L,) end, seconds, after ``t0_s``.
        x0_m: (L,) position east at ``t0_s``, metres.
        y0_m: (L,) position north at ``t0_s``, metres.
        vx_mps: (L,) speed east, m/s.
        vy_mps: (L,) speed north, m/s.
        parked: (L,) bool, whether the vehicle is parked during the leg.
    """

    vehicle: Ints
    piece: Ints
    fix: Ints
    t0_s: Floats
    t1_s: Floats
    x0_m: Floats
    y0_m: Floats
    vx_mps: Floats
    vy_mps: Floats
    parked: Bools

    def __len__(self) -> int:
        return len(self.vehicle)


@dataclass(frozen=True, eq=False)
class State:
    """Where vehicles are and how they move; every column has the shape of the question, (n,) or (n, K).

    Positions and speeds are NaN where ``present`` is False. A fix belongs to the leg that starts there; the
    last fix of a piece to the leg that ends there.

    Attributes:
        x_m: Position east, metres.
        y_m: Position north, metres.
        speed_mps: Speed, m/s.
        heading_rad: Direction of travel, radians counter-clockwise from east, in [-pi, pi]; 0 at rest.
        vx_mps: Speed east, m/s.
        vy_mps: Speed north, m/s.
        present: bool, whether the vehicle has a position then: not before its first fix, nor after its last,
            nor in a gap.
        parked: bool, whether it stands parked; False where it is not present.
    """

    x_m: Floats
    y_m: Floats
    speed_mps: Floats
    heading_rad: Floats
    vx_mps: Floats
    vy_mps: Floats
    present: Bools
    parked: Bools
