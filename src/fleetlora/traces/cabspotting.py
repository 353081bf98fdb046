"""Taxis of San Francisco, in the form of the Cabspotting data set.

A folder holds one file per cab, ``new_<cab>.txt``, whose lines are latitude, longitude, occupied (0 or 1) and
Unix time, separated by blanks, newest first. Source: M. Piorkowski, N. Sarafijanovic-Djukic, M. Grossglauser,
"CRAWDAD data set epfl/mobility", 2009.
"""

from __future__ import annotations

import numpy as np

from fleetlora.settings import quantity
from fleetlora.traces.fixes import DEGREES, RawFixes
from fleetlora.traces.reading import Reading, find_files, with_bad_rows
from fleetlora.traces.sources import TRACE_SOURCES
from fleetlora.traces.textfile import read_tables
from fleetlora.traces.values import Values

__all__ = ["Cabspotting"]

ZONE = "America/Los_Angeles"
_COLUMNS = ("lat", "lon", "occ", "t")


@TRACE_SOURCES.register("cabspotting")
class Cabspotting(Reading):
    """San Francisco taxis, 2008; about 500 vehicles, one fix in 60 s, 24 days."""

    path: str = quantity(..., "1", "folder of the files, one per cab, new_*.txt")

    def read(self) -> RawFixes:
        """Return the fixes of all cabs, oldest first."""
        files = find_files(self.path, "new_*.txt", "one file per cab, new_*.txt")
        table = read_tables(files, _COLUMNS, " ")
        values = Values(table, drop=self.bad_rows == "drop")
        cabs = np.array([file.stem.removeprefix("new_") for file in files], dtype=np.str_)
        raw = RawFixes(
            vehicle=np.repeat(cabs, np.diff(table.starts, append=table.frame.height)),
            t_s=values.times("t"),
            x=values.numbers("lon"),
            y=values.numbers("lat"),
            crs=DEGREES,
            origin=self.path,
            name="cabspotting",
        )
        oldest_first = np.flatnonzero(values.rows)[::-1]
        return self.cut(with_bad_rows(raw, oldest_first, values.n_dropped), ZONE)
