"""Association the slow way: a clock that ticks, and an inspector of finished contacts.

Both follow the rules word for word, one vehicle at a time, and share no code with the product.
"""

from __future__ import annotations

import itertools

import numpy as np

from fleetlora.roadside import Contacts
from fleetlora.traces import Tracks
from tests.roadside.worlds import World

Row = tuple[int, int, float, float, bool, int]  # vehicle, rsu, t_in, t_out, handoff, end


def pieces_of(tracks: Tracks) -> list[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    starts = [*np.flatnonzero(tracks.new_piece), tracks.n_fixes]
    vehicle = np.repeat(np.arange(tracks.n_vehicles), np.diff(tracks.offsets))
    return [
        (int(vehicle[a]), tracks.t_s[a:b], tracks.x_m[a:b], tracks.y_m[a:b])
        for a, b in itertools.pairwise(starts)
    ]


def distances(world: World, t: np.ndarray, x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Horizontal distance (times, sites)."""
    px, py = np.interp(at, t, x), np.interp(at, t, y)
    return np.hypot(px[:, None] - world.sites.x_m, py[:, None] - world.sites.y_m)


def tick(world: World, step_s: float) -> list[Row]:
    rows: list[Row] = []
    for vehicle, t, x, y in pieces_of(world.tracks):
        clock = np.append(np.arange(t[0], t[-1], step_s), t[-1])
        rows += _tick_piece(world, vehicle, clock, distances(world, t, x, y, clock))
    return rows


def _tick_piece(world: World, vehicle: int, clock: np.ndarray, away: np.ndarray) -> list[Row]:
    rows: list[Row] = []
    slant = np.hypot(away, world.height_m)
    serving, t_in, handoff = -1, 0.0, False
    since: dict[int, float] = {}

    def attach(now: float, site: int, by_handoff: bool) -> None:
        nonlocal serving, t_in, handoff
        serving, t_in, handoff = site, now, by_handoff
        since.clear()

    for now, d, d3 in zip(clock, away, slant, strict=True):
        if serving >= 0 and d[serving] > world.coverage_m:
            nearest = int(np.argmin(d))
            covered = d[nearest] <= world.coverage_m
            rows.append((vehicle, serving, t_in, now, handoff, 1 if covered else 0))
            attach(now, nearest if covered else -1, covered)
        elif serving < 0 and d.min() <= world.coverage_m:
            attach(now, int(np.argmin(d)), False)
        if serving < 0:
            continue
        for site in range(len(d)):
            if site != serving and d3[serving] > world.ratio * d3[site]:
                since.setdefault(site, now)
            else:
                since.pop(site, None)
        ready = [s for s, begin in since.items() if now - begin >= world.trigger_s and now > t_in]
        if ready:
            target = min(ready, key=lambda s: (since[s], d[s]))
            rows.append((vehicle, serving, t_in, now, handoff, 1))
            attach(now, target, True)
    if serving >= 0 and clock[-1] > t_in:
        rows.append((vehicle, serving, t_in, clock[-1], handoff, 2))
    return rows


def rows_of(contacts: Contacts) -> list[Row]:
    table = contacts.to_arrow().to_pylist()
    return [(r["vehicle"], r["rsu"], r["t_in_s"], r["t_out_s"], r["handoff"], r["end"]) for r in table]


def inspect(world: World, contacts: Contacts, step_s: float = 0.05, slack_m: float = 1e-6) -> None:
    """Assert that contacts keep every rule, looking at the tracks every ``step_s``."""
    rows = rows_of(contacts)
    for vehicle, t, x, y in pieces_of(world.tracks):
        mine = [row for row in rows if row[0] == vehicle and t[0] <= row[2] < t[-1]]
        _inspect_piece(world, mine, t, x, y, step_s, slack_m)
    assert sum(len(t) > 1 for _, t, _, _ in pieces_of(world.tracks)) or not rows


def _inspect_piece(
    world: World, rows: list[Row], t: np.ndarray, x: np.ndarray, y: np.ndarray, step_s: float, slack_m: float
) -> None:
    reach = world.coverage_m
    clock = np.union1d(np.linspace(t[0], t[-1], int((t[-1] - t[0]) / step_s) + 2), t)
    away = distances(world, t, x, y, clock)
    free = np.ones(len(clock), dtype=bool)
    for number, (_, rsu, t_in, t_out, handoff, end) in enumerate(rows):
        assert t_in < t_out
        inside = (clock >= t_in) & (clock <= t_out)
        free &= ~inside
        assert (away[inside, rsu] <= reach + slack_m).all()
        before = rows[number - 1] if number else None
        joined = before is not None and before[3] == t_in
        assert handoff == joined
        assert before is None or before[3] <= t_in
        assert not handoff or before[5] == 1
        d_in, d_out = distances(world, t, x, y, np.array([t_in, t_out]))
        if not handoff:
            assert d_in[rsu] <= d_in.min() + slack_m
            assert t_in == t[0] or abs(d_in[rsu] - reach) < slack_m
        _inspect_waiting(world, rsu, t_in, t_out, clock[inside], away[inside], step_s)
        if end == 2:
            assert t_out == t[-1]
        elif end == 0:
            assert abs(d_out[rsu] - reach) < slack_m
            assert (np.delete(d_out, rsu) >= reach - slack_m).all()
        else:
            after = rows[number + 1]
            assert after[4]
            assert after[2] == t_out
            assert after[1] != rsu
            at_edge = abs(d_out[rsu] - reach) < slack_m
            if not (at_edge and d_out[after[1]] <= np.delete(d_out, rsu).min() + slack_m):
                _inspect_trigger(world, rsu, after[1], t_in, t_out, t, x, y)
    assert (away[free] > reach - slack_m).all()


def _inspect_waiting(
    world: World, rsu: int, t_in: float, t_out: float, clock: np.ndarray, away: np.ndarray, step_s: float
) -> None:
    """No neighbour was better for longer than the time-to-trigger without a handoff."""
    slant = np.hypot(away, world.height_m)
    better = slant[:, [rsu]] > world.ratio * slant + 1e-6
    for site in range(better.shape[1]):
        begin = None
        for now, holds in zip(clock, better[:, site], strict=True):
            if site == rsu or not holds:
                begin = None
                continue
            begin = now if begin is None else begin
            assert now - begin <= world.trigger_s + 1e-6


def _inspect_trigger(
    world: World, rsu: int, to: int, t_in: float, t_out: float, t: np.ndarray, x: np.ndarray, y: np.ndarray
) -> None:
    """The neighbour was better for exactly the time-to-trigger, all of it since the vehicle attached."""
    begin = t_out - world.trigger_s
    assert begin >= t_in - 1e-6
    clock = np.linspace(begin, t_out, 50)
    slant = np.hypot(distances(world, t, x, y, clock), world.height_m)
    assert (slant[:, rsu] >= world.ratio * slant[:, to] - 1e-6).all()
