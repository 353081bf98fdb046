"""Who was refused is left out for a while, and comes back."""

from __future__ import annotations

import numpy as np

from fleetlora.federation.defence import DefenceSettings
from fleetlora.federation.quarantine import Quarantine
from fleetlora.federation.uploads import Refusal


def test_a_refused_vehicle_is_out_for_the_next_rounds_and_no_longer() -> None:
    quarantine = Quarantine(3, 4)
    quarantine.note(5, [Refusal(0, 2, 0, "stale"), Refusal(1, 2, 0, "shape")])
    assert [quarantine.free(round)[2] for round in (5, 6, 7, 8, 9)] == [False, False, False, False, True]
    assert quarantine.free(6)[[0, 1, 3]].all()
    quarantine.note(9, [Refusal(0, 2, 0, "stale")])
    assert not quarantine.free(12)[2]


def test_without_rounds_nobody_is_left_out() -> None:
    quarantine = Quarantine(0, 4)
    quarantine.note(5, [Refusal(0, 2, 0, "stale")])
    assert quarantine.free(6).all()


def test_it_is_the_same_after_a_stop() -> None:
    quarantine, other = Quarantine(3, 4), Quarantine(3, 4)
    quarantine.note(5, [Refusal(0, 1, 0, "stale")])
    other.load_state_dict(quarantine.state_dict())
    assert np.array_equal(other.free(7), quarantine.free(7))


def test_only_the_default_defence_leaves_vehicles_out() -> None:
    rounds = {name: DefenceSettings(preset=name).quarantine_rounds for name in ("none", "checks", "default")}
    assert rounds == {"none": 0, "checks": 0, "default": 10}
