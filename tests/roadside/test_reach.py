"""The site index never misses a site that a leg can reach."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.roadside.reach import SiteIndex


@pytest.mark.parametrize("reach", [1.0, 40.0, 400.0, 30_000.0])
@pytest.mark.parametrize("sites", [1, 2, 60])
def test_every_site_within_reach_of_a_leg_is_a_candidate(reach: float, sites: int) -> None:
    rng = np.random.default_rng(sites)
    x, y = rng.uniform(-5000, 5000, (2, sites))
    start = rng.uniform(-7000, 7000, (400, 2))
    way = rng.normal(size=(400, 2)) * 10 ** rng.uniform(-3, 4.3, (400, 1))
    way[:20] = 0.0
    index = SiteIndex(x, y, reach)
    middle = start + 0.5 * way
    cells = index.cells(middle[:, 0], middle[:, 1], (way**2).sum(axis=1))
    row, site = index.candidates(cells)
    listed = set(zip(row.tolist(), site.tolist(), strict=True))
    assert len(listed) == len(row) == index.counts(cells).sum()
    share = np.linspace(0, 1, 201)[:, None, None]
    points = start + share * way
    for j in range(sites):
        away = np.hypot(points[..., 0] - x[j], points[..., 1] - y[j]).min(axis=0)
        assert {(i, j) for i in np.flatnonzero(away <= reach)} <= listed


def test_candidates_come_in_order_of_leg_then_site() -> None:
    index = SiteIndex(np.arange(10.0), np.zeros(10), 5.0)
    cells = index.cells(np.array([3.0, 4.0, 900.0]), np.zeros(3), np.array([1.0, 0.0, 1.0]))
    row, site = index.candidates(cells)
    assert np.array_equal(np.lexsort((site, row)), np.arange(len(row)))
    assert set(row.tolist()) == {0, 1}


def test_what_is_no_leg_has_no_candidates() -> None:
    index = SiteIndex(np.zeros(1), np.zeros(1), 5.0)
    cells = index.cells(np.zeros(1), np.zeros(1), np.array([np.nan]))
    assert index.counts(cells).tolist() == [0]
