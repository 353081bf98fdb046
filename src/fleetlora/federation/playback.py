"""The film of a run: where the vehicles were, who served them, and where they were handed off."""

from __future__ import annotations

import numpy as np

from fleetlora.federation.world import World
from fleetlora.records import MapData, street_lines

__all__ = ["map_of"]

#: Most frames of the film; more would make the report heavy without showing more.
FRAMES = 140


def map_of(world: World, end_s: float) -> MapData:
    """Return the film of a world from its beginning to ``end_s`` seconds."""
    t_s = np.linspace(0.0, end_s, max(2, min(FRAMES, int(end_s // 2) + 2)))
    n = world.tracks.n_vehicles
    everyone = np.arange(n)
    state = world.tracks.at(np.broadcast_to(t_s, (n, len(t_s))), everyone)
    serving = np.stack([world.contacts.serving(t).rsu for t in t_s], axis=1)
    rows = np.flatnonzero(world.contacts.handoff & (world.contacts.t_in_s < end_s))
    when = world.contacts.t_in_s[rows]
    vehicle = world.contacts.vehicle[rows]
    place = world.tracks.at(when, vehicle)
    streets = street_lines(world.tracks.x_m, world.tracks.y_m, world.tracks.new_piece)
    return MapData(
        t_s=t_s,
        x_m=np.where(state.present, state.x_m, np.nan),
        y_m=np.where(state.present, state.y_m, np.nan),
        serving=serving,
        vehicle_ids=world.tracks.vehicle_ids.tolist(),
        rsu_names=world.sites.name.tolist(),
        rsu_x_m=world.sites.x_m,
        rsu_y_m=world.sites.y_m,
        coverage_m=world.coverage_m,
        handoff_t_s=when,
        handoff_vehicle=vehicle,
        handoff_from=world.contacts.rsu[rows - 1],
        handoff_to=world.contacts.rsu[rows],
        handoff_x_m=place.x_m,
        handoff_y_m=place.y_m,
        street_x_m=streets[0],
        street_y_m=streets[1],
    )
