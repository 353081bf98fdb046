"""Tracks that were cleaned and saved before, as a source."""

from __future__ import annotations

from fleetlora.settings import Settings, quantity
from fleetlora.traces.fixes import RawFixes
from fleetlora.traces.sources import TRACE_SOURCES
from fleetlora.traces.textfile import find_file
from fleetlora.traces.tracks import Tracks

__all__ = ["SavedTracks"]


@TRACE_SOURCES.register("tracks")
class SavedTracks(Settings):
    """A Parquet file of tracks; they are used as they are, without being cleaned again."""

    path: str = quantity(..., "1", "Parquet file that `fleetlora traces convert` wrote")

    def tracks(self) -> Tracks:
        """Return the tracks."""
        return Tracks.load(find_file(self.path))

    def read(self) -> RawFixes:
        """Return the fixes of the tracks, in metres."""
        return self.tracks().fixes()
