"""The radio link budget that every radio model shares, and the registry of models.

A model says how much a signal weakens over a distance (its path loss, how likely the line of
sight is, how widely shadowing spreads). Everything else, from decibels to bits per second, is
the same for all and stands here:

    SINR [dB] = P_tx + G_tx + G_rx − PL − shadowing − (N0 + 10 log10 B + NF) − interference margin
    rate      = B · min(SE_max, eta · log2(1 + SINR)), 0 below the minimum SINR

Antenna gains and powers differ by direction; ``up`` is vehicle to RSU.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fleetlora.errors import ConfigError
from fleetlora.registry import Registry
from fleetlora.settings import Settings, quantity

__all__ = ["RADIO_MODELS", "Radio", "RadioModel"]

Floats = NDArray[np.float64]


@runtime_checkable
class RadioModel(Protocol):
    """What the rest of fleetlora asks of a radio model. Subclassing :class:`Radio` gives most of it.

    Distances are horizontal (``d2d_m``) and arrays of any shape; results have the broadcast shape.
    """

    @property
    def bandwidth_hz(self) -> float:
        """Bandwidth of the one channel that the vehicles of an RSU share."""

    @property
    def height_m(self) -> float:
        """Height difference between the RSU's and the vehicle's antenna."""

    @property
    def max_range_m(self) -> float:
        """Largest horizontal distance the model is meant for."""

    def path_loss_db(self, d2d_m: ArrayLike, los: ArrayLike) -> Floats:
        """Return the median path loss with (``los`` true) or without line of sight."""

    def los_probability(self, d2d_m: ArrayLike) -> Floats:
        """Return the probability of line of sight."""

    def shadow_sigma_db(self, los: ArrayLike) -> Floats:
        """Return the standard deviation of log-normal shadowing."""

    def mean_path_loss_db(self, d2d_m: ArrayLike) -> Floats:
        """Return the path loss in dB averaged over the line-of-sight state; never falls with distance."""

    def sinr_db(self, path_loss_db: ArrayLike, up: bool) -> Floats:
        """Return the SINR of one direction behind a path loss that includes shadowing."""

    def spectral_efficiency(self, sinr_db: ArrayLike, up: bool = False) -> Floats:
        """Return bit/s/Hz at a SINR."""

    def coverage_m(self, min_sinr_db: float) -> float:
        """Return the horizontal distance where the mean SINR of the weaker direction is the minimum."""

    def distance_ratio(self, hysteresis_db: float) -> float:
        """Return the ratio of distances whose mean path losses differ by the hysteresis."""


#: Radio models by name; another package adds its own class here.
RADIO_MODELS: Registry[type[RadioModel]] = Registry("radio model")


class Radio(Settings, ABC):
    """Link budget of a 10 MHz channel of the 5.9 GHz ITS band; base of the built-in radio models."""

    bandwidth_hz: float = quantity(
        10e6, "Hz", "bandwidth of an RSU's channel", "ETSI EN 302 571: 10 MHz ITS channel", gt=0
    )
    carrier_hz: float = quantity(
        5.9e9, "Hz", "carrier frequency", "ETSI EN 302 571: ITS band 5 855-5 925 MHz", gt=0
    )
    vehicle_tx_dbm: float = quantity(
        23.0, "dBm", "transmit power of a vehicle", "3GPP TS 36.101, V2X power class 3"
    )
    rsu_tx_dbm: float = quantity(
        23.0,
        "dBm",
        "transmit power of an RSU",
        "3GPP TR 36.885, UE-type RSU; with its antenna 31 dBm EIRP, under the 33 dBm of ETSI EN 302 571",
    )
    vehicle_gain_dbi: float = quantity(
        3.0, "dBi", "antenna gain of a vehicle", "3GPP TR 36.885, annex A.1; TR 37.885, section 6.1"
    )
    rsu_gain_dbi: float = quantity(8.0, "dBi", "antenna gain of an RSU", "3GPP TR 37.885, section 6.1")
    vehicle_noise_figure_db: float = quantity(
        9.0, "dB", "noise figure of a vehicle's receiver", "3GPP TR 36.885, annex A.1; TR 37.885", ge=0
    )
    rsu_noise_figure_db: float = quantity(
        5.0,
        "dB",
        "noise figure of an RSU's receiver",
        "3GPP TR 36.942, reference base station; TR 37.885",
        ge=0,
    )
    noise_density_dbm_hz: float = quantity(-174.0, "dBm/Hz", "thermal noise density", "k·T at 290 K")
    interference_margin_db: float = quantity(
        3.0,
        "dB",
        "rise of the noise floor by other cells on the same channel",
        "noise rise −10 log10(1 − load) at 50 % load: Holma and Toskala, WCDMA for UMTS, chapter 8",
        ge=0,
    )
    rsu_height_m: float = quantity(
        10.0, "m", "height of an RSU's antenna", "3GPP TR 38.901, table 7.4.1-1, UMi", gt=0
    )
    vehicle_height_m: float = quantity(
        1.5, "m", "height of a vehicle's antenna", "3GPP TR 38.901; TR 37.885 (passenger vehicle)", gt=0
    )
    eta_down: float = quantity(
        0.6, "1", "share of Shannon's rate reached, downlink", "3GPP TR 36.942, annex A: alpha", gt=0, le=1
    )
    eta_up: float = quantity(
        0.4, "1", "share of Shannon's rate reached, uplink", "3GPP TR 36.942, annex A: alpha", gt=0, le=1
    )
    se_max_down: float | None = quantity(
        4.4, "bit/s/Hz", "cap of the downlink; none = no cap", "3GPP TR 36.942, annex A: 64QAM 4/5", gt=0
    )
    se_max_up: float | None = quantity(
        2.0, "bit/s/Hz", "cap of the uplink; none = no cap", "3GPP TR 36.942, annex A: 16QAM 3/4", gt=0
    )
    min_sinr_db: float = quantity(
        -10.0, "dB", "SINR below which nothing is received", "3GPP TR 36.942, annex A: SNIR_min"
    )

    @property
    def height_m(self) -> float:
        """Height difference between the RSU's and the vehicle's antenna, m."""
        return abs(self.rsu_height_m - self.vehicle_height_m)

    @property
    @abstractmethod
    def max_range_m(self) -> float:
        """Largest horizontal distance the model is meant for, m."""

    @property
    @abstractmethod
    def edge_slope_db(self) -> float:
        """Slope of the path loss at the edge of a cell, dB per decade of 3-D distance."""

    @abstractmethod
    def path_loss_db(self, d2d_m: ArrayLike, los: ArrayLike) -> Floats:
        """Return the median path loss in dB at ``d2d_m`` metres, with ``los`` (bool) or without."""

    @abstractmethod
    def los_probability(self, d2d_m: ArrayLike) -> Floats:
        """Return the probability of line of sight at ``d2d_m`` metres."""

    @abstractmethod
    def shadow_sigma_db(self, los: ArrayLike) -> Floats:
        """Return the standard deviation of shadowing in dB for each line-of-sight state."""

    def d3d_m(self, d2d_m: ArrayLike) -> Floats:
        """Return the antenna-to-antenna distance in metres over a horizontal distance."""
        return np.asarray(np.hypot(np.asarray(d2d_m, dtype=np.float64), self.height_m))

    def mean_path_loss_db(self, d2d_m: ArrayLike) -> Floats:
        """Return P_LOS·PL_LOS + (1 − P_LOS)·PL_NLOS, the path loss in dB that association goes by."""
        p = self.los_probability(d2d_m)
        with_los, without = self.path_loss_db(d2d_m, True), self.path_loss_db(d2d_m, False)
        return np.asarray(p * with_los + (1 - p) * without)

    def noise_dbm(self, up: bool) -> float:
        """Return the receiver's noise power N0 + 10 log10 B + NF in dBm (RSU's when ``up``)."""
        figure = self.rsu_noise_figure_db if up else self.vehicle_noise_figure_db
        return float(self.noise_density_dbm_hz + 10 * np.log10(self.bandwidth_hz) + figure)

    def sinr_db(self, path_loss_db: ArrayLike, up: bool) -> Floats:
        """Return the SINR in dB behind ``path_loss_db`` (shadowing included), uplink when ``up``."""
        tx_dbm = self.vehicle_tx_dbm if up else self.rsu_tx_dbm
        gains_db = self.vehicle_gain_dbi + self.rsu_gain_dbi
        floor_dbm = self.noise_dbm(up) + self.interference_margin_db
        return np.asarray(tx_dbm + gains_db - np.asarray(path_loss_db, dtype=np.float64) - floor_dbm)

    def spectral_efficiency(self, sinr_db: ArrayLike, up: bool = False) -> Floats:
        """Return min(SE_max, eta·log2(1 + SINR)) in bit/s/Hz, 0 below the minimum SINR.

        Source: 3GPP TR 36.942, annex A (attenuated and truncated Shannon bound).
        """
        sinr_db = np.asarray(sinr_db, dtype=np.float64)
        eta, cap = (self.eta_up, self.se_max_up) if up else (self.eta_down, self.se_max_down)
        efficiency = eta * np.log2(1 + 10 ** (sinr_db / 10))
        if cap is not None:
            efficiency = np.minimum(efficiency, cap)
        return np.asarray(np.where(sinr_db < self.min_sinr_db, 0.0, efficiency))

    def coverage_m(self, min_sinr_db: float) -> float:
        """Return where the mean SINR of the weaker direction comes down to ``min_sinr_db``.

        Args:
            min_sinr_db: Least SINR, in dB, at which a vehicle counts as covered.

        Returns:
            Horizontal distance in metres, at most :attr:`max_range_m`.

        Raises:
            ConfigError: The SINR is too low even under the RSU.
        """

        def margin_db(d2d_m: float) -> float:
            loss_db = self.mean_path_loss_db(d2d_m)
            weaker = min(float(self.sinr_db(loss_db, up=True)), float(self.sinr_db(loss_db, up=False)))
            return weaker - min_sinr_db

        if margin_db(0.0) < 0:
            raise ConfigError(
                f"no coverage: the SINR beneath an RSU is {margin_db(0.0) + min_sinr_db:.1f} dB, "
                f"less than the minimum of {min_sinr_db:g} dB",
                where="radio",
                mend="raise the transmit powers or lower the minimum SINR",
            )
        if margin_db(self.max_range_m) >= 0:
            return self.max_range_m
        from scipy.optimize import brentq

        return float(brentq(margin_db, 0.0, self.max_range_m, xtol=1e-6))

    def distance_ratio(self, hysteresis_db: float) -> float:
        """Return 10^(hysteresis / slope), the ratio of 3-D distances that a hysteresis in dB stands for.

        Handoffs happen at the edge of cells, so the slope is the path loss's per decade there
        (:attr:`edge_slope_db`).

        Raises:
            ConfigError: The hysteresis is negative.
        """
        if not hysteresis_db >= 0:
            raise ConfigError(
                f"handoff hysteresis is {hysteresis_db} dB",
                where="association.hysteresis_db",
                mend="give 0 or more",
            )
        return float(10 ** (hysteresis_db / self.edge_slope_db))
