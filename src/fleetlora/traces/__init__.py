"""Traces: positions of vehicles from many sources, cleaned into tracks in metres and seconds."""

from __future__ import annotations

from fleetlora.traces.fixes import RawFixes
from fleetlora.traces.sources import TRACE_SOURCES, TraceSource

__all__ = ["TRACE_SOURCES", "RawFixes", "TraceSource"]
