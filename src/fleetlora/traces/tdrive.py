"""Taxis of Beijing, in the form of the T-Drive sample.

A folder holds one file per taxi, whose lines are ``id,YYYY-MM-DD HH:MM:SS,longitude,latitude`` in Beijing
time; lines are out of order and repeated, and some files are empty. Source: J. Yuan et al., "T-Drive: driving
directions based on taxi trajectories", ACM GIS 2010.
"""

from __future__ import annotations

from fleetlora.settings import quantity
from fleetlora.traces.fixes import DEGREES, RawFixes
from fleetlora.traces.reading import Reading, find_files, with_bad_rows
from fleetlora.traces.sources import TRACE_SOURCES
from fleetlora.traces.textfile import read_tables
from fleetlora.traces.values import Values

__all__ = ["TDrive"]

ZONE = "Asia/Shanghai"
_COLUMNS = ("id", "time", "lon", "lat")


@TRACE_SOURCES.register("tdrive")
class TDrive(Reading):
    """Beijing taxis, February 2008; 10,357 vehicles, one fix in 3 min, one week."""

    path: str = quantity(..., "1", "folder of the files, one per taxi, *.txt")

    def read(self) -> RawFixes:
        """Return the fixes of all taxis."""
        files = find_files(self.path, "*.txt", "one file per taxi, such as 1.txt")
        values = Values(read_tables(files, _COLUMNS, ","), drop=self.bad_rows == "drop")
        raw = RawFixes(
            vehicle=values.vehicles("id"),
            t_s=values.times("time", "%Y-%m-%d %H:%M:%S", zone=ZONE),
            x=values.numbers("lon"),
            y=values.numbers("lat"),
            crs=DEGREES,
            origin=self.path,
            name="tdrive",
        )
        return self.cut(with_bad_rows(raw, values.rows, values.n_dropped), ZONE)
