"""Traces: positions of vehicles from many sources, cleaned into tracks in metres and seconds."""

from __future__ import annotations

from fleetlora.traces.account import Account
from fleetlora.traces.cabspotting import Cabspotting
from fleetlora.traces.cleaning import Cleaning, clean
from fleetlora.traces.drawing import plot
from fleetlora.traces.facts import info, present_count
from fleetlora.traces.fixes import RawFixes
from fleetlora.traces.load import ReadyTracks, convert, load_tracks
from fleetlora.traces.motion import Legs, State
from fleetlora.traces.porto import Porto
from fleetlora.traces.saved import SavedTracks
from fleetlora.traces.sources import TRACE_SOURCES, TraceSource
from fleetlora.traces.sumo_fcd import SumoFcd
from fleetlora.traces.sumo_scenario import SumoScenario
from fleetlora.traces.table import Table
from fleetlora.traces.tdrive import TDrive
from fleetlora.traces.tracks import Tracks
from fleetlora.traces.warsaw import Warsaw

__all__ = [
    "TRACE_SOURCES",
    "Account",
    "Cabspotting",
    "Cleaning",
    "Legs",
    "Porto",
    "RawFixes",
    "ReadyTracks",
    "SavedTracks",
    "State",
    "SumoFcd",
    "SumoScenario",
    "TDrive",
    "Table",
    "TraceSource",
    "Tracks",
    "Warsaw",
    "clean",
    "convert",
    "info",
    "load_tracks",
    "plot",
    "present_count",
]
