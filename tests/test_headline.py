"""The tables of docs/results.md and README.md are those of the recorded results."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.comparison.synthetic import document

ROOT = Path(__file__).parents[1]
HEADLINE = ROOT / "benchmarks" / "headline"


def test_the_tables_on_the_page_are_those_of_the_recorded_results() -> None:
    done = subprocess.run([sys.executable, HEADLINE / "tables.py", "--check"], check=False)
    assert done.returncode == 0, "stale: python benchmarks/headline/tables.py"


def test_every_recorded_comparison_is_on_the_page() -> None:
    shown = set(re.findall(r"<!-- table ([\w-]+)", (ROOT / "docs" / "results.md").read_text("utf-8")))
    gathered = {"sensitivity": "sensitivity"}  # several files in one table
    for path in HEADLINE.glob("*.json"):
        if "results" in json.loads(path.read_text("utf-8")):
            kind, city = re.fullmatch(r"([a-z]+).*?-((?:warsaw|sf|ingolstadt).*)", path.stem).groups()
            assert {path.stem, f"{gathered.get(kind)}-{city}"} & shown, path.name


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that writes the tables, of results in a folder of their own."""
    spec = importlib.util.spec_from_file_location("tables", HEADLINE / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", tmp_path)
    return module


def record(folder: Path, name: str, found: dict[str, Any]) -> None:
    (folder / f"{name}.json").write_text(json.dumps(found), "utf-8")


def test_a_result_of_one_seed_has_tables_without_intervals(tables: ModuleType, tmp_path: Path) -> None:
    record(tmp_path, "main-warsaw", document(["ucb-dual", "homolora-4"], seeds=[0]))
    for name in ("main-warsaw", "main-warsaw/verdict"):
        assert " to +" not in tables._table(name)
        assert "homolora-4" in tables._table(name)


def test_a_verdict_has_students_intervals_also_of_results_recorded_without(
    tables: ModuleType, tmp_path: Path
) -> None:
    made = document(["ucb-dual", "homolora-4"], seeds=[0, 1, 2])
    one = made["differences"]["homolora-4"]["accuracy_points"]
    shown = f"{one['value']:+.1f} ({one['t_low']:+.1f} to {one['t_high']:+.1f})"
    for apart in (*made["differences"].values(), *made["results"].values()):
        for estimate in apart.values():
            del estimate["t_low"], estimate["t_high"]
    record(tmp_path, "main-warsaw", made)
    assert shown in tables._table("main-warsaw/verdict")
    assert "Student's" in tables._table("main-warsaw/verdict")


def test_a_difference_that_only_the_bootstrap_tells_from_none_has_a_dagger(tables: ModuleType) -> None:
    ends = {"value": 1.0, "low": 0.5, "high": 2.0}
    assert tables._signed({**ends, "t_low": -0.9, "t_high": 2.9}) == "+1.0 (+0.5 to +2.0)†"
    assert tables._signed({**ends, "t_low": 0.1, "t_high": 1.9}) == "+1.0 (+0.5 to +2.0)"
    assert tables._signed({**ends, "low": -0.1, "t_low": -0.9, "t_high": 2.9}) == "+1.0 (-0.1 to +2.0)"


def test_the_largest_overdraw_is_that_of_a_run_not_of_a_mean(tables: ModuleType, tmp_path: Path) -> None:
    made = document(["ucb-dual", "homolora-4"], seeds=[0, 1])
    made["runs"][1]["measures"]["overdraw_j"] = 3.0
    record(tmp_path, "main-warsaw", made)
    assert "largest overdraw of any run 3 J" in tables._table("main-warsaw")


def tuning(**scores: dict[str, float]) -> dict[str, Any]:
    """A tuning: by method the accuracy of each setting that was tried, the last of them chosen."""
    methods = {
        method: {
            "overrides": list(tried)[-1].split(),
            "scores": [{"overrides": setting.split(), "accuracy": value} for setting, value in tried.items()],
        }
        for method, tried in scores.items()
    }
    return {"seeds": [100], "methods": methods}


STEP_1, STEP_2 = "training.rate_factor=1.0", "training.rate_factor=2.0"
SHORT, LONG = "round.deadline_s=2.0", "round.deadline_s=30.0"


def test_step_sizes_stand_with_both_deadlines_and_the_best_is_bold(
    tables: ModuleType, tmp_path: Path
) -> None:
    tried = {f"{STEP_1} {LONG}": 0.6, f"{STEP_1} {SHORT}": 0.7, f"{STEP_2} {SHORT}": 0.8}
    record(tmp_path, "tuned-steps", tuning(a=tried, b={f"{STEP_2} {LONG}": 0.5}))
    lines = tables._table("tuned-steps").splitlines()
    assert lines[0] == "| method | 1× | 2× |"
    assert lines[2:4] == ["| a | 70.0 / 60.0 | **80.0** / – |", "| b | – | – / **50.0** |"]
    assert "deadlines of 2 s / 30 s" in lines[-1]


def test_deadlines_stand_with_the_step_size_they_were_tried_with(tables: ModuleType, tmp_path: Path) -> None:
    tried = {f"{STEP_2} {LONG}": 0.8, f"{STEP_2} {SHORT}": 0.796}
    record(tmp_path, "tuned-deadlines", tuning(a=tried))
    lines = tables._table("tuned-deadlines").splitlines()
    assert lines[0] == "| method | step size | 2 s | 30 s |"
    assert lines[2] == "| a | 2× | **79.6** | 80.0 |"


def test_constants_have_a_row_for_every_method_that_has_one(tables: ModuleType, tmp_path: Path) -> None:
    beneath = f"{STEP_1} {SHORT}"
    made = tuning(a={f"{beneath} policy.bonus=0.1": 0.7, f"{beneath} policy.bonus=0.03": 0.71})
    made["methods"]["b"] = {"overrides": beneath.split()}  # has no constant of its own
    quick = tuning(**{"ucb-dual-quick": {f"{STEP_2} policy.gain_latencies=2.7": 0.8}})
    made["methods"].update(quick["methods"])  # has a deadline of its own
    record(tmp_path, "tuned", made)
    assert tables._table("tuned").splitlines()[2:-2] == [
        "| a | 1×, 2 s | `policy.bonus` | 0.03: **71.0**, 0.1: 70.0 |",
        "| ucb-dual-quick | 2×, 1 s | `policy.gain_latencies` | 2.7: **80.0** |",
    ]
