"""Radio model ``single-slope``: one path-loss exponent and Shannon's rate, common in the literature."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from fleetlora.physics.radio import RADIO_MODELS, Floats, Radio
from fleetlora.settings import quantity

__all__ = ["SingleSlope"]

_LIGHT_MPS = 299_792_458.0


@RADIO_MODELS.register("single-slope")
class SingleSlope(Radio):
    """Log-distance path loss anchored in free space.

        PL = 20 log10(4 π d0 f / c) + 10 n log10(max(d3D, d0) / d0),  d in metres, f in Hz

    There is one spread of shadowing, no line-of-sight state and, by default, Shannon's rate uncut.
    """

    exponent: float = quantity(
        3.19, "1", "path-loss exponent n", "3GPP TR 38.901, table 7.4.1-1, optional UMi: 31.9 log10 d3D", gt=0
    )
    reference_m: float = quantity(1.0, "m", "reference distance d0", "close-in model, 1 m", gt=0)
    sigma_db: float = quantity(
        8.2, "dB", "spread of shadowing", "3GPP TR 38.901, table 7.4.1-1, optional UMi", ge=0
    )
    eta_down: float = quantity(
        1.0, "1", "share of Shannon's rate reached, downlink", "Shannon 1948", gt=0, le=1
    )
    eta_up: float = quantity(1.0, "1", "share of Shannon's rate reached, uplink", "Shannon 1948", gt=0, le=1)
    se_max_down: float | None = quantity(
        None, "bit/s/Hz", "cap of the downlink; none = no cap", "Shannon 1948", gt=0
    )
    se_max_up: float | None = quantity(
        None, "bit/s/Hz", "cap of the uplink; none = no cap", "Shannon 1948", gt=0
    )

    @property
    def max_range_m(self) -> float:
        """Where a search for the coverage gives up, 100 km."""
        return 100_000.0

    def path_loss_db(self, d2d_m: ArrayLike, los: ArrayLike) -> Floats:
        """Return the median path loss in dB at ``d2d_m`` metres; ``los`` only gives its shape."""
        anchor = 20 * math.log10(4 * math.pi * self.reference_m * self.carrier_hz / _LIGHT_MPS)
        decades = np.log10(np.maximum(self.d3d_m(d2d_m), self.reference_m) / self.reference_m)
        return np.asarray(anchor + 10 * self.exponent * decades + np.zeros(np.shape(los)))

    def los_probability(self, d2d_m: ArrayLike) -> Floats:
        """Return 1 everywhere: the model has a single state."""
        return np.ones(np.shape(d2d_m))

    def shadow_sigma_db(self, los: ArrayLike) -> Floats:
        """Return the one spread of shadowing in dB."""
        return np.full(np.shape(los), self.sigma_db)

    @property
    def edge_slope_db(self) -> float:
        """10 n dB per decade."""
        return 10 * self.exponent
