"""Small fixes and tracks for the tests of this folder."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from fleetlora.traces import Cleaning, RawFixes, Tracks
from tests.large import LARGE

DATA = LARGE / "traces"

#: Keeps everything that can be kept.
LENIENT = Cleaning(max_speed_mps=1e6, gap_s=1e6, min_fixes=2)


def raw(
    rows: list[tuple[str, float, float, float]], crs: str = "local", piece: list[int] | None = None
) -> RawFixes:
    """Return fixes of rows (vehicle, t, x, y)."""
    return RawFixes(
        vehicle=np.array([row[0] for row in rows], dtype=np.str_),
        t_s=np.array([row[1] for row in rows], dtype=np.float64),
        x=np.array([row[2] for row in rows], dtype=np.float64),
        y=np.array([row[3] for row in rows], dtype=np.float64),
        crs=crs,
        origin="made",
        name="made",
        piece=None if piece is None else np.array(piece, dtype=np.int64),
    )


def line(vehicle: str, t: list[float], x: list[float]) -> list[tuple[str, float, float, float]]:
    """Return rows of a vehicle that drives along the x axis."""
    return [(vehicle, a, b, 0.0) for a, b in zip(t, x, strict=True)]


def same_tracks(a: Tracks, b: Tracks, atol: float = 0.0) -> bool:
    """Return whether two tracks are equal, positions and times within ``atol``."""
    exact = ("vehicle_ids", "offsets", "new_piece", "parked")
    close = ("t_s", "x_m", "y_m", "epoch_s")
    return (
        all(np.array_equal(getattr(a, k), getattr(b, k)) for k in exact)
        and all(np.allclose(getattr(a, k), getattr(b, k), rtol=0.0, atol=atol) for k in close)
        and (a.crs, a.name) == (b.crs, b.name)
    )


@st.composite
def raw_fixes(draw: st.DrawFn, max_vehicles: int = 3, max_fixes: int = 25) -> RawFixes:
    """Draw fixes with dirt: out of order, repeated, at impossible places, with gaps."""
    rows = []
    for vehicle in range(draw(st.integers(1, max_vehicles))):
        n = draw(st.integers(2, max_fixes))
        steps = draw(st.lists(st.sampled_from([0, 1, 10, 30, 60, 400]), min_size=n, max_size=n))
        moves = draw(
            st.lists(st.sampled_from([0.0, 5.0, 100.0, 900.0, -900.0, 50_000.0]), min_size=n, max_size=n)
        )
        t, x = np.cumsum(steps).astype(float), np.cumsum(moves)
        rows += line(f"v{vehicle}", t.tolist(), x.tolist())
    return raw(draw(st.permutations(rows)))


@st.composite
def tracks(draw: st.DrawFn, max_vehicles: int = 3, max_fixes: int = 12) -> Tracks:
    """Draw tracks with pieces, of whole and broken numbers."""
    ids, t, x, y, new, parked, offsets = [], [], [], [], [], [], [0]
    for vehicle in range(draw(st.integers(1, max_vehicles))):
        n = draw(st.integers(2, max_fixes))
        steps = draw(st.lists(st.floats(1e-3, 100.0), min_size=n, max_size=n))
        place = st.floats(-1e4, 1e4).map(lambda v: round(v, 3))
        ids.append(f"bus {vehicle}")
        t += np.cumsum(steps).tolist()
        x += draw(st.lists(place, min_size=n, max_size=n))
        y += draw(st.lists(place, min_size=n, max_size=n))
        new += [True, *draw(st.lists(st.booleans(), min_size=n - 1, max_size=n - 1))]
        parked += draw(st.lists(st.booleans(), min_size=n, max_size=n))
        offsets.append(len(t))
    columns = (np.array(v) for v in (t, x, y, new, parked))
    return Tracks(np.array(ids), np.array(offsets), *columns, epoch_s=1.6e9, crs="EPSG:32634", name="drawn")
