"""Columns of SUMO's floating-car data (FCD) on their way from a file to fixes.

Readers add blocks of rows; vehicles are numbered in the order they appear, so that a row costs 28 bytes
however long its vehicle's name is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fleetlora.limits import names_array
from fleetlora.settings import Settings, quantity
from fleetlora.traces.fixes import RawFixes

__all__ = ["FcdColumns", "VehicleChoice", "sumo_seconds"]

#: What SUMO writes for a position that it does not have (``INVALID_DOUBLE_VALUE``).
_NO_POSITION = -1073741824.0
_HASH_RANGE = float(1 << 64)


class VehicleChoice(Settings):
    """Which of a simulation's vehicles to keep."""

    vehicle_types: tuple[str, ...] = quantity(
        (), "name", "SUMO vehicle types to keep, as patterns such as 'bus*'; empty: all"
    )
    share: float = quantity(
        1.0, "1", "share of the vehicles to keep; a vehicle's name alone decides", gt=0, le=1
    )

    def keeps(self, name: str, kind: str) -> bool:
        """Return whether the vehicle ``name`` of type ``kind`` is kept."""
        plain = kind.partition("@")[0]  # SUMO calls a type changed for one vehicle TYPE@VEHICLE
        if self.vehicle_types and not any(fnmatchcase(plain, pattern) for pattern in self.vehicle_types):
            return False
        if self.share == 1.0:
            return True
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") / _HASH_RANGE < self.share


@dataclass
class FcdColumns:
    """Rows of FCD, collected block by block.

    Attributes:
        names: Vehicles in the order they appeared.
        kinds: The SUMO type of each, as first seen; empty where the file does not say.
        dropped: Rows left out, by reason.
    """

    names: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _blocks: list[tuple[NDArray[np.int32], NDArray[np.float64]]] = field(default_factory=list)

    def number(self, name: str, kind: str) -> int:
        """Return the number of a vehicle, a new one for a new name."""
        known = self._numbers.setdefault(name, len(self.names))
        if known == len(self.names):
            self.names.append(name)
            self.kinds.append(kind)
        return known

    def add(self, vehicle: ArrayLike, t_s: ArrayLike, x: ArrayLike, y: ArrayLike) -> None:
        """Add a block of n rows: (n,) numbers of vehicles, seconds and coordinates."""
        values = np.stack([np.asarray(column, dtype=np.float64) for column in (t_s, x, y)])
        placed = np.isfinite(values).all(axis=0) & (values[1:] != _NO_POSITION).all(axis=0)
        self.drop("no position", int((~placed).sum()))
        self._blocks.append((np.asarray(vehicle, dtype=np.int32)[placed], values[:, placed]))

    def drop(self, reason: str, count: int) -> None:
        """Count rows that are left out."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def fixes(self, choice: VehicleChoice, crs: str, origin: str, name: str) -> RawFixes:
        """Return the chosen vehicles' rows as fixes.

        Args:
            choice: Which vehicles to keep.
            crs: Coordinate system of the rows.
            origin: What they were read from.
            name: Short name of the data.
        """
        vehicle = _joined([codes for codes, _ in self._blocks], np.zeros(0, dtype=np.int32))
        values = _joined([block for _, block in self._blocks], np.zeros((3, 0)))
        kept = np.array(
            [choice.keeps(*pair) for pair in zip(self.names, self.kinds, strict=True)], dtype=bool
        )
        if not kept.all():
            rows = kept[vehicle]
            vehicle, values = vehicle[rows], values[:, rows]
        names = names_array(self.names, "vehicle", origin)
        t_s, x, y = values
        return RawFixes(
            vehicle=names[vehicle] if len(names) else np.zeros(0, dtype="<U1"),
            t_s=t_s,
            x=x,
            y=y,
            crs=crs,
            origin=origin,
            name=name,
            dropped=dict(self.dropped),
        )


def _joined(blocks: Sequence[np.ndarray], empty: np.ndarray) -> np.ndarray:
    return np.concatenate(blocks, axis=-1) if blocks else empty


def sumo_seconds(text: str) -> float:
    """Return a time as SUMO writes it, seconds or ``[days:]hours:minutes:seconds``, in seconds.

    Raises:
        ValueError: It is no time.
    """
    if ":" not in text:
        return float(text)
    units = (1.0, 60.0, 3600.0, 86400.0)
    parts = text.split(":")
    if not 3 <= len(parts) <= 4:
        raise ValueError(text)
    return sum(float(part) * unit for part, unit in zip(reversed(parts), units, strict=False))
