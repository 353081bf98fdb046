"""Real fleets: placements and contacts on Warsaw's buses."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.roadside import Contacts, Corridor, Greedy, Placement, find_contacts
from fleetlora.traces import Table, Tracks, Warsaw, load_tracks
from tests.large import ABSENT, LARGE

MORNING = LARGE / "traces" / "warsaw_buses_20240219_0940_1105.csv.gz"
COVERAGE_M, RATIO, TRIGGER_S = 400.0, 1.21, 0.256


def contacts_of(placement: Placement, tracks: Tracks) -> Contacts:
    return find_contacts(tracks, placement.place(tracks, COVERAGE_M), COVERAGE_M, RATIO, TRIGGER_S)


@pytest.mark.skipif(not MORNING.exists(), reason=ABSENT)
def test_corridor_gives_hundreds_of_handoffs_on_warsaw_2024() -> None:
    whole, _ = load_tracks(Table(path=str(MORNING)))
    tracks = whole.window(600.0, 600.0 + 23 * 60.0)
    greedy = contacts_of(Greedy(count=40), tracks)
    corridor = contacts_of(Corridor(count=40), tracks)
    assert corridor.n_handoffs > 500
    assert corridor.n_handoffs > 5 * greedy.n_handoffs
    assert corridor.dwell_s.sum() > 0.6 * greedy.dwell_s.sum()
    assert np.median(corridor.dwell_s) > 60.0


@pytest.mark.slow
def test_corridor_over_warsaws_own_bus_stops_gives_hundreds_of_handoffs(real_inputs: None) -> None:
    tracks, _ = load_tracks(Warsaw())
    stops = "asset:warsaw-buses/bus_stops_0.txt"
    greedy = contacts_of(Greedy(count=40, candidates=stops), tracks)
    corridor = contacts_of(Corridor(count=40, candidates=stops), tracks)
    assert corridor.n_handoffs > 500
    assert corridor.n_handoffs > 5 * greedy.n_handoffs
    in_contact = [(corridor.serving(t).rsu >= 0).sum() for t in np.arange(300.0, 1500.0, 60.0)]
    assert np.mean(in_contact) > 200
