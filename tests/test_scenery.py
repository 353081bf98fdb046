"""A fleet cut to the vehicles that are longest in contact drives and meets as it did in the whole fleet."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from fleetlora.config import load_experiment
from fleetlora.scenery import build_scenery, longest_in_contact


def test_the_longest_in_contact_are_kept_with_their_tracks_and_contacts(tiny: dict[str, Any]) -> None:
    whole = build_scenery(load_experiment(tiny))
    values = copy.deepcopy(tiny)
    values["traces"]["vehicles"] = 7
    part = build_scenery(load_experiment(values))
    seconds = np.bincount(whole.contacts.vehicle, whole.contacts.dwell_s, minlength=whole.tracks.n_vehicles)
    kept = longest_in_contact(whole.contacts, 7)
    assert part.tracks.n_vehicles == part.contacts.n_vehicles == 7
    assert seconds[kept].min() >= np.delete(seconds, kept).max()
    np.testing.assert_array_equal(part.tracks.vehicle_ids, whole.tracks.vehicle_ids[kept])
    for place, vehicle in enumerate(kept):
        mine, was = part.contacts.vehicle == place, whole.contacts.vehicle == vehicle
        np.testing.assert_array_equal(part.contacts.t_in_s[mine], whole.contacts.t_in_s[was])
        np.testing.assert_array_equal(part.contacts.rsu[mine], whole.contacts.rsu[was])
