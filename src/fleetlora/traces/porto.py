"""Taxis of Porto, in the form of the ECML/PKDD 2015 challenge.

One CSV file, one row a trip: TAXI_ID, TIMESTAMP (Unix seconds of the start), MISSING_DATA, and POLYLINE, a
JSON list of [longitude, latitude] every 15 seconds. In a trip with MISSING_DATA the positions after the
loss have no known time, so such trips are left out. Trips of one taxi are never joined.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fleetlora.settings import quantity
from fleetlora.traces.fixes import DEGREES, RawFixes
from fleetlora.traces.reading import Reading
from fleetlora.traces.sources import TRACE_SOURCES
from fleetlora.traces.textfile import find_file, read_table
from fleetlora.traces.values import Values

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Porto"]

ZONE = "Europe/Lisbon"
INTERVAL_S = 15.0
_LINE, _LOST = "POLYLINE", "MISSING_DATA"
_COLUMNS = ("TAXI_ID", "TIMESTAMP", _LOST, _LINE)


@TRACE_SOURCES.register("porto")
class Porto(Reading):
    """Porto taxis, July 2013 to June 2014; 442 vehicles, one fix in 15 s during trips."""

    path: str = quantity(..., "1", "the CSV file, such as train.csv")

    def read(self) -> RawFixes:
        """Return the fixes of all trips; ``piece`` is the trip."""
        table = read_table(find_file(self.path), _COLUMNS, ",")
        values = Values(table, drop=self.bad_rows == "drop")
        taxi, start_s = values.vehicles("TAXI_ID"), values.times("TIMESTAMP")
        since, until = self.period_s(ZONE)
        lasts_s = INTERVAL_S * table.frame[_LINE].str.count_matches("[", literal=True).fill_null(0).to_numpy()
        near = values.rows & (start_s <= until) & (start_s + lasts_s >= since)
        if not near.any():
            near = values.rows  # so that the message can say from when to when the trips are
        lines = _polylines(table.frame[_LINE], near, values)
        trip, n_fixes = np.flatnonzero(near & values.rows), lines.list.len().to_numpy()
        trip, n_fixes, lines = trip[n_fixes > 0], n_fixes[n_fixes > 0], lines.filter(lines.list.len() > 0)
        places = lines.explode().explode().to_numpy().reshape(-1, 2)
        of_trip = np.repeat(trip, n_fixes)
        nth = np.arange(len(of_trip)) - np.repeat(np.cumsum(n_fixes) - n_fixes, n_fixes)
        raw = RawFixes(
            vehicle=taxi[of_trip],
            t_s=start_s[of_trip] + INTERVAL_S * nth,
            x=places[:, 0],
            y=places[:, 1],
            crs=DEGREES,
            origin=self.path,
            name="porto",
            piece=of_trip.astype(np.int64),
            dropped={"row with a bad value": values.n_dropped} if values.n_dropped else {},
        )
        lost = (table.frame[_LOST].str.to_lowercase() == "true").fill_null(False).to_numpy()[of_trip]
        if lost.any():
            raw = replace(raw.take(~lost), dropped={**raw.dropped, "trip with missing data": int(lost.sum())})
        return self.cut(raw, ZONE)


def _polylines(column: pl.Series, near: NDArray[np.bool_], values: Values) -> pl.Series:
    """Return the positions of the trips that are ``near`` and not bad, a list of pairs each."""
    import polars as pl

    pairs = pl.List(pl.List(pl.Float64))
    try:
        lines = column.filter(pl.Series(near)).str.json_decode(pairs)
        sound = bool(lines.list.eval(pl.element().list.len() == 2).list.all().all()) and not lines.has_nulls()
        places = lines.explode().explode()
        sound = sound and int(places.is_not_null().sum()) == 2 * int(lines.list.len().sum())
    except pl.exceptions.PolarsError:
        sound = False
    if not sound:
        wrong = np.zeros(len(near), dtype=bool)
        wrong[near] = [not _is_polyline(text) for text in column.filter(pl.Series(near))]
        values.judge(_LINE, wrong, "a JSON list of [longitude, latitude]")
        lines = column.filter(pl.Series(near & values.rows)).str.json_decode(pairs)
    return lines


def _is_polyline(text: str | None) -> bool:
    try:
        places = json.loads(text or "")
    except ValueError:
        return False
    return isinstance(places, list) and all(
        isinstance(place, list)
        and len(place) == 2
        and all(isinstance(number, int | float) and np.isfinite(number) for number in place)
        for place in places
    )
