"""Contacts: which RSU served which vehicle from when to when, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fleetlora.roadside.ragged import Bools, Floats, bisect

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Contacts", "Serving"]


@dataclass(frozen=True)
class Serving:
    """Who serves whom at one moment; one row per vehicle, or per row of the question.

    Attributes:
        rsu: (V,) int32 serving RSU, −1 where there is none.
        contact: (V,) int64 row of the contact, −1 where there is none.
        t_in_s: (V,) when it began, seconds; NaN where there is none.
        t_out_s: (V,) when it ends, seconds; NaN where there is none. The future: for outcomes, not decisions.
    """

    rsu: NDArray[np.int32]
    contact: NDArray[np.int64]
    t_in_s: Floats
    t_out_s: Floats


@dataclass(frozen=True)
class Contacts:
    """C contacts of V vehicles with J RSUs, sorted by vehicle, then time; those of a vehicle never overlap.

    Attributes:
        vehicle: (C,) int32 vehicle index.
        rsu: (C,) int32 index of the serving RSU.
        t_in_s: (C,) begin, seconds; the contact holds at ``t_in_s`` and no longer at ``t_out_s``.
        t_out_s: (C,) end, seconds, after ``t_in_s``.
        handoff: (C,) bool, whether the contact began as a handoff from the row before, whose ``t_out_s`` is
            this ``t_in_s``.
        end: (C,) int8, how it ended: 0 the vehicle left coverage, 1 it was handed off to the next row, 2 the
            track (or its piece) ended.
        n_vehicles: V.
        n_rsus: J.
    """

    vehicle: NDArray[np.int32]
    rsu: NDArray[np.int32]
    t_in_s: Floats
    t_out_s: Floats
    handoff: Bools
    end: NDArray[np.int8]
    n_vehicles: int
    n_rsus: int

    def __len__(self) -> int:
        return len(self.vehicle)

    @property
    def n_handoffs(self) -> int:
        """Number of handoffs."""
        return int(self.handoff.sum())

    @cached_property
    def dwell_s(self) -> Floats:
        """(C,) how long each contact lasted, seconds."""
        return self.t_out_s - self.t_in_s

    @cached_property
    def by_dwell(self) -> NDArray[np.int64]:
        """(C,) rows sorted by RSU, then by how long they lasted."""
        return np.lexsort((self.dwell_s, self.rsu))

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """(V + 1,) vehicle v owns the rows ``offsets[v]:offsets[v + 1]``."""
        return np.searchsorted(self.vehicle, np.arange(self.n_vehicles + 1)).astype(np.int64)

    @cached_property
    def next_contact(self) -> NDArray[np.int64]:
        """(C,) row of the vehicle's next contact, −1 if none; a handoff goes to just that one."""
        following = np.arange(1, len(self) + 1)
        following[self.offsets[1:][np.diff(self.offsets) > 0] - 1] = -1
        return following

    @cached_property
    def handed_to(self) -> NDArray[np.int64]:
        """(C,) row of the contact that a contact's vehicle is handed off to, −1 where it is not."""
        return np.where((self.next_contact >= 0) & self.handoff[self.next_contact], self.next_contact, -1)

    def find(self, vehicle: NDArray[np.integer], t_s: Floats) -> NDArray[np.int64]:
        """Return the contact in which each vehicle is at its own time.

        Args:
            vehicle: (n,) vehicle indices.
            t_s: (n,) seconds.

        Returns:
            (n,) row, −1 where the vehicle is not served then.
        """
        first, last = self.offsets[vehicle], self.offsets[np.asarray(vehicle) + 1]
        row = bisect(self.t_in_s, first, last, np.asarray(t_s, dtype=np.float64), after=True) - 1
        served = row >= first
        served[served] = t_s[served] < self.t_out_s[row[served]]
        return np.where(served, row, -1)

    def serving(self, t_s: float) -> Serving:
        """Return who serves every vehicle at one moment."""
        row = self.find(np.arange(self.n_vehicles), np.full(self.n_vehicles, float(t_s)))
        served = row >= 0
        rsu = np.full(len(row), -1, dtype=np.int32)
        t_in, t_out = np.full(len(row), np.nan), np.full(len(row), np.nan)
        rsu[served], t_in[served] = self.rsu[row[served]], self.t_in_s[row[served]]
        t_out[served] = self.t_out_s[row[served]]
        return Serving(rsu, row, t_in, t_out)

    def overlap(self, t0_s: float, t1_s: float) -> NDArray[np.int64]:
        """Return the rows of contacts that hold at some time in ``[t0_s, t1_s)``."""
        return np.flatnonzero((self.t_in_s < t1_s) & (self.t_out_s > t0_s))

    def select(self, vehicles: NDArray[np.integer]) -> Contacts:
        """Return the contacts of some vehicles, numbered by their place in ``vehicles``, rising."""
        place = np.full(self.n_vehicles, -1, dtype=np.int32)
        place[vehicles] = np.arange(len(vehicles))
        rows = np.flatnonzero(place[self.vehicle] >= 0)
        return Contacts(
            vehicle=place[self.vehicle[rows]],
            rsu=self.rsu[rows],
            t_in_s=self.t_in_s[rows],
            t_out_s=self.t_out_s[rows],
            handoff=self.handoff[rows],
            end=self.end[rows],
            n_vehicles=len(vehicles),
            n_rsus=self.n_rsus,
        )

    def summary(self) -> dict[str, float]:
        """Return counts, dwell times and vehicle-seconds in contact, for people to read."""
        dwell = self.dwell_s
        return {
            "contacts": len(self),
            "handoffs": self.n_handoffs,
            "vehicles_met": len(np.unique(self.vehicle)),
            "rsus_met": len(np.unique(self.rsu)),
            "median_dwell_s": float(np.median(dwell)) if len(dwell) else 0.0,
            "contact_s": float(dwell.sum()),
        }

    def to_arrow(self) -> pa.Table:
        """Return the contacts as an Arrow table, one column per attribute."""
        import pyarrow as pa

        names = ("vehicle", "rsu", "t_in_s", "t_out_s", "handoff", "end")
        return pa.table({name: getattr(self, name) for name in names})
