"""Traces: positions of vehicles from many sources, cleaned into tracks in metres and seconds."""

from __future__ import annotations

from fleetlora.traces.fixes import RawFixes
from fleetlora.traces.motion import Legs, State
from fleetlora.traces.sources import TRACE_SOURCES, TraceSource
from fleetlora.traces.tracks import Tracks

__all__ = ["TRACE_SOURCES", "Legs", "RawFixes", "State", "TraceSource", "Tracks"]
