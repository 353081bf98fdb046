"""Which fixes are kept where some are out of reach."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleetlora.traces.unreachable import reachable, too_fast

LIMIT, JUMP = 40.0, 5


def kept(x: list[float], t: list[float] | None = None, jump: int = JUMP) -> list[int]:
    """Return which fixes of one vehicle on a line, 10 s apart, are kept."""
    n = len(x)
    times = np.arange(n) * 10.0 if t is None else np.array(t)
    keep = reachable(np.zeros(n, dtype=np.int64), times, np.array(x), np.zeros(n), LIMIT, jump)
    return np.flatnonzero(keep).tolist()


@pytest.mark.parametrize("bad", [0, 1, 7, 14, 15])
def test_one_wild_fix_costs_one_fix_wherever_it_lies(bad: int) -> None:
    x = [100.0 * i for i in range(16)]
    x[bad] = 1e6
    assert kept(x) == [i for i in range(16) if i != bad]


def test_wild_fixes_in_a_row_go_together_though_they_agree() -> None:
    x = [0.0] * 30
    x[10:14] = [1e5, 1e5, 1e5 + 100, 1e5]
    assert kept(x) == [*range(10), *range(14, 30)]


def test_two_vehicles_under_one_name_leave_one() -> None:
    assert kept([0.0, 1e5] * 20) in (list(range(0, 40, 2)), list(range(1, 40, 2)))


def test_two_long_stretches_out_of_reach_both_stay() -> None:
    assert kept([0.0] * 20 + [1e6] * 20) == list(range(40))


def test_a_little_too_fast_costs_one_fix_not_a_stretch() -> None:
    x = [0.0, 100.0, 200.0, 300.0, 720.0, 800.0, 900.0, 1000.0]
    assert len(kept(x)) == 7


def test_many_wild_fixes_in_a_row_leave_the_good_ones() -> None:
    rng = np.random.default_rng(1)
    x = [0.0] * 60 + (1e6 + 1e5 * rng.random(40)).tolist() + [0.0] * 60
    assert [i for i in kept(x) if i < 60 or i >= 100] == [*range(60), *range(100, 160)]


def test_times_in_milliseconds_end_at_once_with_next_to_nothing() -> None:
    n = 20_000
    assert len(kept([1e4 * i for i in range(n)], t=[0.01 * i for i in range(n)])) < n / 100


def test_vehicles_do_not_mix() -> None:
    vehicle = np.repeat([0, 1], 8)
    x = np.repeat([0.0, 1e6], 8)
    keep = reachable(vehicle, np.tile(np.arange(8.0), 2), x, np.zeros(16), LIMIT, JUMP)
    assert keep.all()
    assert not too_fast(vehicle, np.tile(np.arange(8.0), 2), x, np.zeros(16), LIMIT).any()


def worth(x: np.ndarray, t: np.ndarray, chain: tuple[int, ...], jump: int) -> int:
    """Return the number of fixes kept, less ``jump`` for each that is out of reach of the one before.

    One that passes over more than 2·jump others counts as out of reach.
    """
    rows = np.array(chain)
    far = (np.abs(np.diff(x[rows])) > LIMIT * np.diff(t[rows])) | (np.diff(rows) > 2 * jump + 1)
    return len(chain) - jump * int(far.sum())


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from([1, 10, 30]), st.sampled_from([0, 1, 2, 5, 50])), min_size=2, max_size=11
    ),
    st.integers(1, 3),
)
@example([(1, 2), (1, 5), (1, 0), (1, 1), (1, 2)], 1)
def test_no_other_choice_is_worth_more(steps: list[tuple[int, int]], jump: int) -> None:
    t = np.cumsum([step for step, _ in steps]).astype(float)
    x = np.array([300.0 * place for _, place in steps])
    n = len(steps)
    best = max(worth(x, t, chain, jump) for k in range(1, n + 1) for chain in combinations(range(n), k))
    assert worth(x, t, tuple(kept(x.tolist(), t.tolist(), jump)), jump) == best
