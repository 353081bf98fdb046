"""The account of a cleaning: what was read, what was dropped and why, what remains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fleetlora.traces.facts import parked_share
from fleetlora.traces.tracks import Tracks

__all__ = ["Account"]


@dataclass(frozen=True)
class Account:
    """What became of the fixes of one source.

    Every row read is either kept or counted under exactly one reason.

    Attributes:
        origin: What the fixes were read from.
        rows_read: Rows the source held.
        dropped: Rows dropped, by reason, in the order in which the reasons were looked for.
        vehicles_read: Vehicles among the rows.
        vehicles_kept: Vehicles with tracks.
        unsorted: Fixes that stood after a later one of the same vehicle; they were put in order.
        gaps: Places where a track was split because the next fix came too late.
        jumps: Places where a track was split because the next fix is out of reach.
        borders: Places where a track was split because the source says so, such as between two trips.
        pieces: Unbroken pieces of track.
        parked_share: Share of the time present that vehicles are parked, in [0, 1].
    """

    origin: str
    rows_read: int
    dropped: dict[str, int] = field(default_factory=dict)
    vehicles_read: int = 0
    vehicles_kept: int = 0
    unsorted: int = 0
    gaps: int = 0
    jumps: int = 0
    borders: int = 0
    pieces: int = 0
    parked_share: float = 0.0

    @classmethod
    def of(cls, tracks: Tracks) -> Account:
        """Return the account of tracks that needed no cleaning."""
        return cls(
            origin=f"tracks {tracks.name!r}",
            rows_read=tracks.n_fixes,
            vehicles_read=tracks.n_vehicles,
            vehicles_kept=tracks.n_vehicles,
            pieces=int(tracks.new_piece.sum()),
            parked_share=parked_share(tracks),
        )

    @property
    def kept(self) -> int:
        """Number of fixes in the tracks."""
        return self.rows_read - sum(self.dropped.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the account as plain data, for JSON."""
        return {
            "origin": self.origin,
            "rows_read": self.rows_read,
            "kept": self.kept,
            "dropped": dict(self.dropped),
            "vehicles_read": self.vehicles_read,
            "vehicles_kept": self.vehicles_kept,
            "unsorted": self.unsorted,
            "gaps": self.gaps,
            "jumps": self.jumps,
            "borders": self.borders,
            "pieces": self.pieces,
            "parked_share": self.parked_share,
        }

    def __str__(self) -> str:
        share = 100.0 * self.kept / max(self.rows_read, 1)
        lines = [
            f"{self.origin}: kept {self.kept:,} of {self.rows_read:,} fixes ({share:.1f} %), "
            f"{self.vehicles_kept:,} of {self.vehicles_read:,} vehicles"
        ]
        lines += [f"  dropped {count:>11,}  {reason}" for reason, count in self.dropped.items() if count]
        if self.unsorted:
            lines.append(f"  sorted  {self.unsorted:>11,}  out of order in time")
        splits = {"gaps": self.gaps, "jumps": self.jumps, "borders given by the source": self.borders}
        lines += [f"  split   {count:>11,}  {what}" for what, count in splits.items() if count]
        if self.pieces:
            lines.append(f"  pieces  {self.pieces:>11,}  parked {100 * self.parked_share:.1f} % of the time")
        return "\n".join(lines)
