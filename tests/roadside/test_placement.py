"""Placements put RSUs where their name says, alike every time."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from fleetlora.errors import ConfigError, InputError
from fleetlora.roadside import PLACEMENTS, Corridor, Greedy, Grid, Placement, Points, Sites, find_contacts
from fleetlora.roadside.coverage import cover_table
from fleetlora.roadside.greedy import greedy_choice
from fleetlora.roadside.traffic import DIRECTIONS, Traffic
from fleetlora.traces import Tracks
from tests.roadside.worlds import Fix, tracks_of


def avenue(vehicles: int = 40, seed: int = 3) -> Tracks:
    """A busy avenue 6 km long and four quiet terminals far off it where many vehicles stand."""
    rng = np.random.default_rng(seed)
    fleet: list[list[list[Fix]]] = []
    for k in range(vehicles):
        begin, y = rng.uniform(0, 300), rng.uniform(-20, 20)
        xs = np.linspace(0, 6000, 31) if k % 2 else np.linspace(6000, 0, 31)
        fleet.append([[(begin + 20.0 * i, float(x), y) for i, x in enumerate(xs)]])
    for place in ((0, 5000), (6000, 5000), (0, -5000), (6000, -5000)):
        for _ in range(vehicles // 8):
            x, y = rng.normal(place, 30.0)
            fleet.append([[(0.0, x, y), (400.0, x, y), (900.0, x + 5, y)]])
    return tracks_of(*fleet)


def placements(folder: Path) -> dict[str, Placement]:
    points = folder / "points.csv"
    points.write_text("x_m,y_m\n" + "".join(f"{x},{y}\n" for x in range(0, 6001, 250) for y in (0, 5000)))
    return {
        "points": Points(path=str(points)),
        "grid": Grid(count=9),
        "greedy": Greedy(count=9),
        "corridor": Corridor(count=9, candidates=str(points)),
    }


@pytest.mark.parametrize("name", ["points", "grid", "greedy", "corridor"])
def test_every_placement_is_registered_and_gives_the_same_sites_every_time(tmp_path: Path, name: str) -> None:
    placement = placements(tmp_path)[name]
    assert PLACEMENTS.get(name) is type(placement)
    one, other = placement.place(avenue(), 400.0), placement.place(avenue(), 400.0)
    assert one.name.tolist() == other.name.tolist()
    assert np.array_equal(one.x_m, other.x_m)
    assert np.array_equal(one.y_m, other.y_m)
    assert len(one) == (50 if name == "points" else 9)
    assert len(set(one.name.tolist())) == len(one)


def test_all_placements_are_known_by_name() -> None:
    assert PLACEMENTS.names() == ["corridor", "greedy", "grid", "points", "sumo-junctions"]
    with pytest.raises(ConfigError, match="did you mean 'corridor'"):
        PLACEMENTS.get("corridors")


def test_traffic_adds_up_to_the_time_and_way_of_the_tracks() -> None:
    tracks = avenue()
    traffic = Traffic.of(tracks, 50.0)
    legs = tracks.legs()
    duration = legs.t1_s - legs.t0_s
    assert traffic.seconds.sum() == pytest.approx(duration.sum())
    assert traffic.metres.sum() == pytest.approx((np.hypot(legs.vx_mps, legs.vy_mps) * duration).sum())
    assert traffic.metres.argmax(axis=1)[traffic.metres.sum(axis=1) > 100].max() == 0  # east and west


def test_traffic_knows_the_direction_of_a_street() -> None:
    for b in range(DIRECTIONS):
        angle = b * np.pi / DIRECTIONS
        street = tracks_of([[(0, 0, 0), (100, 900 * np.cos(angle), 900 * np.sin(angle))]])
        assert np.argmax(Traffic.of(street, 50.0).metres.sum(axis=0)) == b


def test_traffic_does_not_depend_on_how_often_a_straight_drive_is_fixed() -> None:
    sparse = Traffic.of(tracks_of([[(0, 0, 0), (400, 4000, 0)]]), 50.0)
    dense = Traffic.of(tracks_of([[(k, 10.0 * k, 0) for k in range(401)]]), 50.0)
    np.testing.assert_allclose(sparse.seconds, dense.seconds, atol=1.01)


def test_parked_vehicles_count_only_if_wanted() -> None:
    tracks = avenue()
    parked = Tracks(**{**vars_of(tracks), "parked": np.abs(tracks.y_m) > 1000})
    assert (np.abs(Traffic.of(parked, 50.0, parked=False).y_m) < 1000).all()
    assert (np.abs(Traffic.of(parked, 50.0).y_m) > 1000).any()
    assert (np.abs(Corridor(count=5, handoff_value_s=0).place(parked, 400.0).y_m) < 1000).all()


def vars_of(tracks: Tracks) -> dict[str, object]:
    return {name: getattr(tracks, name) for name in Tracks.__dataclass_fields__}


def test_greedy_is_never_worse_than_its_bound_and_matches_the_slow_definition() -> None:
    rng = np.random.default_rng(5)
    traffic = Traffic.of(avenue(), 50.0)
    candidates = Sites.of(
        rng.uniform(0, 6000, 14), rng.choice([0.0, 5000.0, -5000.0], 14) + rng.normal(0, 99, 14)
    )
    table = cover_table(traffic, candidates, 600.0)
    covers = np.hypot(candidates.x_m[:, None] - traffic.x_m, candidates.y_m[:, None] - traffic.y_m) <= 600.0

    def covered(chosen: tuple[int, ...]) -> float:
        return float(traffic.seconds[covers[list(chosen)].any(axis=0)].sum())

    slow: list[int] = []
    for _ in range(4):
        slow.append(max((c for c in range(14) if c not in slow), key=lambda c: covered((*slow, c))))
    chosen = greedy_choice(table, 4).tolist()
    assert covered(tuple(chosen)) == pytest.approx(covered(tuple(slow)))
    best = max(map(covered, itertools.combinations(range(14), 4)))
    assert covered(tuple(chosen)) >= (1 - 1 / np.e) * best


def test_corridor_hands_vehicles_on_where_greedy_spreads_its_sites() -> None:
    tracks = avenue()
    handoffs = {}
    for kind in (Greedy, Corridor):
        sites = kind(count=8).place(tracks, 400.0)
        handoffs[kind] = find_contacts(tracks, sites, 400.0, 1.2, 0.256).n_handoffs
    assert handoffs[Corridor] > 100
    assert handoffs[Corridor] > 5 * handoffs[Greedy]


def test_corridor_keeps_its_sites_apart_and_in_a_chain() -> None:
    sites = Corridor(count=8, min_spacing=1.0).place(avenue(), 400.0)
    apart = np.hypot(sites.x_m[:, None] - sites.x_m, sites.y_m[:, None] - sites.y_m)
    np.fill_diagonal(apart, np.inf)
    assert (apart >= 400.0).all()
    on_avenue = np.sort(sites.x_m[np.abs(sites.y_m) < 400])
    assert len(on_avenue) >= 4
    assert (np.diff(on_avenue) <= 1.4 * 400.0).all()


def test_corridor_without_worth_of_handoffs_is_greedy_with_a_distance() -> None:
    tracks = avenue()
    plain = Corridor(count=6, handoff_value_s=0.0, parked=True, min_spacing=0.01).place(tracks, 400.0)
    greedy = Greedy(count=6).place(tracks, 400.0)
    assert set(plain.name.tolist()) == set(greedy.name.tolist())


def test_grid_has_the_spacing_it_is_given_and_covers_traffic_only() -> None:
    sites = Grid(spacing_m=500.0).place(avenue(), 400.0)
    xs, ys = np.unique(sites.x_m.round(6)), np.unique(sites.y_m.round(6))
    assert (np.diff(xs).round(6) % 500.0 == 0).all()
    assert (np.diff(ys).round(6) % 500.0 == 0).all()
    assert len(sites) < len(xs) * len(ys)


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_grid_of_a_count_has_that_many(count: int) -> None:
    assert len(Grid(count=count).place(avenue(), 400.0)) == count


def test_points_can_drop_places_without_traffic(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("name,x_m,y_m\nnear,3000,100\nfar,3000,3000\n")
    assert Points(path=str(path)).place(avenue(), 400.0).name.tolist() == ["near", "far"]
    assert Points(path=str(path), drop_far=True).place(avenue(), 400.0).name.tolist() == ["near"]


def test_points_that_cover_no_traffic_are_refused_with_the_distance(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("x_m,y_m\n3000,2000\n")
    for placement in (Points(path=str(path)), Greedy(count=1, candidates=str(path))):
        with pytest.raises(InputError, match=r"none of the 1 points covers any traffic: .* 1,9\d\d m"):
            placement.place(avenue(), 400.0)


def test_more_sites_than_candidates_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("x_m,y_m\n3000,0\n0,0\n")
    with pytest.raises(ConfigError, match=r"sites.count: 3 RSUs .* only 2 candidate"):
        Greedy(count=3, candidates=str(path)).place(avenue(), 400.0)


def test_more_sites_than_fit_at_the_spacing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("x_m,y_m\n3000,0\n3100,0\n0,0\n")
    with pytest.raises(ConfigError, match=r"only 2 RSUs fit at least 320 m apart, 3"):
        Corridor(count=3, candidates=str(path)).place(avenue(), 400.0)


def test_tracks_without_a_leg_cannot_be_placed_by() -> None:
    with pytest.raises(InputError, match="no movement"):
        Greedy(count=1).place(tracks_of([[(0, 0, 0)]]), 400.0)


def test_coverage_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="coverage_m"):
        Greedy(count=1).place(avenue(), 0.0)


def test_options_are_checked() -> None:
    for wrong in ({}, {"count": 3, "spacing_m": 10.0}, {"spacing_m": 0.0}):
        with pytest.raises(ValidationError):
            Grid(**wrong)
    with pytest.raises(ValidationError, match="count"):
        Greedy(count=0)
    with pytest.raises(ValidationError, match="min_spacing"):
        Corridor(count=3, min_spacing=0.0)


def test_traffic_is_the_same_however_many_fixes_are_summed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    ways = [[(10.0 * k, *rng.uniform(0, 3000, 2)) for k in range(40)] for _ in range(8)]
    tracks = tracks_of(*([way] for way in ways))
    whole = Traffic.of(tracks, 50.0)
    monkeypatch.setattr("fleetlora.roadside.traffic._FIXES", 7)
    parts = Traffic.of(tracks, 50.0)
    np.testing.assert_array_equal(parts.x_m, whole.x_m)
    np.testing.assert_array_equal(parts.y_m, whole.y_m)
    np.testing.assert_allclose(parts.seconds, whole.seconds)
    np.testing.assert_allclose(parts.metres, whole.metres)
