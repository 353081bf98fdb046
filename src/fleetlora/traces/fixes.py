"""Fixes as a source gives them: columns, before anything is cleaned or projected."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError

__all__ = ["DEGREES", "LOCAL", "RawFixes"]

#: Coordinate system of fixes in degrees (WGS 84 longitude and latitude).
DEGREES = "EPSG:4326"
#: Coordinate system of fixes in metres on a plane of their own, such as a simulator's.
LOCAL = "local"


@dataclass(frozen=True, eq=False)
class RawFixes:
    """N fixes as read, in any order, with their dirt; row i is one fix.

    Attributes:
        vehicle: (N,) str, the vehicle's name.
        t_s: (N,) float64, Unix seconds.
        x: (N,) float64, longitude in degrees if ``crs`` is ``"EPSG:4326"``, else metres east.
        y: (N,) float64, latitude in degrees if ``crs`` is ``"EPSG:4326"``, else metres north.
        crs: ``"EPSG:4326"``, ``"local"``, or the name of a projected system in metres.
        origin: What the fixes were read from, for messages.
        name: Short name of the data, which the tracks inherit.
        piece: (N,) int64 or None: fixes of one vehicle with different numbers are never joined by a leg
            (for example the trips of a taxi). None where the source knows of no such borders.
        dropped: Rows the source itself left out, by reason; they show in the account.
    """

    vehicle: NDArray[np.str_]
    t_s: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    crs: str
    origin: str
    name: str = "tracks"
    piece: NDArray[np.int64] | None = None
    dropped: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = {"t_s": self.t_s, "x": self.x, "y": self.y, "piece": self.piece}
        for column, values in columns.items():
            if values is not None and values.shape != self.vehicle.shape:
                raise InputError(
                    f"column {column} has shape {values.shape}, vehicle has {self.vehicle.shape}",
                    where=self.origin,
                    mend="a trace source must return columns of equal length",
                )

    def __len__(self) -> int:
        return len(self.vehicle)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> RawFixes:
        """Return the fixes at ``rows``, (n,) indices or an (N,) mask, in that order."""
        return replace(
            self,
            vehicle=self.vehicle[rows],
            t_s=self.t_s[rows],
            x=self.x[rows],
            y=self.y[rows],
            piece=None if self.piece is None else self.piece[rows],
        )
