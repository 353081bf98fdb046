"""The curve's formulas by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.curves import Contribution, GainLine, Growth, Work


def work(rank: float = 8, steps: float = 4, samples: float = 32, rate: float = 1, before: float = 0) -> Work:
    columns = (np.array([float(value)]) for value in (rank, steps, samples, rate, before))
    return Work(*columns)


def test_contribution_of_a_middling_update_is_its_recipes_factor() -> None:
    exponents = Contribution(0.3, 0.7, 0.2, 0.5, 0.4, 0.8)
    assert exponents.of(work(), 1.7) == pytest.approx([1.7])


def test_contribution_is_the_product_of_its_powers() -> None:
    exponents = Contribution(0.5, 1.0, 0.25, 2.0, 0.5, 1.0)
    # sqrt(32/8) · 8/4 · (2/32)^(1/4) · 0.5² / sqrt(1 + 3) = 2 · 2 · 0.5 · 0.25 / 2
    assert exponents.of(work(32, 8, 2, 0.5, 3), 1.0) == pytest.approx([0.25])


def test_a_sync_of_many_adds_less_than_the_sum() -> None:
    assert Contribution(0, 0, 0, 0, 0, 0.5).mass(9.0) == pytest.approx(3.0)


def test_growth_is_half_way_where_the_power_says() -> None:
    growth = Growth(start=0.1, end=0.9, scale=10.0, power=1.0)
    assert growth.at(0.0) == pytest.approx(0.1)
    assert growth.at(10.0) == pytest.approx(0.5)  # (1 + 1)^-1
    assert growth.at(1e12) == pytest.approx(0.9)
    assert growth.at(1e12, shift=0.05) == pytest.approx(0.95)
    assert growth.headroom(np.array([0.0, 30.0])) == pytest.approx([1.0, 0.25])


def test_gain_is_a_line() -> None:
    line = GainLine(constant=0.1, rank=0.2, steps=0.3, rate=0.4, headroom=0.5, spread=0.0)
    got = line.mean(work(rank=8 * np.e, steps=4, rate=0.5), np.array([0.2]))
    assert got == pytest.approx([0.1 + 0.2 + 0.0 + 0.2 + 0.1])
