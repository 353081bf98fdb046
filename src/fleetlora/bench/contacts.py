"""``fleetlora bench contacts``: contacts by exact geometry, against a look-up at every tick of a clock.

Two fleets: drawn taxis as many as T-Drive's, and a real day of San Francisco's cabs where its file is given.
The rival (:mod:`fleetlora.bench.ticks`) is timed on windows of ticks drawn at random and scaled to the whole
time; on the cabs it is also run from end to end, which shows how far scaling can be trusted.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from fleetlora.bench.registry import BENCHES
from fleetlora.bench.taxis import drawn_taxis
from fleetlora.bench.ticks import TickedContacts
from fleetlora.bench.timing import spread, timed
from fleetlora.console import Progress
from fleetlora.rng import stream
from fleetlora.roadside import Contacts, Sites, find_contacts
from fleetlora.settings import Settings, quantity
from fleetlora.threads import one_thread
from fleetlora.traces import Table, Tracks, load_tracks

__all__ = ["ContactSpeed"]

_SITES_APART_M = 200.0


@BENCHES.register("contacts")
class ContactSpeed(Settings):
    """The fleets, the rules of association, and how much of the rival's clock is ticked."""

    vehicles: int = quantity(10_000, "1", "drawn taxis", ge=1)
    fixes: int = quantity(15_000_000, "1", "their fixes in all", ge=1)
    duration_s: float = quantity(604_800.0, "s", "their time", gt=0)
    rsus: int = quantity(500, "1", "RSUs of the drawn fleet", ge=1)
    cabs: str | None = Field(None, description="CSV of a day of San Francisco cabs; left out if not given")
    cab_rsus: int = quantity(100, "1", "their RSUs", ge=1)
    coverage_m: float = quantity(400.0, "m", "reach of an RSU", gt=0)
    ratio: float = quantity(1.21, "1", "hysteresis, as a ratio of distances", ge=1)
    trigger_s: float = quantity(0.256, "s", "time-to-trigger", ge=0)
    tick_s: float = quantity(1.0, "s", "the rival's tick", gt=0)
    windows: int = quantity(8, "1", "windows of ticks in which the rival is timed", ge=1)
    ticks: int = quantity(100, "1", "ticks of a window", ge=1)
    repeats: int = quantity(3, "1", "how often the exact geometry is timed", ge=1)
    seed: int = quantity(0, "1", "seed of the fleet, the sites and the windows", ge=0)

    def measure(self, progress: Progress) -> dict[str, Any]:
        """Time both on both fleets."""
        measured: dict[str, Any] = {
            "settings": self.model_dump(mode="json"),
            "clock": "processor seconds, one thread",
        }
        with one_thread():
            progress.say(f"{self.vehicles} drawn taxis")
            taxis = drawn_taxis(self.vehicles, self.fixes, self.duration_s, self.seed)
            measured["taxis"] = self._fleet(taxis, self.rsus, whole=False)
            del taxis
            measured["cabs"] = None
            if self.cabs is not None:
                progress.say(f"cabs of {self.cabs}")
                cabs, _ = load_tracks(Table(path=self.cabs))
                measured["cabs"] = self._fleet(cabs, self.cab_rsus, whole=True)
                measured["settings"]["cabs"] = Path(self.cabs).name
        return measured

    def lines(self, measured: Mapping[str, Any]) -> Iterator[str]:
        """Yield two lines a fleet."""
        for name in ("taxis", "cabs"):
            one = measured[name]
            if one is None:
                continue
            ticking = one["ticking"]
            yield (
                f"{name}: {one['contacts']:,} contacts of {one['fixes']:,} fixes in "
                f"{one['exact']['median_s']:.2f} s, ticking {ticking['scaled_s']:,.0f} s (scaled), "
                f"{one['ratio']:.0f}×"
            )
            yield (
                f"{name}: {ticking['unlike']} of {ticking['compared']:,} looks differ by more than ticks; "
                f"memory {one['memory']['ratio']:.2f}× the tracks"
            )

    def _fleet(self, tracks: Tracks, rsus: int, whole: bool) -> dict[str, Any]:
        rng = stream(self.seed, "bench", "contacts")
        at = rng.choice(tracks.n_fixes, 20 * rsus, replace=False)
        sites = Sites.of(tracks.x_m[at], tracks.y_m[at]).merged(_SITES_APART_M)
        sites = sites.take(np.arange(min(rsus, len(sites))))

        def exact() -> Contacts:
            return find_contacts(tracks, sites, self.coverage_m, self.ratio, self.trigger_s)

        seconds, contacts = timed(exact, self.repeats)
        table_bytes = sum(
            c.nbytes for c in (tracks.t_s, tracks.x_m, tracks.y_m, tracks.new_piece, tracks.parked)
        )
        tracemalloc.start()
        exact()
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        ticking = self._ticking(tracks, sites, contacts, rng)
        fleet = {
            "vehicles": tracks.n_vehicles,
            "fixes": tracks.n_fixes,
            "rsus": len(sites),
            "duration_s": tracks.duration_s,
            "contacts": len(contacts),
            "handoffs": contacts.n_handoffs,
            "exact": spread(seconds),
            "ticking": ticking,
            "ratio": ticking["scaled_s"] / spread(seconds)["median_s"],
            "memory": {
                "tracks_bytes": table_bytes,
                "beside_bytes": peak_bytes,
                "ratio": (table_bytes + peak_bytes) / table_bytes,
            },
        }
        if whole:
            clock = TickedContacts(tracks, sites, self.coverage_m, self.ratio, self.trigger_s, self.tick_s)
            clock.start(0.0, contacts.serving(0.0).rsu)
            count = int(tracks.duration_s / self.tick_s)
            (took,), _ = timed(lambda: [clock.step() is None for _ in range(count)])
            ticking["whole_s"] = took
            fleet["ratio_whole"] = took / fleet["exact"]["median_s"]
        return fleet

    def _ticking(
        self, tracks: Tracks, sites: Sites, contacts: Contacts, rng: np.random.Generator
    ) -> dict[str, Any]:
        clock = TickedContacts(tracks, sites, self.coverage_m, self.ratio, self.trigger_s, self.tick_s)
        ticked_s, unlike, compared = [], 0, 0
        for begin in rng.uniform(0.0, tracks.duration_s - self.ticks * self.tick_s, self.windows):
            clock.start(begin, contacts.serving(begin).rsu)
            seconds, served = timed(lambda: [clock.step() for _ in range(self.ticks)])
            ticked_s.append(seconds[0] / self.ticks)
            for number, rsu in enumerate(served, 1):
                unlike += self._unlike(contacts, begin + number * self.tick_s, rsu)
                compared += len(rsu)
        return {
            "ticks_timed": self.windows * self.ticks,
            "tick": spread(ticked_s),
            "scaled_s": float(np.mean(ticked_s)) * tracks.duration_s / self.tick_s,
            "compared": compared,
            "unlike": unlike,
        }

    def _unlike(self, contacts: Contacts, t_s: float, rsu: np.ndarray) -> int:
        """Return how many vehicles a tick gives an RSU that did not serve them just before either.

        A handoff is seen at a tick once its condition has held at two: up to two ticks and its trigger late.
        """
        late_s = 2.0 * self.tick_s + self.trigger_s
        looks = np.append(np.arange(-late_s, 0.0, 0.1 * self.tick_s), 0.0)
        unlike = np.flatnonzero(contacts.serving(t_s).rsu != rsu)
        for look in looks:
            row = contacts.find(unlike, np.full(len(unlike), t_s + look))
            was = np.where(row >= 0, contacts.rsu[row], -1)
            unlike = unlike[was != rsu[unlike]]
        return len(unlike)
