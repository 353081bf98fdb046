"""The speed that docs/performance.md claims, in miniature: ratios on one machine, never seconds.

Every limit is at most a third of what was measured, so that only a real loss of speed breaks it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleetlora.bench import BENCHES
from fleetlora.bench.aggregate import Aggregate
from fleetlora.bench.contacts import ContactSpeed
from fleetlora.bench.policy import PolicySpeed
from fleetlora.bench.taxis import drawn_taxis
from fleetlora.bench.train import Shape, TrainSpeed
from fleetlora.console import Quiet


@pytest.mark.parametrize(
    ("name", "kind"),
    [("aggregate", Aggregate), ("contacts", ContactSpeed), ("policy", PolicySpeed), ("train", TrainSpeed)],
)
def test_benches_are_found_by_their_names(name: str, kind: type) -> None:
    assert BENCHES.get(name) is kind


def test_factors_are_several_times_faster_than_the_dense_svd_and_equal_to_it() -> None:
    bench = Aggregate(shapes=((640, 640),), vehicles=(6,), repeats=2)
    measured = bench.measure(Quiet())
    assert len(measured["cases"]) == len(list(bench.lines(measured))) == 2
    for case in measured["cases"]:
        assert case["ratio"] > 5
        assert case["error"] < 1e-5
        assert case["through_rsus"]["error"] < 1e-5


def test_exact_contacts_are_tens_of_times_faster_than_ticks_and_equal_within_them() -> None:
    bench = ContactSpeed(vehicles=300, fixes=150_000, duration_s=150_000.0, rsus=300, windows=4, ticks=50)
    measured = bench.measure(Quiet())
    taxis = measured["taxis"]
    assert measured["cabs"] is None
    assert taxis["ratio"] > 40
    assert taxis["contacts"] > 1000
    assert taxis["handoffs"] > 10
    assert taxis["ticking"]["compared"] == 4 * 50 * 300
    assert taxis["ticking"]["unlike"] <= 2
    assert next(bench.lines(measured)).startswith("taxis: ")


def test_a_fleet_decides_hundreds_of_times_faster_than_one_object_a_vehicle() -> None:
    pytest.importorskip("mabwiser", reason="needs the extra 'bench'")
    measured = PolicySpeed(vehicles=50_000, sample=50, repeats=3).measure(Quiet())
    assert measured["pooled, foresight"]["ratio"] > 300
    assert measured["a row a vehicle"]["ratio"] > 200


def test_a_large_fleet_costs_no_more_a_vehicle_than_a_small_one() -> None:
    def took(vehicles: int) -> dict[str, Any]:
        return PolicySpeed(vehicles=vehicles, rival=False, repeats=5).measure(Quiet())["pooled, foresight"][
            "select"
        ]

    assert took(200_000)["least_s"] / 200_000 < 3 * took(20_000)["least_s"] / 20_000


def test_a_cohort_trains_faster_than_a_loop_with_peft_and_to_the_same_mean() -> None:
    shape = Shape(name="small", tokens=8, vehicles=24)
    rivals = Path(__file__).parents[2] / "benchmarks" / "rivals"
    bench = TrainSpeed(shapes=(shape,), rivals=rivals, repeats=2, bfloat16=True)
    measured = bench.measure(Quiet())
    (case,) = measured["cases"]
    assert set(case["programs"]) == {"fleetlora", "with cache", "bfloat16", "PEFT loop"}
    assert case["programs"]["PEFT loop"]["error"] < 1e-5
    assert case["programs"]["with cache"]["error"] == 0
    assert case["programs"]["fleetlora"]["ratio"] > 1
    assert 0 < case["programs"]["fleetlora"]["gemm_share"] < 1
    half, whole = case["programs"]["bfloat16"], case["programs"]["with cache"]
    assert 0 < half["error"] < 0.1
    assert half["loss"] == pytest.approx(whole["loss"], rel=0.01)
    assert half["ratio"] > 0
    assert list(bench.lines(measured))[-1].startswith("pfl and Flower were not measured")


def test_drawn_taxis_are_as_many_as_asked_for_and_as_fast_as_t_drives() -> None:
    tracks = drawn_taxis(50, 50 * 1500, 604_800.0, seed=1)
    assert tracks.n_vehicles == 50
    assert tracks.n_fixes == 75_000
    assert tracks.duration_s <= 604_800.0
    legs = tracks.legs()
    assert (legs.t1_s - legs.t0_s).mean() == pytest.approx(177.0, rel=0.1)
    assert ((legs.t1_s - legs.t0_s) * abs(legs.vx_mps + 1j * legs.vy_mps)).mean() == pytest.approx(
        623.0, rel=0.15
    )
    assert (tracks.x_m >= 0).all()
    assert (tracks.x_m <= 40_000).all()
