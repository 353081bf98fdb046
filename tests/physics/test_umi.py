"""UMi street canyon against TR 38.901's formulas, worked out by hand with 5.9 GHz, 10 m and 1.5 m."""

import numpy as np
import pytest
from pydantic import ValidationError

from fleetlora.physics import Umi

# log10 5.9 = 0.770852: 20·log10 f = 15.41704 and 21.3·log10 f = 16.41915.
# Height difference 8.5 m, its square 72.25 m².
BY_HAND = [
    # d2D, LOS, NLOS
    # 10 m: d3D = √172.25 = 13.12440, log10 = 1.118080
    #   LOS  32.4 + 21·1.118080 + 15.41704 = 71.29672
    #   NLOS 35.3·1.118080 + 22.4 + 16.41915 = 78.28737
    (10.0, 71.29672, 78.28737),
    # 100 m: d3D = √10072.25 = 100.36060, log10 = 2.001563
    #   LOS  32.4 + 42.03282 + 15.41704 = 89.84986
    #   NLOS 70.65517 + 22.4 + 16.41915 = 109.47432
    (100.0, 89.84986, 109.47432),
    # 300 m: d3D = √90072.25 = 300.12039, log10 = 2.477295
    #   LOS  32.4 + 52.02320 + 15.41704 = 99.84024
    #   NLOS 87.44853 + 38.81915 = 126.26768
    (300.0, 99.84024, 126.26768),
    # 400 m, beyond the breakpoint of 354 m: d3D = √160072.25 = 400.09030, log10 = 2.602158
    #   LOS  32.4 + 40·2.602158 + 15.41704 − 9.5·log10(354² + 72.25) = 32.4 + 104.08632 + 15.41704 − 48.43344
    #   NLOS 35.3·2.602158 + 38.81915 = 130.67533
    (400.0, 103.46992, 130.67533),
]


@pytest.mark.parametrize(("d2d_m", "los_db", "nlos_db"), BY_HAND)
def test_path_loss_is_that_of_the_standard(d2d_m: float, los_db: float, nlos_db: float) -> None:
    assert Umi().path_loss_db(d2d_m, True) == pytest.approx(los_db, abs=2e-4)
    assert Umi().path_loss_db(d2d_m, False) == pytest.approx(nlos_db, abs=2e-4)


def test_breakpoint_is_4_effective_heights_over_the_wavelength() -> None:
    # 4 · (10 − 1) · (1.5 − 1) · 5.9e9 / 3e8 = 4 · 9 · 0.5 · 19.6667 = 354 m
    assert Umi().breakpoint_m == pytest.approx(354.0)


def test_path_loss_has_no_step_at_the_breakpoint() -> None:
    below, above = Umi().path_loss_db(np.array([354.0 - 1e-6, 354.0 + 1e-6]), True)
    assert below == pytest.approx(above, abs=1e-6)


def test_without_line_of_sight_the_loss_is_never_less_than_with() -> None:
    d = np.linspace(0, 5_000, 5_001)
    # High up at 0.5 GHz the second formula falls below the first near the site, and the larger one counts.
    for radio in (Umi(), Umi(carrier_hz=0.5e9, vehicle_height_m=22.5, rsu_height_m=23.0)):
        assert (radio.path_loss_db(d, False) >= radio.path_loss_db(d, True)).all()


def test_higher_vehicle_antenna_lowers_the_nlos_loss_by_3_tenths_of_a_db_per_metre() -> None:
    low, high = Umi(rsu_height_m=10.0), Umi(rsu_height_m=12.0, vehicle_height_m=3.5)  # same height difference
    assert low.path_loss_db(200.0, False) - high.path_loss_db(200.0, False) == pytest.approx(0.6)


def test_line_of_sight_probability_is_that_of_the_standard() -> None:
    # 36 m: 18/36 + e^−1·(1 − 0.5) = 0.5 + 0.183940; 100 m: 0.18 + e^−2.7778·0.82 = 0.18 + 0.062176·0.82
    d = [0.0, 18.0, 36.0, 100.0]
    assert Umi().los_probability(d) == pytest.approx([1.0, 1.0, 0.683940, 0.230985], abs=2e-6)


def test_mean_path_loss_weighs_both_states_by_their_probability() -> None:
    # 100 m: 0.230985·89.84986 + 0.769015·109.47432 = 20.75397 + 84.18739
    assert Umi().mean_path_loss_db(100.0) == pytest.approx(104.94136, abs=3e-4)


def test_three_db_of_hysteresis_is_a_fifth_of_the_distance() -> None:
    # 10^(3/35.3) = 10^0.084986 = 1.216146
    assert Umi().distance_ratio(3.0) == pytest.approx(1.216146, abs=1e-6)


def test_shadowing_spreads_by_state() -> None:
    assert Umi().shadow_sigma_db([True, False]).tolist() == [4.0, 7.82]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"carrier_hz": 0.4e9}, "carrier_hz .* 0.5 to 100 GHz"),
        ({"vehicle_height_m": 1.0}, "vehicle_height_m .* 1.5 to 22.5 m"),
        ({"rsu_height_m": 1.5}, "rsu_height_m must be above"),
    ],
)
def test_settings_outside_the_standard_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Umi(**values)
