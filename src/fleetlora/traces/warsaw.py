"""Buses of Warsaw: snapshots of every vehicle's last known position, as the city's open data gives them.

Each file is one snapshot, without header, its columns separated by tabs: line, longitude, vehicle, local
time of the fix, latitude, brigade. A bus that stands still for long repeats its last fix in every snapshot.
"""

from __future__ import annotations

from fleetlora.settings import quantity
from fleetlora.traces.fixes import DEGREES, RawFixes
from fleetlora.traces.reading import Reading, find_files, with_bad_rows
from fleetlora.traces.sources import TRACE_SOURCES
from fleetlora.traces.textfile import read_tables
from fleetlora.traces.values import Values

__all__ = ["Warsaw"]

ZONE = "Europe/Warsaw"
_COLUMNS = ("line", "lon", "vehicle", "time", "lat", "brigade")


@TRACE_SOURCES.register("warsaw")
class Warsaw(Reading):
    """Warsaw buses, 3 February 2021, 08:44 to 09:07; 1,529 vehicles, one fix in 70 s."""

    path: str = quantity("asset:warsaw-buses", "1", "folder of the snapshots data_*.txt")

    def read(self) -> RawFixes:
        """Return the fixes of all snapshots."""
        values = Values(
            read_tables(find_files(self.path, "data_*.txt", "the snapshots"), _COLUMNS, "\t"),
            drop=self.bad_rows == "drop",
        )
        raw = RawFixes(
            vehicle=values.vehicles("vehicle"),
            t_s=values.times("time", "%Y-%m-%d %H:%M:%S", zone=ZONE),
            x=values.numbers("lon"),
            y=values.numbers("lat"),
            crs=DEGREES,
            origin=self.path,
            name="warsaw",
        )
        return self.cut(with_bad_rows(raw, values.rows, values.n_dropped), ZONE)
