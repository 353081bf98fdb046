"""What is seen of the world at one moment."""

from __future__ import annotations

import numpy as np

from fleetlora.federation.world import World


def test_vehicles_in_contact_are_seen_where_their_tracks_say_and_others_nowhere(street: World) -> None:
    here, state = street.observe(100.0), street.tracks.at(100.0)
    served = here.rsu >= 0
    assert 0 < served.sum() < len(served)
    np.testing.assert_array_equal(here.east_m[served], state.x_m[served] - street.sites.x_m[here.rsu[served]])
    np.testing.assert_array_equal(
        here.north_m[served], state.y_m[served] - street.sites.y_m[here.rsu[served]]
    )
    np.testing.assert_array_equal(here.east_mps[served], state.vx_mps[served])
    np.testing.assert_array_equal(here.north_mps[served], state.vy_mps[served])
    for column in (here.east_m, here.north_m, here.east_mps, here.north_mps):
        assert np.isnan(column[~served]).all()
