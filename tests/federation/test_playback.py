"""The film of a run against the tracks and contacts it shows."""

from __future__ import annotations

import numpy as np

from fleetlora.federation.playback import map_of
from fleetlora.federation.world import World


def test_a_handoff_goes_from_the_rsu_that_served_before_it_to_the_one_after(street: World) -> None:
    film = map_of(street, 200.0)
    assert len(film.handoff_t_s) > 5
    assert (film.handoff_t_s < 200.0).all()
    for when_s, vehicle, left, came in zip(
        film.handoff_t_s, film.handoff_vehicle, film.handoff_from, film.handoff_to, strict=True
    ):
        before, after = (street.contacts.serving(when_s + shift).rsu[vehicle] for shift in (-1e-6, 1e-6))
        assert (left, came) == (before, after)
        assert left != came


def test_a_handoff_lies_where_its_vehicle_was_then(street: World) -> None:
    film = map_of(street, 200.0)
    for when_s, vehicle, x_m, y_m in zip(
        film.handoff_t_s, film.handoff_vehicle, film.handoff_x_m, film.handoff_y_m, strict=True
    ):
        state = street.tracks.at(when_s, np.array([vehicle]))
        assert (x_m, y_m) == (state.x_m[0], state.y_m[0])


def test_every_frame_shows_who_was_there_and_who_served_them(street: World) -> None:
    film = map_of(street, 200.0)
    assert (film.t_s[0], film.t_s[-1]) == (0.0, 200.0)
    for frame, when_s in enumerate(film.t_s):
        state = street.tracks.at(when_s)
        np.testing.assert_array_equal(film.x_m[:, frame], np.where(state.present, state.x_m, np.nan))
        np.testing.assert_array_equal(film.serving[:, frame], street.contacts.serving(when_s).rsu)
