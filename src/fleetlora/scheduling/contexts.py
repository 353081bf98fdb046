"""Who learns together: a vehicle for itself, or all vehicles in the same situation.

A vehicle drives past for a few rounds only, too few to learn alone. With pooled statistics the table's rows
are *contexts*: device class × link × residence. Every vehicle can tell its context from what it knows, and
adds what it saw to its context's row; the RSUs broadcast the rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fleetlora.scheduling.policy import Ints, Offers

__all__ = ["Contexts"]


class Contexts:
    """Numbers the situations of vehicles: device class × link bucket × residence bucket.

    Args:
        n_devices: D, number of device classes.
        link_edges_bps: Upload rates that part the link buckets, ascending, bits/s.
        residence_edges: Residences that part the residence buckets, ascending, in deadlines.
        deadline_s: Longest a round may last, seconds.
    """

    def __init__(
        self,
        n_devices: int,
        link_edges_bps: tuple[float, ...],
        residence_edges: tuple[float, ...],
        deadline_s: float,
    ) -> None:
        self.n_devices = n_devices
        self._link = np.asarray(link_edges_bps, dtype=np.float64)
        self._residence = np.asarray(residence_edges, dtype=np.float64) * deadline_s
        self.shape = (n_devices, len(self._link) + 1, len(self._residence) + 1)

    def __len__(self) -> int:
        return int(np.prod(self.shape))

    def of(self, offers: Offers) -> Ints:
        """Return the (n,) context of each row."""
        link = np.searchsorted(self._link, offers.rate_bps, side="right")
        residence = np.searchsorted(self._residence, offers.residence_s, side="right")
        return np.ravel_multi_index((offers.device, link, residence), self.shape).astype(np.int64)

    def device(self, context: Ints) -> NDArray[np.int64]:
        """Return the (n,) device class of each context."""
        return context // (self.shape[1] * self.shape[2])
