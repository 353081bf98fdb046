"""The fields of shadowing and line of sight: their statistics, and that they are functions of place."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from fleetlora.physics import ShadowField, Shadowing, SingleSlope, Umi
from fleetlora.physics.shadowing import _Waves

Floats = NDArray[np.float64]

N_SITES = 200
SITES = np.arange(N_SITES)


def _scattered(rng: np.random.Generator, n: int = 400) -> tuple[Floats, Floats]:
    """Positions all over a city of 20 km, a row for each site."""
    return rng.uniform(0, 20_000, (N_SITES, n)), rng.uniform(0, 20_000, (N_SITES, n))


def _ring(d2d_m: float, n_sites: int) -> tuple[Floats, Floats]:
    """Eight positions around each of many sites that all stand at the origin."""
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    return np.tile(d2d_m * np.cos(angle), (n_sites, 1)), np.tile(d2d_m * np.sin(angle), (n_sites, 1))


@pytest.fixture(scope="module")
def field() -> ShadowField:
    return ShadowField(Umi(), N_SITES, seed=3)


def test_fields_are_standard_normal() -> None:
    x, y = _scattered(np.random.default_rng(0))
    values = _Waves("shadowing", N_SITES, 3, 10.0, 128).at(SITES, x, y)
    assert values.mean() == pytest.approx(0.0, abs=0.02)
    assert values.std() == pytest.approx(1.0, abs=0.02)
    assert (np.abs(values) < 1).mean() == pytest.approx(0.6827, abs=0.01)
    assert (np.abs(values) < 2).mean() == pytest.approx(0.9545, abs=0.005)


@pytest.mark.parametrize("correlation_m", [10.0, 50.0])
@pytest.mark.parametrize("lag", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("direction", [0.0, 1.0, 2.2])
def test_autocorrelation_is_exponential_in_every_direction(
    correlation_m: float, lag: float, direction: float
) -> None:
    waves = _Waves("shadowing", N_SITES, 5, correlation_m, 128)
    x, y = _scattered(np.random.default_rng(1))
    step = lag * correlation_m
    here, there = (waves.at(SITES, x + s * np.cos(direction), y + s * np.sin(direction)) for s in (0.0, step))
    assert (here * there).mean() == pytest.approx(np.exp(-lag), abs=0.03)


def test_every_single_field_comes_close_to_the_correlation() -> None:
    waves = _Waves("shadowing", N_SITES, 5, 10.0, 128)
    x, y = _scattered(np.random.default_rng(2), n=2_000)
    angle = np.random.default_rng(3).uniform(0, 2 * np.pi, x.shape)
    there = waves.at(SITES, x + 10 * np.cos(angle), y + 10 * np.sin(angle))
    correlation = (waves.at(SITES, x, y) * there).mean(axis=1)
    assert np.abs(correlation - np.exp(-1)).max() < 0.12


def test_fields_of_different_sites_and_purposes_are_unrelated(field: ShadowField) -> None:
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 20_000, (2, 1, 20_000))
    one, two = (field._shadow.at(np.array([site]), x, y) for site in (0, 1))
    assert np.corrcoef(one[0], two[0])[0, 1] == pytest.approx(0.0, abs=0.05)
    assert np.corrcoef(one[0], field._los.at(np.array([0]), x, y)[0])[0, 1] == pytest.approx(0.0, abs=0.05)


def test_no_place_is_special() -> None:
    # Over many fields, the value at any one place is standard normal: at the origin as far away.
    waves = _Waves("shadowing", 2_000, 1, 50.0, 128)
    values = waves.at(np.arange(2_000), *np.broadcast_arrays([[0.0, 3.0, 9e3]], np.zeros((2_000, 1))))
    assert values.std(axis=0) == pytest.approx(np.ones(3), abs=0.06)
    assert values.mean(axis=0) == pytest.approx(np.zeros(3), abs=0.09)


@pytest.mark.parametrize("d2d_m", [25.0, 50.0, 100.0, 300.0])
def test_share_of_places_in_sight_is_the_standards_probability(d2d_m: float) -> None:
    n_sites = 2_000
    x, y = _ring(d2d_m, n_sites)
    share = ShadowField(Umi(), n_sites, seed=3).los(np.arange(n_sites), x, y, np.full(x.shape, d2d_m)).mean()
    assert share == pytest.approx(float(Umi().los_probability(d2d_m)), abs=0.02)


def test_within_18_metres_there_is_always_line_of_sight(field: ShadowField) -> None:
    x, y = _ring(18.0, N_SITES)
    assert field.los(SITES, x, y, np.full(x.shape, 18.0)).all()


def test_shadowing_spreads_by_4_db_in_sight_and_7_82_db_out_of_it(field: ShadowField) -> None:
    x, y = _scattered(np.random.default_rng(6))
    for los, sigma_db in ((True, 4.0), (False, 7.82)):
        shadow_db = field.shadow_db(SITES, x, y, np.full(x.shape, los))
        assert shadow_db.std() == pytest.approx(sigma_db, rel=0.02)
        assert shadow_db.mean() == pytest.approx(0.0, abs=0.15)


def test_single_slope_brings_its_own_spread() -> None:
    field = ShadowField(SingleSlope(sigma_db=6.0), N_SITES, seed=0)
    x, y = _scattered(np.random.default_rng(7))
    assert field.shadow_db(SITES, x, y, np.ones(x.shape, bool)).std() == pytest.approx(6.0, rel=0.02)


def test_the_same_place_has_the_same_channel_however_it_is_asked(field: ShadowField) -> None:
    x, y = _scattered(np.random.default_rng(8), n=700)
    d, los = np.full(x.shape, 60.0), np.zeros(x.shape, bool)
    shadow_db, state = field.shadow_db(SITES, x, y, los), field.los(SITES, x, y, d)
    for pick in (slice(5, 6), slice(10, 13)):
        part = (SITES[pick], x[pick, 99:104], y[pick, 99:104])
        assert np.array_equal(field.shadow_db(*part, los[pick, 99:104]), shadow_db[pick, 99:104])
        assert np.array_equal(field.los(*part, d[pick, 99:104]), state[pick, 99:104])
    one_each = field.shadow_db(SITES, x[:, 7], y[:, 7], los[:, 7])
    assert np.array_equal(one_each, shadow_db[:, 7])


def test_a_field_depends_on_seed_and_site_and_not_on_the_other_sites(field: ShadowField) -> None:
    x, y = _scattered(np.random.default_rng(9))
    few = ShadowField(Umi(), 3, seed=3)
    los = np.zeros((3, x.shape[1]), bool)
    args = (np.arange(3), x[:3], y[:3], los)
    assert np.array_equal(few.shadow_db(*args), field.shadow_db(*args))
    assert not np.array_equal(ShadowField(Umi(), 3, seed=4).shadow_db(*args), few.shadow_db(*args))


def test_far_coordinates_lose_no_precision() -> None:
    # A UTM northing of 5,800 km: a millimetre must still change shadowing by next to nothing.
    waves = _Waves("shadowing", 1, 0, 10.0, 128)
    x, y = np.full((1, 50), 500_000.0) + np.arange(50), np.full((1, 50), 5_800_000.0)
    assert np.abs(waves.at([0], x, y + 1e-3) - waves.at([0], x, y)).max() < 0.1


def test_no_positions_give_no_values(field: ShadowField) -> None:
    assert field.shadow_db(SITES, np.empty((N_SITES, 0)), np.empty((N_SITES, 0)), True).shape == (N_SITES, 0)
    nothing = np.empty((0, 4))
    assert field.los(np.empty(0, int), nothing, nothing, nothing).shape == (0, 4)


@pytest.mark.parametrize(
    ("key", "value"), [("shadow_correlation_m", 0.0), ("los_correlation_m", -1.0), ("sinusoids", 0)]
)
def test_impossible_correlations_are_refused(key: str, value: float) -> None:
    with pytest.raises(ValidationError, match=key):
        Shadowing(**{key: value})
