"""Where vehicles are at home."""

from __future__ import annotations

import itertools

import numpy as np

from fleetlora.materials import _medians


def test_medians_are_those_of_each_vehicle_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    count = rng.integers(1, 9, 200)
    offsets = np.concatenate([[0], np.cumsum(count)])
    values = rng.normal(0, 1e4, offsets[-1]).round(1)
    wanted = [np.median(values[a:b]) for a, b in itertools.pairwise(offsets)]
    np.testing.assert_array_equal(_medians(values, offsets), wanted)
