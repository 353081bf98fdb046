"""From tracks and sites to contacts: the settings of association, and the way through the whole fleet."""

from __future__ import annotations

import math

import numpy as np

from fleetlora.errors import ConfigError, InputError
from fleetlora.roadside.contacts import Contacts
from fleetlora.roadside.passes import find_passes, stretches
from fleetlora.roadside.reach import SiteIndex
from fleetlora.roadside.serving import A3Event, ContactRows, serve
from fleetlora.roadside.sites import Sites
from fleetlora.settings import Settings, quantity
from fleetlora.traces import Tracks

__all__ = ["Association", "find_contacts", "require_contacts"]

_FIXES = 1 << 16  # in one stretch of work: large enough to vectorise, small enough for the cache
_ROWS = 1 << 18  # pairs of leg and candidate site in one stretch


class Association(Settings):
    """When a vehicle attaches to an RSU, is handed off, and is out of coverage."""

    hysteresis_db: float = quantity(
        3.0,
        "dB",
        "how much stronger a neighbour must be than the serving RSU (event A3: offset plus hysteresis)",
        "3GPP TS 38.331 §5.5.4.4; the default of ns-3's A3 RSRP algorithm",
        ge=0,
        le=30,
    )
    time_to_trigger_s: float = quantity(
        0.256,
        "s",
        "how long it must stay so before the handoff",
        "3GPP TS 38.331 §6.3.2 TimeToTrigger, its median value; the default of ns-3's A3 RSRP algorithm",
        ge=0,
        le=60,
    )
    min_sinr_db: float = quantity(
        -6.0,
        "dB",
        "mean SINR below which a vehicle is out of coverage",
        "usual in-sync threshold Q_in (hypothetical PDCCH block error rate 2 %), 3GPP TS 38.133 §8.1",
        ge=-20,
        le=40,
    )


def find_contacts(
    tracks: Tracks,
    sites: Sites,
    coverage_m: float,
    distance_ratio: float,
    time_to_trigger_s: float,
    height_m: float = 0.0,
    *,
    stretch_fixes: int = _FIXES,
) -> Contacts:
    """Return every contact of the tracks with the sites.

    Times are roots of quadratics on the legs, not ticks of a clock; the rules are those of
    :mod:`fleetlora.roadside.serving`. Works through the fleet in stretches, so that what it needs beside the
    tracks and the answer does not grow with either; the answer does not depend on how they are cut.

    Args:
        tracks: Where the vehicles go.
        sites: Where the RSUs stand.
        coverage_m: Horizontal distance up to which an RSU covers a vehicle, metres.
        distance_ratio: How many times farther (in three dimensions) the serving RSU must be than a neighbour
            for the neighbour to be better by the hysteresis; 1 is no hysteresis.
        time_to_trigger_s: How long that must hold, seconds.
        height_m: Height of the RSUs' antennas above the vehicles', metres.
        stretch_fixes: Fixes worked on at once.

    Raises:
        InputError: There are no sites, or a number is out of range.
    """
    _check(sites, coverage_m, distance_ratio, time_to_trigger_s, height_m)
    event = A3Event(distance_ratio, time_to_trigger_s, height_m)
    index = SiteIndex(sites.x_m, sites.y_m, coverage_m)
    parts = []
    for stretch in stretches(tracks, index, stretch_fixes, _ROWS):
        passes = find_passes(stretch, index, sites.x_m, sites.y_m, coverage_m)
        parts.append(serve(stretch, passes, event))
    return _gather(parts, tracks.n_vehicles, len(sites))


def _gather(parts: list[ContactRows], n_vehicles: int, n_rsus: int) -> Contacts:
    def column(name: str, kind: type) -> np.ndarray:
        return np.concatenate([np.zeros(0, kind), *(getattr(part, name) for part in parts)])

    return Contacts(
        vehicle=column("vehicle", np.int32),
        rsu=column("site", np.int32),
        t_in_s=column("t_in_s", np.float64),
        t_out_s=column("t_out_s", np.float64),
        handoff=column("handoff", np.bool_),
        end=column("end", np.int8),
        n_vehicles=n_vehicles,
        n_rsus=n_rsus,
    )


def _check(sites: Sites, coverage_m: float, ratio: float, time_to_trigger_s: float, height_m: float) -> None:
    if not len(sites):
        raise InputError("there are no RSU sites", mend="choose a placement that gives at least one site")
    limits = (
        ("coverage_m", coverage_m, coverage_m > 0, "above 0"),
        ("distance_ratio", ratio, ratio >= 1, "at least 1, which is no hysteresis"),
        ("time_to_trigger_s", time_to_trigger_s, time_to_trigger_s >= 0, "at least 0"),
        ("height_m", height_m, height_m >= 0, "at least 0"),
    )
    for name, value, good, need in limits:
        if not (good and math.isfinite(value)):
            raise ConfigError(f"{name} is {value:g}", where=name, mend=f"it must be finite and {need}")


def require_contacts(contacts: Contacts, tracks: Tracks, sites: Sites, coverage_m: float) -> None:
    """Make sure that at least one vehicle ever meets an RSU.

    Raises:
        InputError: None does; the message says how far apart they are and what to change.
    """
    if len(contacts):
        return
    from scipy.spatial import cKDTree

    away, _ = cKDTree(np.column_stack([sites.x_m, sites.y_m])).query(
        np.column_stack([tracks.x_m, tracks.y_m])
    )
    nearest = float(away.min())
    raise InputError(
        f"none of the {tracks.n_vehicles} vehicles ever meets one of the {len(sites)} RSUs: "
        f"the nearest fix is {nearest:,.0f} m from a site, coverage is {coverage_m:,.0f} m",
        where=f"tracks {tracks.name!r}",
        mend="place the RSUs along the tracks (placement 'corridor' or 'greedy'), "
        "or give them more coverage (more transmit power, a lower min_sinr_db)",
    )
