"""The part of a world that does not depend on the seed: tracks, RSUs, contacts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetlora.config import Experiment, TraceSection
from fleetlora.errors import InputError
from fleetlora.roadside import Contacts, Sites, find_contacts, require_contacts
from fleetlora.traces import Account, Tracks, load_tracks

__all__ = ["Scenery", "build_scenery", "longest_in_contact", "tracks_of"]


@dataclass(frozen=True)
class Scenery:
    """The part of a world that no seed changes: where vehicles drive, where RSUs stand, who meets whom."""

    tracks: Tracks
    account: Account
    sites: Sites
    contacts: Contacts
    coverage_m: float


def tracks_of(traces: TraceSection) -> tuple[Tracks, Account]:
    """Return the cleaned tracks of all vehicles in the window of a section, and the account of the cleaning.

    Raises:
        InputError: The tracks cannot be read, or end before the window begins.
    """
    tracks, account = load_tracks(traces.options, traces.cleaning)
    start_s, duration_s = traces.start_s, traces.duration_s
    if start_s or duration_s is not None:
        end_s = tracks.duration_s if duration_s is None else start_s + duration_s
        if start_s >= tracks.duration_s:
            raise InputError(
                f"begins after the tracks end at {tracks.duration_s:.0f} s",
                where="traces.start_s",
                mend="start earlier",
            )
        tracks = tracks.window(start_s, min(end_s, tracks.duration_s))
    return tracks, account


def build_scenery(experiment: Experiment, say: Callable[[str], None] = lambda line: None) -> Scenery:
    """Return cleaned tracks, RSUs and contacts; only the sections traces, sites and radio matter.

    Args:
        experiment: The experiment.
        say: Is told what is being done, and what cleaning dropped.

    Raises:
        InputError: The tracks or sites are not usable, or no vehicle ever meets an RSU.
    """
    say(f"reading tracks ({experiment.traces.component})")
    tracks, account = tracks_of(experiment.traces)
    say(str(account))
    association, radio = experiment.sites.association, experiment.radio.options
    coverage_m = radio.coverage_m(association.min_sinr_db)
    say(f"placing RSUs ({experiment.sites.component}), coverage {coverage_m:.0f} m")
    sites = experiment.sites.options.place(tracks, coverage_m)
    contacts = find_contacts(
        tracks,
        sites,
        coverage_m,
        radio.distance_ratio(association.hysteresis_db),
        association.time_to_trigger_s,
        radio.height_m,
    )
    require_contacts(contacts, tracks, sites, coverage_m)
    if experiment.traces.vehicles is not None:
        fleet = longest_in_contact(contacts, experiment.traces.vehicles)
        tracks, contacts = tracks.select(fleet), contacts.select(fleet)
    say(
        f"{tracks.n_vehicles} vehicles, {len(sites)} RSUs, {len(contacts)} contacts, "
        f"{contacts.n_handoffs} handoffs in {tracks.duration_s / 60:.0f} min"
    )
    return Scenery(tracks, account, sites, contacts, coverage_m)


def longest_in_contact(contacts: Contacts, count: int) -> NDArray[np.int64]:
    """Return the vehicles with the longest contact in all, at most ``count``, in the order of their index."""
    seconds = np.bincount(contacts.vehicle, contacts.dwell_s, minlength=contacts.n_vehicles)
    first = np.argsort(-seconds, kind="stable")[:count]
    return np.sort(first[seconds[first] > 0])
