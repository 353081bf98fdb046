"""Rates between positions and sites."""

import numpy as np
import pytest

from fleetlora.physics import Link, ShadowField, SingleSlope, Umi


def _calm(n_sites: int = 2, **values: float) -> Link:
    """A link without shadowing over a single state, so that its rate follows from distance alone."""
    radio = SingleSlope(sigma_db=0.0, **values)
    return Link(radio, ShadowField(radio, n_sites, seed=0), [0.0, 1_000.0][:n_sites], [0.0, 0.0][:n_sites])


def test_rate_is_bandwidth_times_shannon_at_the_distance() -> None:
    # 300 m from site 1: d3D = 300.12039 m, PL = 47.86482 + 31.9·2.477295 = 126.89055 dB.
    # Up: SINR = 34 − 126.89055 + 99 − 3 = 3.10945 dB = 2.04619; 10 MHz·log2(3.04619) = 16.0700 Mbit/s.
    # Down: −0.89055 dB = 0.81460; 10 MHz·log2(1.81460) = 8.5965 Mbit/s.
    down, up = _calm().rates_bps([1], [[1_300.0]], [[0.0]])
    assert up[0, 0] == pytest.approx(16.0700e6, rel=1e-5)
    assert down[0, 0] == pytest.approx(8.5965e6, rel=1e-5)


def test_rates_of_both_directions_agree_with_the_single_ones() -> None:
    radio = Umi()
    link = Link(radio, ShadowField(radio, 5, seed=1), np.arange(5) * 400.0, np.zeros(5))
    rng = np.random.default_rng(0)
    site, x, y = rng.integers(0, 5, 30), rng.uniform(-300, 1_900, (30, 8)), rng.uniform(-300, 300, (30, 8))
    down, up = link.rates_bps(site, x, y)
    assert np.array_equal(down, link.rate_bps(site, x, y, up=False))
    assert np.array_equal(up, link.rate_bps(site, x, y, up=True))
    assert np.array_equal(link.rate_bps(site, x[:, 0], y[:, 0], up=True), up[:, 0])
    assert down.max() <= 44e6
    assert up.max() <= 20e6


def test_the_mean_rate_of_a_calm_channel_is_its_rate() -> None:
    link = _calm()
    d = np.array([0.0, 40.0, 150.0, 333.0])
    rate = link.rate_bps(np.zeros(4, int), d, np.zeros(4), up=True)
    assert link.mean_rate_bps(d, up=True) == pytest.approx(rate, rel=1e-4)


@pytest.mark.parametrize("d2d_m", [15.0, 60.0, 150.0, 400.0])
@pytest.mark.parametrize("up", [False, True])
def test_the_predicted_rate_is_the_average_over_true_channels(d2d_m: float, up: bool) -> None:
    radio, n_sites = Umi(), 400
    link = Link(radio, ShadowField(radio, n_sites, seed=2), np.zeros(n_sites), np.zeros(n_sites))
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y = (np.tile(d2d_m * a, (n_sites, 1)) for a in (np.cos(angle), np.sin(angle)))
    true = link.rate_bps(np.arange(n_sites), x, y, up)
    assert link.mean_rate_bps(d2d_m, up) == pytest.approx(true.mean(), rel=0.04)


def test_the_predicted_rate_falls_with_distance_and_ends_with_the_range() -> None:
    radio = Umi()
    link = Link(radio, ShadowField(radio, 1, seed=0), [0.0], [0.0])
    for up in (False, True):
        assert (np.diff(link.mean_rate_bps(np.linspace(0, 6_000, 3_001), up)) <= 1e-6).all()
        assert link.mean_rate_bps(5_001.0, up) == 0.0


def test_equal_seeds_give_equal_channels() -> None:
    radio = Umi()
    x, y = np.linspace(0, 500, 200)[None], np.full((1, 200), 20.0)
    one, two, other = (
        Link(radio, ShadowField(radio, 1, seed), [0.0], [0.0]).rates_bps([0], x, y) for seed in (7, 7, 8)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_the_expected_rate_is_the_measured_one_at_rest_and_the_mean_one_far_ahead() -> None:
    radio = Umi()
    link = Link(radio, ShadowField(radio, 3, seed=1), np.arange(3) * 400.0, np.zeros(3))
    site, x, y = np.arange(3), np.array([30.0, 380.0, 950.0]), np.array([10.0, 60.0, 20.0])
    distance = np.hypot(x - np.arange(3) * 400.0, y)
    for up in (False, True):
        at_rest = link.expected_rates_bps(site, x, y, np.zeros(3))[up]
        assert at_rest == pytest.approx(link.rate_bps(site, x, y, up))
        far = link.expected_rates_bps(site, x, y, np.full(3, 1e9))[up]
        assert far == pytest.approx(link.mean_rate_bps(distance, up), rel=1e-6)
