"""What a vehicle does when it expects to leave its RSU before its update is through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fleetlora.registry import Registry
from fleetlora.settings import Settings

__all__ = ["DEPARTURE_RULES", "DepartureRule", "Drop", "Plan", "Prospect"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Prospect:
    """What n vehicles expect of the update they are about to start; row i is one vehicle.

    Attributes:
        residence_s: (n,) predicted time until the vehicle leaves its RSU.
        download_s: (n,) expected seconds of the download.
        compute_s: (n,) expected seconds of all local steps.
        upload_s: (n,) expected seconds of the upload.
        steps: (n,) local steps of a full update.
    """

    residence_s: Floats
    download_s: Floats
    compute_s: Floats
    upload_s: Floats
    steps: Ints


@dataclass(frozen=True)
class Plan:
    """What the vehicles will do.

    Attributes:
        start: (n,) whether the vehicle starts at all.
        steps: (n,) local steps it will take, fewer for an early upload.
    """

    start: NDArray[np.bool_]
    steps: Ints


class DepartureRule(Protocol):
    """Decides, from what the vehicle expects, how it goes about its update."""

    def plan(self, prospect: Prospect) -> Plan:
        """Return what each vehicle will do."""
        ...


#: Departure rules by the name that a configuration uses.
DEPARTURE_RULES: Registry[type[DepartureRule]] = Registry("departure rule")


@DEPARTURE_RULES.register("drop")
class Drop(Settings):
    """Everyone takes every step; an update is lost when its vehicle leaves before the upload ends."""

    def plan(self, prospect: Prospect) -> Plan:
        """Return the full update for every vehicle."""
        return Plan(start=np.ones(len(prospect.steps), dtype=np.bool_), steps=prospect.steps)
