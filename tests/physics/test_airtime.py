"""Shared airtime: hand-worked cases, and laws that hold whatever the numbers are."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlora.physics import Capacity, Timeline, Work, run_airtime
from tests.physics.reference import play


def _work(n: int = 1, **columns: object) -> Work:
    """n rows that upload 10 Mbit in RSU 0 from 0 s and are cut at 100 s, but for ``columns``."""
    base = {"group": 0, "start_s": 0.0, "down_bits": 0.0, "compute_s": 0.0, "up_bits": 10e6, "end_s": 100.0}
    return Work(**{k: np.broadcast_to(np.asarray(v), n) for k, v in {**base, **columns}.items()})


def _flat(n: int = 1, down_bps: object = 10e6, up_bps: object = 5e6) -> Capacity:
    return Capacity.constant(np.zeros(n), 100.0, down_bps, up_bps)


def test_a_lone_vehicle_downloads_computes_and_uploads_at_full_rate() -> None:
    # 20 Mbit at 10 Mbit/s: 2 s; 3 s of computing; 10 Mbit at 5 Mbit/s: 2 s.
    t = run_airtime(_work(down_bits=20e6, compute_s=3.0), _flat())
    assert (t.down_s[0], t.compute_s[0], t.up_s[0], t.end_s[0]) == pytest.approx((2.0, 3.0, 2.0, 7.0))
    assert t.done[0]
    assert (t.down_bits[0], t.up_bits[0]) == (20e6, 10e6)
    assert (t.down_air_s[0], t.up_air_s[0]) == pytest.approx((2.0, 2.0))


def test_two_vehicles_at_once_take_half_the_bandwidth_each() -> None:
    t = run_airtime(_work(2), _flat(2))
    assert t.up_s.tolist() == [4.0, 4.0]
    assert t.up_air_s.tolist() == [2.0, 2.0]


def test_vehicles_of_different_rsus_do_not_share() -> None:
    assert run_airtime(_work(2, group=[7, -3]), _flat(2)).up_s.tolist() == [2.0, 2.0]


def test_a_download_and_an_upload_share_the_same_bandwidth() -> None:
    # A downloads 10 Mbit (alone: 1 s), B uploads 10 Mbit (alone: 2 s). Halved, A ends at 2 s;
    # B has 10 − 2·2.5 = 5 Mbit left and ends at 3 s.
    t = run_airtime(_work(2, down_bits=[10e6, 0.0], up_bits=[0.0, 10e6]), _flat(2))
    assert t.end_s.tolist() == [2.0, 3.0]


def test_a_latecomer_slows_the_rest_from_its_start_on() -> None:
    # A alone to 1 s: 5 Mbit. Then both at 2.5 Mbit/s: A's last 5 Mbit take 2 s, to 3 s.
    # B has then 5 of its 10 Mbit left, alone 1 s: 4 s.
    t = run_airtime(_work(2, start_s=[0.0, 1.0]), _flat(2))
    assert t.end_s.tolist() == [3.0, 4.0]
    assert t.up_s.tolist() == [3.0, 3.0]
    assert t.up_air_s.tolist() == [2.0, 2.0]


def test_computing_frees_the_channel() -> None:
    # Both download 10 Mbit at half of 10 Mbit/s to 2 s. A computes 1 s and uploads alone 3 s to 5 s;
    # B computes 5 s and uploads alone 7 s to 9 s.
    t = run_airtime(_work(2, down_bits=10e6, compute_s=[1.0, 5.0]), _flat(2))
    assert t.end_s.tolist() == [5.0, 9.0]


def test_three_rates_share_time_not_bits() -> None:
    # Uplinks of 6, 3 and 1 Mbit/s asked for 6, 3 and 1 Mbit: a third each, all end at 3 s.
    t = run_airtime(_work(3, up_bits=[6e6, 3e6, 1e6]), _flat(3, up_bps=[6e6, 3e6, 1e6]))
    assert t.end_s == pytest.approx([3.0, 3.0, 3.0])


def test_a_vehicle_driving_away_takes_the_root_of_its_integral() -> None:
    # Rate 10 − 0.5 t Mbit/s: 40 Mbit = 10 t − 0.25 t² → t = 20 − √(400 − 160) = 4.508067 s.
    knots = np.linspace(0, 20, 4_001)[None]
    capacity = Capacity(knots, knots, (10 * knots - 0.25 * knots**2) * 1e6)
    t = run_airtime(_work(up_bits=40e6, end_s=20.0), capacity)
    assert t.up_s[0] == pytest.approx(20 - np.sqrt(240), abs=1e-6)
    # Shared with a steady vehicle that never ends, half the rate: 40 = 5 t − 0.125 t², t = 20 − √80.
    both = Capacity(*(np.vstack([a, knots * 5e6]) for a in (knots, capacity.down_bits, capacity.up_bits)))
    shared = run_airtime(_work(2, up_bits=[40e6, 1e9], end_s=20.0), both)
    assert shared.up_s[0] == pytest.approx(20 - np.sqrt(80), abs=1e-6)


def test_no_rate_no_progress_until_it_returns() -> None:
    # 5 Mbit/s to 1 s, nothing to 4 s, 5 Mbit/s again: 10 Mbit end at 5 s.
    t = np.array([[0.0, 1.0, 4.0, 6.0]])
    bits = np.array([[0.0, 5e6, 5e6, 15e6]])
    assert run_airtime(_work(end_s=6.0), Capacity(t, bits, bits)).end_s[0] == pytest.approx(5.0)


def test_seconds_in_which_the_rsu_is_off_are_not_its_air() -> None:
    # 300 bits at 10 bit/s are 30 s of air. Off from 10 s to 70 s: 100 bits before, 200 bits to 90 s.
    on = lambda t: np.where((t >= 10.0) & (t < 70.0), 0.0, 1.0)  # noqa: E731
    alone = Capacity.constant([0.0], 200.0, 10.0, 10.0).scaled(np.array([[10.0, 70.0]]), on, on)
    t = run_airtime(_work(up_bits=300.0, end_s=200.0), alone)
    assert (t.up_s[0], t.up_air_s[0]) == pytest.approx((90.0, 30.0))
    # two at once take 60 s of air, 30 s each, to 120 s; one in another RSU, which is on, is through at 30 s
    three = Capacity.stacked([alone, alone, Capacity.constant([0.0], 200.0, 10.0, 10.0)])
    t = run_airtime(_work(3, group=[0, 0, 1], up_bits=300.0, end_s=200.0), three)
    assert t.up_s == pytest.approx([120.0, 120.0, 30.0])
    assert t.up_air_s == pytest.approx([30.0, 30.0, 30.0])


@pytest.mark.parametrize(
    ("end_s", "seconds", "bits"),
    [
        (1.5, (1.5, 0.0, 0.0), (15e6, 0.0)),  # in the download of 20 Mbit
        (4.0, (2.0, 2.0, 0.0), (20e6, 0.0)),  # in the computing of 3 s
        (6.5, (2.0, 3.0, 1.5), (20e6, 7.5e6)),  # in the upload of 10 Mbit
        (0.0, (0.0, 0.0, 0.0), (0.0, 0.0)),  # before anything
    ],
)
def test_a_cut_leaves_partial_seconds_and_bits(
    end_s: float, seconds: tuple[float, ...], bits: tuple[float, ...]
) -> None:
    t = run_airtime(_work(down_bits=20e6, compute_s=3.0, end_s=end_s), _flat())
    assert (t.down_s[0], t.compute_s[0], t.up_s[0]) == seconds
    assert (t.down_bits[0], t.up_bits[0]) == bits
    assert not t.done[0]
    assert t.end_s[0] == end_s


def test_an_upload_that_ends_with_the_contact_is_done() -> None:
    assert run_airtime(_work(end_s=2.0), _flat()).done[0]


def test_a_cut_vehicle_gives_its_bandwidth_back() -> None:
    # Shared to 2 s (5 Mbit each), then B has 5 Mbit alone: 3 s.
    t = run_airtime(_work(2, end_s=[2.0, 100.0]), _flat(2))
    assert t.done.tolist() == [False, True]
    assert t.end_s.tolist() == [2.0, 3.0]


def test_nothing_to_do_is_done_at_once() -> None:
    t = run_airtime(_work(up_bits=0.0, start_s=3.0), _flat())
    assert t.done[0]
    assert t.end_s[0] == 3.0


def test_no_rows_give_an_empty_timeline() -> None:
    t = run_airtime(_work(0), Capacity(np.empty((0, 2)), np.empty((0, 2)), np.empty((0, 2))))
    assert all(len(getattr(t, f.name)) == 0 for f in fields(t))


def test_a_newcomer_may_help_a_third_by_holding_up_a_second() -> None:
    # Why "another upload never helps" is claimed below for a single phase only. 10 Mbit/s both ways.
    # Without A: B downloads 10 Mbit to 1 s, computes to 2 s, then shares its 10 Mbit upload with C, which
    # starts 10 Mbit at 2 s: both end at 4 s. With A downloading beside B, B comes to upload at 3 s only,
    # and C has the channel alone until then: it ends at 3 s.
    rows = {
        "down_bits": [10e6, 10e6, 0.0],
        "compute_s": [0.0, 1.0, 0.0],
        "up_bits": [0.0, 10e6, 10e6],
        "start_s": [0.0, 0.0, 2.0],
    }
    with_a = run_airtime(_work(3, **rows), _flat(3, up_bps=10e6))
    without = run_airtime(_work(2, **{k: v[1:] for k, v in rows.items()}), _flat(2, up_bps=10e6))
    assert without.end_s.tolist() == pytest.approx([4.0, 4.0])
    assert with_a.end_s.tolist() == pytest.approx([2.0, 4.0, 3.0])


# --- laws -------------------------------------------------------------------------------------------

HORIZON_S = 20.0
few = st.integers(0, 8)


@st.composite
def scenes(draw: st.DrawFn, phases: int = 3) -> tuple[Work, Capacity]:
    """A few vehicles in a few RSUs with rates that change, vanish and return; bits in megabits."""
    n, k = draw(st.integers(1, 6)), draw(st.integers(2, 6))

    def column(elements: st.SearchStrategy[float]) -> np.ndarray:
        return np.array(draw(st.lists(elements, min_size=n, max_size=n)), dtype=float)

    def table(elements: st.SearchStrategy[float]) -> np.ndarray:
        return np.array(draw(st.lists(elements, min_size=n * k, max_size=n * k)), dtype=float).reshape(n, k)

    t = np.cumsum(table(st.floats(0.05, 3.0)), axis=1)
    t = (t - t[:, :1]) / (t[:, -1:] - t[:, :1]) * HORIZON_S
    start = column(st.floats(0, HORIZON_S))
    end = start + column(st.floats(0, 1)) * (HORIZON_S - start)
    rates = st.one_of(st.just(0.0), st.floats(0.1, 9.0))
    down, up = (np.cumsum(table(rates), axis=1) for _ in range(2))
    capacity = Capacity(t, (down - down[:, :1]) * 1e6, (up - up[:, :1]) * 1e6)
    mbits = st.one_of(st.just(0.0), st.floats(0.01, 8.0))
    work = Work(
        group=column(st.integers(0, 2)),
        start_s=start,
        down_bits=column(mbits) * 1e6 if phases == 3 else np.zeros(n),
        compute_s=column(st.one_of(st.just(0.0), st.floats(0.01, 6.0))) if phases == 3 else np.zeros(n),
        up_bits=column(mbits) * 1e6,
        end_s=end,
    )
    return work, capacity


def _take(scene: tuple[Work, Capacity], rows: np.ndarray) -> tuple[Work, Capacity]:
    def taken(part: Work | Capacity) -> Work | Capacity:
        columns = {f.name: getattr(part, f.name) for f in fields(part)}
        return type(part)(**{name: column[rows] for name, column in columns.items() if column is not None})

    return tuple(taken(part) for part in scene)


def _same(one: Timeline, two: Timeline) -> None:
    for column in fields(one):
        assert np.array_equal(getattr(one, column.name), getattr(two, column.name)), column.name


@given(scenes())
@settings(max_examples=200)
def test_agrees_with_the_slow_walk_from_knot_to_knot(scene: tuple[Work, Capacity]) -> None:
    work, _ = scene
    t = run_airtime(*scene)
    for i, row in enumerate(play(*scene)):
        assert (t.down_s[i], t.compute_s[i], t.up_s[i]) == pytest.approx(tuple(row.spent), abs=1e-5)
        assert (t.down_air_s[i], t.up_air_s[i]) == pytest.approx((row.air[0], row.air[2]), abs=1e-5)
        assert t.end_s[i] == pytest.approx(row.stop_s, abs=1e-5)
        moved = (work.down_bits[i] - row.left[0], work.up_bits[i] - row.left[2])
        assert (t.down_bits[i], t.up_bits[i]) == pytest.approx(moved, abs=50.0)
        assert bool(t.done[i]) == row.done or t.end_s[i] == pytest.approx(work.end_s[i], abs=1e-5)


@given(scenes())
def test_what_is_asked_is_moved_or_cut(scene: tuple[Work, Capacity]) -> None:
    work, _ = scene
    t = run_airtime(*scene)
    assert np.array_equal(t.down_bits[t.done], work.down_bits[t.done])
    assert np.array_equal(t.up_bits[t.done], work.up_bits[t.done])
    assert (t.down_bits <= work.down_bits).all()
    assert (t.up_bits <= work.up_bits).all()
    assert np.array_equal(t.end_s[~t.done], work.end_s[~t.done])
    assert (t.end_s <= work.end_s).all()
    assert t.down_s + t.compute_s + t.up_s == pytest.approx(t.end_s - work.start_s, abs=1e-9)


@given(scenes())
def test_bits_moved_are_air_times_rate_when_rates_are_constant(scene: tuple[Work, Capacity]) -> None:
    work, _ = scene
    n = len(work.group)
    down_bps, up_bps = np.arange(1, n + 1) * 1e6, np.arange(n, 0, -1) * 5e5
    t = run_airtime(work, Capacity.constant(np.zeros(n), HORIZON_S, down_bps, up_bps))
    assert t.down_bits == pytest.approx(down_bps * t.down_air_s, abs=1e-2)
    assert t.up_bits == pytest.approx(up_bps * t.up_air_s, abs=1e-2)


@given(scenes())
def test_air_of_an_rsu_adds_up_to_the_time_its_channel_is_in_use(scene: tuple[Work, Capacity]) -> None:
    work, _ = scene
    t = run_airtime(*scene)
    for group in np.unique(work.group):
        rows = np.flatnonzero(work.group == group)
        spans = [(work.start_s[i], work.start_s[i] + t.down_s[i]) for i in rows]
        spans += [(t.end_s[i] - t.up_s[i], t.end_s[i]) for i in rows]
        in_use, reached = 0.0, -np.inf
        for a, b in sorted(spans):
            in_use += max(b - max(a, reached), 0.0)
            reached = max(reached, b)
        assert (t.down_air_s + t.up_air_s)[rows].sum() == pytest.approx(in_use, abs=1e-8)


@given(scenes(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(scene: tuple[Work, Capacity], random: object) -> None:
    order = np.array(random.sample(range(len(scene[0].group)), len(scene[0].group)))
    shuffled, straight = run_airtime(*_take(scene, order)), run_airtime(*scene)
    _same(shuffled, Timeline(**{f.name: getattr(straight, f.name)[order] for f in fields(straight)}))


@given(scenes())
def test_the_same_scene_gives_the_same_timeline(scene: tuple[Work, Capacity]) -> None:
    _same(run_airtime(*scene), run_airtime(*scene))


@given(scenes(), few, st.floats(0.0, 5e6))
def test_more_bits_to_upload_never_end_sooner(
    scene: tuple[Work, Capacity], row: int, more_bits: float
) -> None:
    work, capacity = scene
    row %= len(work.group)
    heavier = work.up_bits.copy()
    heavier[row] += more_bits
    before, after = run_airtime(work, capacity), run_airtime(replace(work, up_bits=heavier), capacity)
    assert after.end_s[row] >= before.end_s[row] - 1e-9
    assert after.done[row] <= before.done[row]


@given(scenes(phases=1), few)
def test_another_upload_never_speeds_up_the_others(scene: tuple[Work, Capacity], row: int) -> None:
    n = len(scene[0].group)
    rest = np.flatnonzero(np.arange(n) != row % n)
    with_it, without = run_airtime(*scene), run_airtime(*_take(scene, rest))
    assert (with_it.end_s[rest] >= without.end_s - 1e-9).all()
    assert (with_it.up_bits[rest] <= without.up_bits + 1e-2).all()


@given(scenes())
def test_rsus_do_not_disturb_one_another(scene: tuple[Work, Capacity]) -> None:
    together = run_airtime(*scene)
    for group in np.unique(scene[0].group):
        rows = np.flatnonzero(scene[0].group == group)
        apart = run_airtime(*_take(scene, rows))
        _same(apart, Timeline(**{f.name: getattr(together, f.name)[rows] for f in fields(together)}))


# --- bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"up_bits": -1.0}, "up_bits holds negative"),
        ({"compute_s": np.nan}, "compute_s holds values that are not finite"),
        ({"end_s": -1.0}, "end_s lies before"),
    ],
)
def test_impossible_work_is_refused(columns: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _work(**columns)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="start_s must be a column as long"):
        Work(np.zeros(2, int), np.zeros(3), np.zeros(2), np.zeros(2), np.zeros(2), np.ones(2))


def test_capacity_must_fit_the_work() -> None:
    with pytest.raises(ValueError, match="capacity has 2 rows, work has 1"):
        run_airtime(_work(), _flat(2))
    with pytest.raises(ValueError, match="do not span"):
        run_airtime(_work(end_s=100.5), _flat())
