"""What the sources that read text share: which time to read, what to do with bad rows, which files."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError
from fleetlora.settings import Settings, quantity
from fleetlora.traces.fixes import RawFixes
from fleetlora.traces.textfile import local_path

__all__ = ["Reading", "find_files", "with_bad_rows"]

OUTSIDE = "before since or after until"


class Reading(Settings):
    """Options of every source that reads text."""

    since: datetime | float | None = quantity(
        None, "time", "leave out what is earlier: a date and time, local to the data, or Unix seconds"
    )
    until: datetime | float | None = quantity(None, "time", "leave out what is later, in the same way")
    bad_rows: Literal["refuse", "drop"] = quantity(
        "refuse", "1", "what to do with a row that has a bad value: refuse the file, or drop and count it"
    )

    def period_s(self, zone: str) -> tuple[float, float]:
        """Return ``since`` and ``until`` as Unix seconds; times without a zone are in ``zone``."""
        ends = (self.since, -np.inf), (self.until, np.inf)
        start, stop = (_unix_s(given, zone, default) for given, default in ends)
        return start, stop

    def cut(self, raw: RawFixes, zone: str) -> RawFixes:
        """Return the fixes from ``since`` to ``until``; the others are counted as dropped.

        Raises:
            InputError: There are fixes, but none of that time.
        """
        start, stop = self.period_s(zone)
        inside = (raw.t_s >= start) & (raw.t_s <= stop)
        if inside.all():
            return raw
        if not inside.any():
            first, last = (
                datetime.fromtimestamp(float(t), ZoneInfo(zone)).isoformat(" ", "seconds")
                for t in (raw.t_s.min(), raw.t_s.max())
            )
            raise InputError(
                "no fix lies between since and until",
                where=raw.origin,
                mend=f"the fixes are from {first} to {last}",
            )
        before = raw.dropped.get(OUTSIDE, 0)
        dropped = {**raw.dropped, OUTSIDE: before + int((~inside).sum())}
        return replace(raw.take(inside), dropped=dropped)


def with_bad_rows(raw: RawFixes, rows: NDArray[np.bool_] | NDArray[np.int64], n_bad: int) -> RawFixes:
    """Return the fixes at ``rows``; ``n_bad`` rows were left out for bad values."""
    dropped = {**raw.dropped, "row with a bad value": n_bad} if n_bad else raw.dropped
    return replace(raw.take(rows), dropped=dropped)


def find_files(path: str, pattern: str, what: str) -> list[Path]:
    """Return the files in the folder ``path`` whose names match ``pattern``, sorted.

    Raises:
        InputError: There is no such folder, or no such file in it.
    """
    folder = local_path(path)
    if not folder.is_dir():
        problem = "a file, where a folder is wanted" if folder.exists() else "no such folder"
        raise InputError(problem, where=path, mend=f"name the folder that holds {what}")
    files = sorted(file for file in folder.glob(pattern) if file.is_file())
    if not files:
        raise InputError(
            f"the folder holds no {pattern}", where=path, mend=f"name the folder that holds {what}"
        )
    return files


def _unix_s(given: datetime | float | None, zone: str, default: float) -> float:
    if given is None:
        return default
    if isinstance(given, datetime):
        return (given if given.tzinfo else given.replace(tzinfo=ZoneInfo(zone))).timestamp()
    return float(given)
