"""Cleaning: from raw fixes, with their dirt, to tracks that a vehicle could have driven."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from fleetlora.errors import InputError
from fleetlora.settings import Settings, quantity
from fleetlora.traces.account import Account
from fleetlora.traces.facts import parked_share
from fleetlora.traces.fixes import DEGREES, RawFixes
from fleetlora.traces.parked import parked_legs
from fleetlora.traces.project import distance_from_m, to_metres, utm_zone
from fleetlora.traces.tracks import Tracks
from fleetlora.traces.unreachable import reachable, too_fast

__all__ = ["Cleaning", "clean"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Cleaning(Settings):
    """What counts as dirt, where a track is split, and who is parked."""

    max_speed_mps: float = quantity(
        40.0, "m/s", "a fix that asks for more is dropped", "144 km/h, above any limit in a city", gt=0
    )
    gap_s: float = quantity(
        300.0,
        "s",
        "a track is split where the next fix comes later",
        "98 % of intervals of city fleets",
        gt=0,
    )
    min_fixes: int = quantity(3, "1", "a vehicle with fewer fixes is dropped", ge=2)
    jump_fixes: int = quantity(
        5, "1", "where joining two stretches costs more fixes than this, they stay apart, with a break", ge=1
    )
    bounds: tuple[float, float, float, float] | None = quantity(
        None, "degree, or m", "west, south, east, north; fixes outside are dropped"
    )
    max_distance_m: float = quantity(
        150_000.0, "m", "fixes farther from the median position are dropped (degrees only)", gt=0
    )
    parked_radius_m: float = quantity(
        50.0, "m", "a vehicle that stays within this radius is parked", "GNSS error in street canyons", gt=0
    )
    parked_after_s: float = quantity(
        300.0, "s", "once it has stayed for so long", "longer than two cycles of traffic lights", gt=0
    )

    @field_validator("bounds")
    @classmethod
    def _ordered(
        cls, bounds: tuple[float, float, float, float] | None
    ) -> tuple[float, float, float, float] | None:
        if bounds and not (bounds[0] < bounds[2] and bounds[1] < bounds[3]):
            raise ValueError("bounds are west, south, east, north: west < east and south < north")
        return bounds


def clean(raw: RawFixes, cleaning: Cleaning | None = None) -> tuple[Tracks, Account]:
    """Return the tracks in ``raw``, and the account of what was dropped and why.

    The order of the rows does not matter, and cleaning what is clean changes nothing.

    Raises:
        InputError: Nothing is left; the message holds the account.
    """
    cleaning = cleaning or Cleaning()
    account = Account(raw.origin, len(raw) + sum(raw.dropped.values()), dict(raw.dropped))
    ids, code = _vehicles(raw.vehicle)
    account = replace(account, vehicles_read=len(ids), unsorted=_unsorted(code, raw.t_s))

    raw, code = _drop_misplaced(raw, code, cleaning, account.dropped)
    _refuse_nothing(len(raw), account, cleaning)
    crs, (x, y) = raw.crs, (raw.x, raw.y)
    if crs == DEGREES:
        crs = utm_zone(float(np.median(raw.x)), float(np.median(raw.y)))
        x, y = to_metres(raw.x, raw.y, crs)
    piece = np.zeros(len(raw), dtype=np.int64) if raw.piece is None else raw.piece
    columns = _sorted_distinct(_Columns(code, raw.t_s, x, y, piece), account.dropped)
    columns = _drop_undrivable(columns, cleaning, account.dropped)
    _refuse_nothing(len(columns.code), account, cleaning)
    return _build(raw, ids, columns, crs, cleaning, account)


@dataclass(frozen=True)
class _Columns:
    """Fixes in metres; after sorting, by vehicle and then time."""

    code: Ints
    t: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    piece: Ints

    def take(self, rows: Ints | Bools) -> _Columns:
        return _Columns(self.code[rows], self.t[rows], self.x[rows], self.y[rows], self.piece[rows])

    def same(self) -> Bools:
        """Return (n,) whether a fix is of the same vehicle as the one before."""
        return np.asarray(np.diff(self.code, prepend=-1) == 0)

    def breaks(self, cleaning: Cleaning) -> tuple[Bools, Bools, Bools]:
        """Return (n,) where a gap, a jump, and a border of the source lie before a fix."""
        same = self.same()
        late = same & (np.diff(self.t, prepend=0.0) > cleaning.gap_s)
        fast = too_fast(self.code, self.t, self.x, self.y, cleaning.max_speed_mps)
        other = same & (np.diff(self.piece, prepend=-1) != 0)
        return late, fast & ~late, other & ~late & ~fast


def _vehicles(vehicle: NDArray[np.str_]) -> tuple[NDArray[np.str_], Ints]:
    """Return the distinct vehicles, sorted, and the (N,) index of each row's among them."""
    import pyarrow as pa

    if not len(vehicle):
        return np.empty(0, dtype=np.str_), np.empty(0, dtype=np.int64)
    coded = pa.array(vehicle, pa.large_string()).dictionary_encode()
    found = np.array(coded.dictionary.to_pylist(), dtype=np.str_)
    ids, place = np.unique(found, return_inverse=True)
    return ids, place[coded.indices.to_numpy()].astype(np.int64)


def _unsorted(code: Ints, t_s: NDArray[np.float64]) -> int:
    order = np.argsort(code, kind="stable")
    backwards = (np.diff(t_s[order]) < 0) & (np.diff(code[order]) == 0)
    return int(backwards.sum())


def _drop_misplaced(
    raw: RawFixes, code: Ints, cleaning: Cleaning, dropped: dict[str, int]
) -> tuple[RawFixes, Ints]:
    """Drop fixes that lie at no place, or at a wrong one, and count them by reason."""

    def drop(reason: str, bad: Bools) -> None:
        nonlocal raw, code
        dropped[reason] = dropped.get(reason, 0) + int(bad.sum())
        if bad.any():
            raw, code = raw.take(~bad), code[~bad]

    drop("not a finite number", ~(np.isfinite(raw.t_s) & np.isfinite(raw.x) & np.isfinite(raw.y)))
    if raw.crs == DEGREES:
        drop("latitude or longitude out of range", (np.abs(raw.x) > 180.0) | (np.abs(raw.y) > 90.0))
        drop("at latitude 0, longitude 0", (raw.x == 0.0) & (raw.y == 0.0))
    if cleaning.bounds is not None:
        west, south, east, north = cleaning.bounds
        drop("out of bounds", (raw.x < west) | (raw.x > east) | (raw.y < south) | (raw.y > north))
    if raw.crs == DEGREES and len(raw):
        centre = float(np.median(raw.x)), float(np.median(raw.y))
        far = distance_from_m(raw.x, raw.y, *centre) > cleaning.max_distance_m
        drop(f"over {cleaning.max_distance_m / 1000:g} km from the median position", far)
    return raw, code


def _sorted_distinct(columns: _Columns, dropped: dict[str, int]) -> _Columns:
    """Sort by vehicle and time, and keep one fix of each vehicle and time, whatever the order of the rows."""
    columns = columns.take(_order(columns))
    again = columns.same() & (np.diff(columns.t, prepend=np.nan) == 0)
    moved = (np.diff(columns.x, prepend=np.nan) != 0) | (np.diff(columns.y, prepend=np.nan) != 0)
    dropped["repeated"] = int((again & ~moved).sum())
    dropped["same vehicle and time, other place"] = int((again & moved).sum())
    return columns.take(~again)


def _order(columns: _Columns) -> Ints:
    """Return the rows by vehicle, time, and, where these are equal, place and piece."""
    order = np.argsort(columns.t, kind="stable")
    narrow = columns.code.astype(np.min_scalar_type(int(columns.code.max(initial=0))))
    order = order[np.argsort(narrow[order], kind="stable")]
    by_time = columns.take(order)
    again = by_time.same() & (np.diff(by_time.t, prepend=np.nan) == 0)
    tied = np.flatnonzero(again | np.append(again[1:], False)[: len(again)])
    if len(tied):  # rarely; a sort by five columns costs more than all else
        few = by_time.take(tied)
        order[tied] = order[tied[np.lexsort((few.piece, few.y, few.x, few.t, few.code))]]
    return order


def _drop_undrivable(columns: _Columns, cleaning: Cleaning, dropped: dict[str, int]) -> _Columns:
    """Drop fixes out of reach, fixes alone between two breaks, and vehicles with too few fixes."""
    fast = alone = few = 0
    while True:
        scarce = np.bincount(columns.code, minlength=1)[columns.code] < cleaning.min_fixes
        columns = columns.take(~scarce)
        keep = reachable(
            columns.code, columns.t, columns.x, columns.y, cleaning.max_speed_mps, cleaning.jump_fixes
        )
        columns = columns.take(keep)
        starts = ~columns.same() | np.logical_or.reduce(columns.breaks(cleaning))
        lonely = starts & np.append(starts[1:], True)[: len(starts)]
        columns = columns.take(~lonely)
        few, fast, alone = few + int(scarce.sum()), fast + int((~keep).sum()), alone + int(lonely.sum())
        if keep.all() and not lonely.any():
            break
    dropped[f"faster than {cleaning.max_speed_mps:g} m/s"] = fast
    dropped["alone between two gaps"] = alone
    dropped[f"vehicle has fewer than {cleaning.min_fixes} fixes"] = few
    return columns


def _refuse_nothing(left: int, account: Account, cleaning: Cleaning) -> None:
    if left:
        return
    reasons = {reason: count for reason, count in account.dropped.items() if count}
    why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    problem = f"none of the {account.rows_read:,} fixes is left ({why})" if reasons else "it holds no fixes"
    main = max(reasons, key=lambda reason: reasons[reason], default="")
    mends = {
        "latitude": "check that latitude and longitude are not exchanged, and are in degrees",
        "at latitude": "the receiver had no position; look for other columns",
        "out of": "check cleaning.bounds: west, south, east, north",
        "faster": "check the unit and format of the times, or raise cleaning.max_speed_mps",
        "alone": "raise cleaning.gap_s above the usual time between two fixes",
        "vehicle": "a track needs two fixes; lower cleaning.min_fixes, or check the vehicle column",
        "same": "check that the times differ from row to row, and the vehicle column",
        "repeated": "check that the times differ from row to row",
    }
    mend = next((mend for start, mend in mends.items() if main.startswith(start)), "check the file")
    raise InputError(problem, where=account.origin, mend=mend)


def _build(
    raw: RawFixes,
    ids: NDArray[np.str_],
    columns: _Columns,
    crs: str,
    cleaning: Cleaning,
    account: Account,
) -> tuple[Tracks, Account]:
    late, jump, border = columns.breaks(cleaning)
    first = ~columns.same()
    new_piece = first | late | jump | border
    starts = np.flatnonzero(first)
    t = columns.t - columns.t.min()
    parked = parked_legs(
        t, columns.x, columns.y, new_piece, cleaning.parked_radius_m, cleaning.parked_after_s
    )
    tracks = Tracks(
        vehicle_ids=ids[columns.code[starts]],
        offsets=np.append(starts, len(t)).astype(np.int64),
        t_s=t,
        x_m=columns.x,
        y_m=columns.y,
        new_piece=new_piece,
        parked=parked,
        epoch_s=float(columns.t.min()),
        crs=crs,
        name=raw.name,
    )
    return tracks, replace(
        account,
        vehicles_kept=tracks.n_vehicles,
        gaps=int(late.sum()),
        jumps=int(jump.sum()),
        borders=int(border.sum()),
        pieces=int(new_piece.sum()),
        parked_share=parked_share(tracks),
    )
