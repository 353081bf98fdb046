"""Radio model ``umi``: the street canyon of 3GPP TR 38.901, the standard's model for RSUs on lamp posts."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import model_validator

from fleetlora.physics.radio import RADIO_MODELS, Floats, Radio
from fleetlora.settings import quantity

__all__ = ["Umi"]

_LIGHT_MPS = 3.0e8  # the value TR 38.901 prescribes for the breakpoint
_ENVIRONMENT_HEIGHT_M = 1.0  # h_E of UMi
_CERTAIN_LOS_M = 18.0
_LOS_DECAY_M = 36.0
_NLOS_SLOPE_DB = 35.3


@RADIO_MODELS.register("umi")
class Umi(Radio):
    """UMi street canyon (3GPP TR 38.901, tables 7.4.1-1 and 7.4.2-1), f in GHz, distances in m.

        PL_LOS  = 32.4 + 21 log10 d3D + 20 log10 f                                     up to d'BP
                = 32.4 + 40 log10 d3D + 20 log10 f − 9.5 log10(d'BP² + (h_BS − h_UT)²)  beyond
        PL_NLOS = max(PL_LOS, 35.3 log10 d3D + 22.4 + 21.3 log10 f − 0.3 (h_UT − 1.5))
        P_LOS   = 1 for d2D ≤ 18 m, else 18/d2D + exp(−d2D/36)·(1 − 18/d2D)
        d'BP    = 4 (h_BS − 1)(h_UT − 1) f_Hz / c,  c = 3·10⁸ m/s

    The second line, the loss beyond the breakpoint (354 m with the defaults), is the standard's
    and continues the first without a step. Below the 10 m from which the standard holds, the
    formulas are used as they are: the antenna heights keep d3D at 8.5 m or more.
    """

    los_sigma_db: float = quantity(
        4.0, "dB", "spread of shadowing with line of sight", "3GPP TR 38.901, table 7.4.1-1", ge=0
    )
    nlos_sigma_db: float = quantity(
        7.82, "dB", "spread of shadowing without line of sight", "3GPP TR 38.901, table 7.4.1-1", ge=0
    )

    @model_validator(mode="after")
    def _within_the_standard(self) -> Self:
        if not 0.5e9 <= self.carrier_hz <= 100e9:
            raise ValueError(f"carrier_hz is {self.carrier_hz:g}: TR 38.901 holds from 0.5 to 100 GHz")
        if not 1.5 <= self.vehicle_height_m <= 22.5:
            raise ValueError(f"vehicle_height_m is {self.vehicle_height_m:g}: UMi holds from 1.5 to 22.5 m")
        if self.rsu_height_m <= self.vehicle_height_m:
            raise ValueError("rsu_height_m must be above vehicle_height_m")
        return self

    @property
    def max_range_m(self) -> float:
        """The standard's range of validity, 5 km."""
        return 5_000.0

    @property
    def edge_slope_db(self) -> float:
        """35.3 dB per decade: at the edge nearly all links lack line of sight."""
        return _NLOS_SLOPE_DB

    @property
    def breakpoint_m(self) -> float:
        """Horizontal breakpoint distance d'BP in metres."""
        effective = (self.rsu_height_m - _ENVIRONMENT_HEIGHT_M) * (
            self.vehicle_height_m - _ENVIRONMENT_HEIGHT_M
        )
        return 4 * effective * self.carrier_hz / _LIGHT_MPS

    def path_loss_db(self, d2d_m: ArrayLike, los: ArrayLike) -> Floats:
        """Return the median path loss in dB.

        Args:
            d2d_m: Horizontal distances in metres.
            los: Line of sight or not, bool, of a shape that broadcasts with ``d2d_m``.
        """
        d2d_m = np.asarray(d2d_m, dtype=np.float64)
        log_d, log_f = np.log10(self.d3d_m(d2d_m)), np.log10(self.carrier_hz / 1e9)
        near = 32.4 + 21 * log_d + 20 * log_f
        drop = 9.5 * np.log10(self.breakpoint_m**2 + self.height_m**2)
        far = 32.4 + 40 * log_d + 20 * log_f - drop
        with_los = np.where(d2d_m <= self.breakpoint_m, near, far)
        without = _NLOS_SLOPE_DB * log_d + 22.4 + 21.3 * log_f - 0.3 * (self.vehicle_height_m - 1.5)
        return np.asarray(np.where(los, with_los, np.maximum(with_los, without)))

    def los_probability(self, d2d_m: ArrayLike) -> Floats:
        """Return the probability of line of sight at ``d2d_m`` metres."""
        d = np.maximum(np.asarray(d2d_m, dtype=np.float64), _CERTAIN_LOS_M)
        near = _CERTAIN_LOS_M / d
        return np.asarray(near + np.exp(-d / _LOS_DECAY_M) * (1 - near))

    def shadow_sigma_db(self, los: ArrayLike) -> Floats:
        """Return the spread of shadowing in dB for each line-of-sight state."""
        return np.asarray(np.where(los, self.los_sigma_db, self.nlos_sigma_db))
