"""The link budget all radio models share, against numbers worked out by hand."""

import numpy as np
import pytest
from pydantic import ValidationError

from fleetlora.errors import ConfigError
from fleetlora.physics import RADIO_MODELS, RadioModel, SingleSlope, Umi

MODELS = [RADIO_MODELS.get(name)() for name in RADIO_MODELS.names()]
each_model = pytest.mark.parametrize("radio", MODELS, ids=RADIO_MODELS.names())


def test_noise_is_density_plus_bandwidth_plus_noise_figure() -> None:
    # −174 dBm/Hz + 10·log10(10 MHz) = −174 + 70 = −104 dBm; + 9 dB in a vehicle, + 5 dB in an RSU.
    assert Umi().noise_dbm(up=False) == pytest.approx(-95.0)
    assert Umi().noise_dbm(up=True) == pytest.approx(-99.0)


def test_sinr_is_power_plus_gains_minus_loss_minus_noise_minus_margin() -> None:
    # 23 dBm + 3 dBi + 8 dBi − 110 dB = −76 dBm received. Down: −76 + 95 − 3 = 16; up: −76 + 99 − 3 = 20.
    assert Umi().sinr_db(110.0, up=False) == pytest.approx(16.0)
    assert Umi().sinr_db(110.0, up=True) == pytest.approx(20.0)


def test_twice_the_bandwidth_brings_3_db_more_noise() -> None:
    assert Umi(bandwidth_hz=20e6).noise_dbm(up=True) == pytest.approx(-99.0 + 3.0103, abs=1e-4)


def test_rate_follows_attenuated_shannon() -> None:
    radio = Umi()
    # SINR 10 dB = 10: 0.6·log2(11) = 0.6·3.45943 = 2.07566; 0.4·log2(11) = 1.38377 bit/s/Hz.
    assert radio.spectral_efficiency(10.0) == pytest.approx(2.07566, abs=1e-5)
    assert radio.spectral_efficiency(10.0, up=True) == pytest.approx(1.38377, abs=1e-5)
    # −10 dB = 0.1 is the last that is received: 0.6·log2(1.1) = 0.6·0.137504 = 0.082502.
    assert radio.spectral_efficiency(-10.0) == pytest.approx(0.082502, abs=1e-6)
    assert radio.spectral_efficiency(-10.001) == 0.0
    # 40 dB: 0.6·13.29 = 7.97 and 0.4·13.29 = 5.32 are beyond the caps.
    assert radio.spectral_efficiency(40.0) == 4.4
    assert radio.spectral_efficiency(40.0, up=True) == 2.0


def test_shannon_has_no_cap_in_the_single_slope_model() -> None:
    # log2(1 + 10^6) = 19.93157 bit/s/Hz at 60 dB.
    assert SingleSlope().spectral_efficiency(60.0) == pytest.approx(19.93157, abs=1e-5)


@each_model
@pytest.mark.parametrize("min_sinr_db", [-10.0, -6.0, 0.0, 12.0])
def test_mean_sinr_of_the_weaker_direction_is_the_minimum_at_the_coverage(
    radio: RadioModel, min_sinr_db: float
) -> None:
    loss_db = radio.mean_path_loss_db(radio.coverage_m(min_sinr_db))
    weaker = min(radio.sinr_db(loss_db, up=True), radio.sinr_db(loss_db, up=False))
    assert weaker == pytest.approx(min_sinr_db, abs=1e-5)


@each_model
def test_default_coverage_suits_a_city_street(radio: RadioModel) -> None:
    assert 300 < radio.coverage_m(-6.0) < 500


@each_model
def test_mean_path_loss_never_falls_with_distance(radio: RadioModel) -> None:
    assert (np.diff(radio.mean_path_loss_db(np.linspace(0, 5_000, 20_001))) >= 0).all()


@each_model
def test_every_model_keeps_the_protocol(radio: RadioModel) -> None:
    assert isinstance(radio, RadioModel)
    d = np.linspace(0, 1_000, 7).reshape(7, 1)
    los = np.array([[True, False]])
    assert radio.path_loss_db(d, los).shape == (7, 2)
    assert radio.los_probability(d).shape == (7, 1)
    assert radio.shadow_sigma_db(los).shape == (1, 2)
    assert ((radio.los_probability(d) >= 0) & (radio.los_probability(d) <= 1)).all()


@each_model
def test_distance_ratio_moves_the_far_path_loss_by_the_hysteresis(radio: RadioModel) -> None:
    ratio = radio.distance_ratio(3.0)
    d3d = 500.0

    def loss_db(d3d_m: float) -> float:
        return float(radio.path_loss_db(np.sqrt(d3d_m**2 - radio.height_m**2), False))

    assert loss_db(d3d * ratio) - loss_db(d3d) == pytest.approx(3.0)
    assert radio.distance_ratio(0.0) == 1.0


def test_coverage_ends_at_the_range_of_the_model() -> None:
    assert Umi(rsu_tx_dbm=90, vehicle_tx_dbm=90).coverage_m(-6.0) == 5_000.0


def test_no_coverage_at_all_is_a_config_error_with_a_mend() -> None:
    with pytest.raises(ConfigError, match=r"beneath an RSU.*minimum of 90 dB(.|\n)*transmit powers"):
        Umi().coverage_m(90.0)


def test_negative_hysteresis_is_refused() -> None:
    with pytest.raises(ConfigError, match="hysteresis is -1"):
        Umi().distance_ratio(-1.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bandwidth_hz", 0.0),
        ("bandwidth_hz", -10e6),
        ("carrier_hz", 0.0),
        ("interference_margin_db", -1.0),
        ("vehicle_noise_figure_db", -1.0),
        ("eta_down", 1.1),
        ("eta_up", 0.0),
        ("se_max_down", 0.0),
        ("rsu_height_m", 0.0),
        ("min_sinr_db", float("nan")),
        ("bandwith_hz", 10e6),
    ],
)
@pytest.mark.parametrize("model", [Umi, SingleSlope])
def test_impossible_settings_are_refused_by_name(model: type, key: str, value: float) -> None:
    with pytest.raises(ValidationError, match=key):
        model(**{key: value})


def test_an_unknown_model_is_named_with_its_nearest_neighbour() -> None:
    with pytest.raises(ConfigError, match=r"unknown radio model 'umii'(.|\n)*did you mean 'umi'"):
        RADIO_MODELS.get("umii")
