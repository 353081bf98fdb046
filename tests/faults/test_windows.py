"""Windows of faults: drawn, given, and read at any moment."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.faults import Windows
from fleetlora.rng import stream

#: Subject 0 from 10 to 20 and from 30 to 35, subject 2 from 5 to 100; subject 1 never.
GIVEN = Windows.of(3, [(2, 5.0, 100.0), (0, 30.0, 35.0), (0, 10.0, 20.0)])


def test_a_window_holds_at_its_begin_and_no_longer_at_its_end() -> None:
    times = [9.999, 10.0, 19.999, 20.0, 30.0, 34.0, 35.0, 1e6, -1.0]
    rows = GIVEN.at(np.array(times), np.zeros(9, np.int64))
    assert rows.tolist() == [-1, 0, 0, -1, 1, 1, -1, -1, -1]
    assert GIVEN.at(12.0).tolist() == [0, -1, 2]


def test_seconds_within_a_span_are_those_of_the_windows_in_it() -> None:
    subject = np.array([0, 0, 0, 1, 2])
    from_s, to_s = np.array([0.0, 15.0, 21.0, 0.0, 0.0]), np.array([50.0, 32.0, 29.0, 50.0, 50.0])
    assert GIVEN.seconds(subject, from_s, to_s).tolist() == [15.0, 7.0, 0.0, 0.0, 45.0]


def test_edges_within_a_span_are_begins_and_ends() -> None:
    edges = GIVEN.edges_s(np.array([0, 1]), np.array([15.0, 0.0]), np.array([40.0, 40.0]))
    assert sorted(set(edges[0])) == [15.0, 20.0, 30.0, 35.0]
    assert set(edges[1]) == {40.0}


def test_the_next_begin_comes_after_the_moment() -> None:
    next_s = [float(GIVEN.next_begin_s(np.array([0]), t)[0]) for t in (0.0, 10.0, 25.0, 30.0)]
    assert next_s == [10.0, 30.0, 30.0, np.inf]


def test_overlapping_windows_of_a_subject_are_one() -> None:
    joined = Windows.of(1, [(0, 1.0, 5.0), (0, 4.0, 9.0), (0, 9.0, 10.0), (0, 20.0, 21.0)])
    assert joined.begin_s.tolist() == [1.0, 20.0]
    assert joined.end_s.tolist() == [10.0, 21.0]


def test_no_windows_are_never_open() -> None:
    none = Windows.none(2)
    assert none.at(3.0).tolist() == [-1, -1]
    assert none.seconds(np.array([0, 1]), np.zeros(2), np.ones(2)).tolist() == [0.0, 0.0]
    assert np.isinf(none.next_begin_s(np.array([1]), 0.0)).all()


def test_drawn_windows_are_in_order_and_last_as_long_as_told() -> None:
    drawn = Windows.drawn(50, 90.0, 10.0, 20_000.0, stream(1, "faults", "test"))
    same = drawn.subject[1:] == drawn.subject[:-1]
    assert (np.diff(drawn.subject) >= 0).all()
    assert (drawn.begin_s[1:][same] > drawn.end_s[:-1][same]).all()
    assert (drawn.begin_s < 20_000.0).all()
    # 50 subjects for 20,000 s, one window in 100 s on average: 10,000, give or take 1 per cent
    assert len(drawn) == pytest.approx(10_000, rel=0.03)
    assert (drawn.end_s - drawn.begin_s).mean() == pytest.approx(10.0, rel=0.03)


def test_every_window_is_found_at_its_middle() -> None:
    drawn = Windows.drawn(40, 20.0, 5.0, 5_000.0, stream(2, "faults", "test"))
    middle = (drawn.begin_s + drawn.end_s) / 2
    np.testing.assert_array_equal(drawn.at(middle, drawn.subject), np.arange(len(drawn)))
    np.testing.assert_array_equal(drawn.at(drawn.begin_s, drawn.subject), np.arange(len(drawn)))
    assert (drawn.at(drawn.end_s, drawn.subject) == -1).all()
