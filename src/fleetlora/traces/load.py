"""From a source to tracks, in one step."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from fleetlora.traces.account import Account
from fleetlora.traces.cleaning import Cleaning, clean
from fleetlora.traces.sources import TraceSource
from fleetlora.traces.tracks import Tracks

__all__ = ["ReadyTracks", "convert", "load_tracks"]


@runtime_checkable
class ReadyTracks(Protocol):
    """A source whose tracks need no cleaning."""

    def tracks(self) -> Tracks:
        """Return the tracks."""
        ...


def load_tracks(
    source: TraceSource,
    cleaning: Cleaning | None = None,
    window: tuple[float, float] | None = None,
) -> tuple[Tracks, Account]:
    """Return the tracks of a source, and the account of what cleaning dropped.

    Args:
        source: Where to read; if it is a :class:`ReadyTracks`, it is not cleaned again.
        cleaning: What counts as dirt; the defaults if not given.
        window: Start and end, seconds after the first fix, of the part that is wanted; all if not given.

    Raises:
        InputError: The source cannot be read, or nothing is left of it.
    """
    if isinstance(source, ReadyTracks):
        tracks = source.tracks()
        account = Account.of(tracks)
    else:
        tracks, account = clean(source.read(), cleaning)
    return (tracks.window(*window) if window else tracks), account


def convert(
    source: TraceSource, path: str | Path, cleaning: Cleaning | None = None
) -> tuple[Tracks, Account]:
    """Clean a source, save its tracks as Parquet for the source ``tracks``, and return both results."""
    tracks, account = load_tracks(source, cleaning)
    tracks.save(path)
    return tracks, account
