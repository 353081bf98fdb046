"""The single-slope model against hand calculations."""

import pytest

from fleetlora.physics import SingleSlope


def test_path_loss_is_free_space_at_the_reference_and_one_slope_beyond() -> None:
    # 20·log10(4π·1 m·5.9e9/299792458) = 20·log10(247.30971) = 47.86482 dB at 1 m
    # 100 m: d3D = 100.36060 m, 31.9·2.001563 = 63.84986, together 111.71468 dB
    flat = SingleSlope(rsu_height_m=1.5)
    assert flat.path_loss_db(1.0, True) == pytest.approx(47.86482, abs=1e-5)
    assert SingleSlope().path_loss_db(100.0, False) == pytest.approx(111.71469, abs=2e-5)


def test_ten_times_the_distance_costs_ten_times_the_exponent() -> None:
    radio = SingleSlope(exponent=4.0, rsu_height_m=1.5)
    assert radio.path_loss_db(500.0, True) - radio.path_loss_db(50.0, True) == pytest.approx(40.0)


def test_nearer_than_the_reference_nothing_changes() -> None:
    radio = SingleSlope(reference_m=10.0, rsu_height_m=1.5)
    assert radio.path_loss_db(0.0, True) == radio.path_loss_db(10.0, True)


def test_there_is_one_state_and_one_spread() -> None:
    radio = SingleSlope()
    assert radio.los_probability([0.0, 5_000.0]).tolist() == [1.0, 1.0]
    assert radio.shadow_sigma_db([True, False]).tolist() == [8.2, 8.2]
    assert radio.mean_path_loss_db(250.0) == radio.path_loss_db(250.0, False)


def test_coverage_has_a_closed_form() -> None:
    # Down: 34 dBm − PL + 95 − 3 = −6, so PL = 132 dB; d3D = 10^((132 − 47.86482)/31.9) = 10^2.637466
    # = 433.977 m, d2D = √(433.977² − 8.5²) = 433.893 m.
    assert SingleSlope().coverage_m(-6.0) == pytest.approx(433.893, abs=0.001)
