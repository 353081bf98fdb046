"""What a run is measured by, taken from its tables by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fleetlora.comparison.measures import Curve, at_target, measured
from fleetlora.records import Run, RunIdentity, RunWriter, build_result, open_run
from tests.records.rows import contact_rows, ledger_rows, round_rows, update_rows


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two rounds of two tasks, and five updates, one of each outcome, of 1, 2, 4, 8 and 16 J."""
    identity = RunIdentity("ucb-dual", "warsaw", seed=3, vehicles=5, rsus=3)
    with RunWriter(tmp_path / "run", "seed = 3\n", identity) as writer:
        writer.append("rounds", round_rows())
        writer.append("updates", update_rows(joules=np.array([1.0, 2.0, 4.0, 8.0, 16.0])))
        writer.append("contacts", contact_rows())
        writer.append("ledger", ledger_rows())
        writer.finish(build_result(identity, writer.tables()))
    return open_run(tmp_path / "run")


def test_a_run_is_measured_by_its_tables(run: Run) -> None:
    got = measured(run)
    assert (got.method, got.seed) == ("ucb-dual", 3)
    each_once = dict.fromkeys(("early", "handed_off", "abandoned", "lost"), 1)
    assert dict(got.values) == pytest.approx(
        {
            "accuracy": (0.7 + 0.6) / 2,
            "latency_s": (30 + 40) / 2,
            "total_s": 70.0,
            "energy_j": 8.0 + 5.0,
            "wasted_j": 8.0 + 16.0,  # abandoned and lost
            "delivered_share": 3 / 5,  # delivered, early and handed off
            "rounds": 2,
            "started": 5,
            "arrived": 3,
            **each_once,
            "mean_rank": (1 + 2 + 4 + 8 + 16) / 5,
            "handoffs": 1,
            "residence_factor": 9 / 2,  # off by infinity, 9/1, 9/2, 9/3 and 9/4
            "overdraw_j": 0.0,
            "rsu_j": 0.5,
            "accuracy.a": 0.7,
            "energy_j.a": 8.0,
            "accuracy.b": 0.6,
            "energy_j.b": 5.0,
        }
    )


def test_a_curve_has_the_joules_of_all_tasks_where_all_were_tested_and_the_last_test(run: Run) -> None:
    """Round 0 ends after 30 s and 3 + 4 J; in round 1, which ends after 70 s and 8 + 5 J, one was tested."""
    curve = measured(run).curve
    np.testing.assert_allclose(curve.t_s, [30.0, 70.0])
    np.testing.assert_allclose(curve.joules, [7.0, 13.0])
    np.testing.assert_allclose(curve.accuracy, [0.55, 0.65])


@pytest.mark.parametrize(
    ("target", "time_s", "joules"), [(0.5, 2.0, 20.0), (0.6, 2.0, 20.0), (0.65, 3.0, 30.0), (0.9, None, None)]
)
def test_a_target_is_reached_at_the_first_point_that_is_not_below_it(
    target: float, time_s: float | None, joules: float | None
) -> None:
    curve = Curve(*(np.array(column) for column in ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0], [0.1, 0.6, 0.7])))
    assert at_target(curve, target) == {"time_to_target_s": time_s, "energy_to_target_j": joules}
