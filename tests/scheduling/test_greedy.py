"""Facts about the greedy policy."""

from __future__ import annotations

import numpy as np

from fleetlora.rng import stream
from fleetlora.scheduling import Greedy
from tests.scheduling.fleet import context, offers


def test_everyone_takes_the_largest_feasible_rank() -> None:
    about = context()
    feasible = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    here = offers(about, vehicle=range(4), feasible=feasible)
    assert Greedy(about, Greedy.Options()).select(here, stream(0)).tolist() == [16, 8, 4, 0]
