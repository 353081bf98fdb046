"""SUMO's floating-car data (``sumo --fcd-output``) as fixes: XML, CSV or Parquet, plain or gzipped.

Files are read as a stream. Persons and containers are left out. In CSV and Parquet SUMO 1.28 puts persons and
vehicles into the same columns, named after whichever came first; there a row with an edge is a person's, as
a vehicle's row names a lane instead.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from fleetlora.errors import InputError
from fleetlora.settings import quantity
from fleetlora.traces.fixes import DEGREES, LOCAL, RawFixes
from fleetlora.traces.sources import TRACE_SOURCES
from fleetlora.traces.sumo_columns import VehicleChoice
from fleetlora.traces.sumo_formats import read_fcd
from fleetlora.traces.textfile import find_file

__all__ = ["SumoFcd"]


@TRACE_SOURCES.register("sumo-fcd")
class SumoFcd(VehicleChoice):
    """FCD that SUMO wrote; its seconds are the scenario's own clock."""

    path: str = quantity(..., "file", "FCD output: .xml, .csv (either may be gzipped) or .parquet")
    coordinates: Literal["auto", "degrees", "metres"] = quantity(
        "auto", "1", "what x and y are; 'auto': as the XML says, else degrees if all values could be"
    )

    def read(self) -> RawFixes:
        """Return the fixes of all vehicles kept; see :class:`~fleetlora.traces.TraceSource`.

        Raises:
            InputError: The file is missing, cut off, not FCD, or holds no vehicle.
        """
        path = find_file(self.path)
        columns, geo = read_fcd(path)
        name = path.name.removesuffix(".gz").partition(".")[0]
        raw = columns.fixes(self, LOCAL, str(self.path), name)
        if not len(raw):
            raise InputError(
                f"no fixes of any of its {len(columns.names)} vehicles were kept",
                where=str(self.path),
                mend="check vehicle_types and share, and that vehicles drive in the simulated time",
            )
        return raw if not self._in_degrees(raw, geo) else _as_degrees(raw)

    def _in_degrees(self, raw: RawFixes, geo: bool | None) -> bool:
        if self.coordinates != "auto":
            return self.coordinates == "degrees"
        return geo if geo is not None else _could_be_degrees(raw)


def _could_be_degrees(raw: RawFixes) -> bool:
    return bool((np.abs(raw.x) <= 180.0).all() and (np.abs(raw.y) <= 90.0).all())


def _as_degrees(raw: RawFixes) -> RawFixes:
    if not _could_be_degrees(raw):
        raise InputError(
            f"x reaches {np.abs(raw.x).max():g} and y {np.abs(raw.y).max():g}, which are no degrees",
            where=raw.origin,
            mend="set coordinates to 'metres'",
        )
    return RawFixes(raw.vehicle, raw.t_s, raw.x, raw.y, DEGREES, raw.origin, raw.name, dropped=raw.dropped)
