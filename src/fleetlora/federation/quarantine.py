"""Vehicles whose updates or reports were refused, and are not asked again for a while.

A refused vehicle costs its place: the RSU would have got an honest update from somebody else. So RSUs admit
it to no task for some rounds. An honest vehicle that was refused by mistake comes back after them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetlora.federation.uploads import Refusal

__all__ = ["Quarantine"]


class Quarantine:
    """Keeps account of who is not admitted.

    Args:
        rounds: How long a vehicle that was refused is not admitted; 0 is not at all.
        n_vehicles: V, size of the fleet.
    """

    def __init__(self, rounds: int, n_vehicles: int) -> None:
        self.rounds = rounds
        self._until = np.zeros(n_vehicles, dtype=np.int64)  # first round in which each is admitted again

    def free(self, round: int) -> NDArray[np.bool_]:
        """Return the (V,) vehicles that may be admitted in a round."""
        return self._until <= round

    def note(self, round: int, refused: Sequence[Refusal]) -> None:
        """Keep the vehicles that were refused in a round out of the next ones."""
        if self.rounds and refused:
            self._until[[refusal.vehicle for refusal in refused]] = round + 1 + self.rounds

    def state_dict(self) -> dict[str, Any]:
        """Return until when each vehicle is kept out."""
        return {"until": self._until.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self._until = np.array(state["until"], dtype=np.int64)
