"""Roadside: where RSUs stand, which vehicle each serves from when to when, and every handoff between them."""

from __future__ import annotations

from fleetlora.roadside.association import Association, find_contacts, require_contacts
from fleetlora.roadside.contacts import Contacts, Serving
from fleetlora.roadside.corridor import Corridor
from fleetlora.roadside.greedy import Greedy
from fleetlora.roadside.placement import PLACEMENTS, Grid, Placement, Points
from fleetlora.roadside.sites import Sites
from fleetlora.roadside.sumo_junctions import SumoJunctions

__all__ = [
    "PLACEMENTS",
    "Association",
    "Contacts",
    "Corridor",
    "Greedy",
    "Grid",
    "Placement",
    "Points",
    "Serving",
    "Sites",
    "SumoJunctions",
    "find_contacts",
    "require_contacts",
]
