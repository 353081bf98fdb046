"""Comparisons from end to end on the tiny experiment: played once, resumed, refused, tuned."""

from __future__ import annotations

import copy
import json
import multiprocessing
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from fleetlora.comparison import Comparison, compare, compare_runs, open_comparison, tune
from fleetlora.comparison.plan import expand, pending, plan_jobs
from fleetlora.comparison.play import Processes
from fleetlora.config import load_experiment, to_toml
from fleetlora.console import Quiet
from fleetlora.errors import ConfigError, FleetLoraError, InputError
from fleetlora.tuning import GRID

METHODS = ("ucb-dual", "fixed", "random")


@pytest.fixture(scope="module")
def values(tiny: dict[str, Any]) -> dict[str, Any]:
    """Return the tiny experiment with a budget and two rounds."""
    made = copy.deepcopy(tiny)
    return {**made, "round": {"count": 2, "period_s": 30.0}, "budget": {"total_j": 2000.0}}


@pytest.fixture(scope="module")
def done(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compare(values, METHODS, (0, 1), tmp_path_factory.mktemp("comparison"))


def digests(comparison: Comparison) -> list[str]:
    return [run["digest"] for run in comparison.document["runs"]]


def test_a_comparison_leaves_its_files(done: Comparison) -> None:
    for name in ("comparison.json", "comparison.csv", "comparison.tex", "report.html"):
        assert (done.path / name).stat().st_size > 300
    assert list((done.path / "figures").glob("*.svg"))
    assert open_comparison(done.path).methods == METHODS
    assert "parts" not in done.document
    assert all(run["measures"]["overdraw_j"] == 0 for run in done.document["runs"])


def test_what_is_there_is_not_played_again(done: Comparison, values: dict[str, Any]) -> None:
    files = sorted(done.path.glob("runs/*/*/result.json"))
    assert len(files) == 6
    before = [file.stat().st_mtime_ns for file in files]
    again = compare(values, METHODS, (0, 1), done.path, report=False)
    assert [file.stat().st_mtime_ns for file in files] == before
    assert digests(again) == digests(done)


def test_a_run_that_was_interrupted_is_done_again(done: Comparison, values: dict[str, Any]) -> None:
    lost = done.path / "runs" / "fixed" / "seed-1" / "result.json"
    digest = json.loads(lost.read_text())["digest"]
    lost.unlink()
    again = compare(values, METHODS, (0, 1), done.path, report=False)
    assert json.loads(lost.read_text())["digest"] == digest
    assert digests(again) == digests(done)


@pytest.fixture
def kept(done: Comparison, tmp_path: Path) -> Path:
    """A copy of one complete run, where a comparison in ``tmp_path`` looks for it."""
    copy_of = tmp_path / "runs" / "fixed" / "seed-0"
    shutil.copytree(done.path / "runs" / "fixed" / "seed-0", copy_of)
    return copy_of


def test_a_run_of_another_version_is_refused_or_replaced(
    kept: Path, values: dict[str, Any], tmp_path: Path
) -> None:
    jobs = plan_jobs(values, ["fixed"], [0], tmp_path)
    assert pending(jobs) == []
    result = json.loads((kept / "result.json").read_text("utf-8"))
    result["host"]["versions"]["fleetlora"] = "0.0.1"
    (kept / "result.json").write_text(json.dumps(result), "utf-8")
    with pytest.raises(ConfigError, match=r"host\.versions\.fleetlora: the run there has '0\.0\.1'"):
        pending(jobs)
    assert pending(jobs, overwrite=True) == jobs


@pytest.mark.parametrize("left", [None, b"torn"])
def test_a_complete_run_without_a_whole_table_is_refused_or_replaced(
    kept: Path, values: dict[str, Any], tmp_path: Path, left: bytes | None
) -> None:
    table = kept / "updates.parquet"
    table.unlink() if left is None else table.write_bytes(left)
    jobs = plan_jobs(values, ["fixed"], [0], tmp_path)
    with pytest.raises(InputError, match="updates") as caught:
        pending(jobs)
    assert f"--overwrite, or remove {kept}" in str(caught.value)
    assert pending(jobs, overwrite=True) == jobs


def test_a_run_with_devices_in_another_order_is_refused_or_replaced(
    kept: Path, values: dict[str, Any], tmp_path: Path
) -> None:
    devices = load_experiment(values).model_dump(mode="json")["devices"]
    jobs = plan_jobs({**values, "devices": devices[::-1]}, ["fixed"], [0], tmp_path)
    with pytest.raises(ConfigError, match=r"seed-0: devices: the run there has \['"):
        pending(jobs)
    assert pending(jobs, overwrite=True) == jobs


def test_another_budget_is_refused_with_key_and_values(done: Comparison, values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        compare(values, METHODS, (0, 1), done.path, overrides=["budget.total_j=1500"])
    said = str(caught.value)
    assert "budget.total_j" in said
    assert "2000" in said
    assert "1500" in said


@pytest.mark.slow
def test_runs_side_by_side_come_out_as_one_after_the_other(
    done: Comparison, values: dict[str, Any], tmp_path: Path
) -> None:
    beside = compare(values, METHODS[:2], (0, 1), tmp_path, jobs=2, report=False)
    one_by_one = {(r["method"], r["seed"]): r["digest"] for r in done.document["runs"]}
    for run in beside.document["runs"]:
        assert run["digest"] == one_by_one[run["method"], run["seed"]]


@pytest.mark.slow
def test_workers_stay_from_one_comparison_to_the_next(
    done: Comparison, values: dict[str, Any], tmp_path: Path
) -> None:
    one_by_one = {(r["method"], r["seed"]): r["digest"] for r in done.document["runs"]}
    before = multiprocessing.active_children()
    with Processes(1) as workers:
        children = []
        for method in METHODS[:2]:
            found = compare(values, [method], (0,), tmp_path / method, executor=workers, report=False)
            assert digests(found) == [one_by_one[method, 0]]
            children.append([child.pid for child in multiprocessing.active_children() if child not in before])
        assert children[0] == children[1]
        assert len(children[0]) == 1


@pytest.mark.slow
def test_workers_that_an_error_stopped_refuse_further_runs(values: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way", "utf-8")
    with Processes(1) as workers:
        with pytest.raises(InputError):
            workers.play([replace(plan_jobs(values, ["fixed"], [0], tmp_path)[0], directory=file)], Quiet())
        with pytest.raises(FleetLoraError, match="stopped before") as caught:
            compare(values, ["fixed"], [0], tmp_path / "out", executor=workers, report=False)
    assert "new Processes" in str(caught.value)
    assert not (tmp_path / "out" / "comparison.json").exists()


def test_existing_runs_can_be_compared(done: Comparison, tmp_path: Path) -> None:
    runs = [done.path / "runs" / method / f"seed-{s}" for method in ("random", "fixed") for s in (0, 1)]
    got = compare_runs(runs, tmp_path, report=False)
    assert got.reference == "random"
    assert got.document["results"]["fixed"] == done.document["results"]["fixed"]


def test_homolora_stands_for_every_rank() -> None:
    assert expand(["ucb-dual", "homolora"], (1, 4)) == ["ucb-dual", "homolora-1", "homolora-4"]
    with pytest.raises(ConfigError, match="not one of the arms"):
        expand(["homolora-3"], (1, 4))


def test_options_of_the_methods_policy_can_be_set(values: dict[str, Any], tmp_path: Path) -> None:
    (job,) = plan_jobs(values, ["ucb-dual"], [0], tmp_path, ["policy.gain_latencies=0.5"])
    assert "gain_latencies = 0.5" in to_toml(job.experiment)
    with pytest.raises(ConfigError, match="gain_latencies"):
        plan_jobs(values, ["ucb-dual", "fixed"], [0], tmp_path, ["policy.gain_latencies=0.5"])


@pytest.mark.parametrize(
    "key", ["training.rate_factor=2", "training={rate_factor=2}", " training.rate_factor =4"]
)
def test_a_value_laid_over_what_is_tuned_is_refused_with_both(
    values: dict[str, Any], tmp_path: Path, key: str
) -> None:
    with pytest.raises(ConfigError, match=r"training.* over training\.rate_factor=1\.0 of fixed"):
        tune(values, ["fixed"], [5], tmp_path, overrides=[key])
    with pytest.raises(ConfigError, match=r"over policy\.step=0\.1 of ucb-dual"):
        plan_jobs(values, ["ucb-dual"], [0], tmp_path, ["policy.step=0.2"], {"ucb-dual": ["policy.step=0.1"]})
    plan_jobs(values, ["fixed"], [0], tmp_path, ["training.steps=2"], {"fixed": [GRID[0][0]]})


def test_unknown_methods_are_refused_with_the_nearest_name(values: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'ucb-dual'"):
        plan_jobs(values, ["ucb-duel"], [0], tmp_path)


@pytest.mark.parametrize(
    ("methods", "seeds", "overrides", "where"),
    [
        ([], [0], [], "--methods"),
        (["random"], [], [], "--seeds"),
        (["random", "random"], [0], [], "--methods"),
        (["random"], [0, 0], [], "--seeds"),
        (["random"], [0], ["seed=3"], "--set"),
    ],
)
def test_senseless_comparisons_are_refused(
    values: dict[str, Any],
    tmp_path: Path,
    methods: list[str],
    seeds: list[int],
    overrides: list[str],
    where: str,
) -> None:
    with pytest.raises(ConfigError) as caught:
        compare(values, methods, seeds, tmp_path, overrides=overrides)
    assert caught.value.where == where


@pytest.mark.slow
def test_tuning_chooses_among_the_same_settings_for_every_method(
    values: dict[str, Any], tmp_path: Path
) -> None:
    chosen = tune(values, ["fixed", "random"], [5], tmp_path / "tuning")
    scores = {m: one["scores"] for m, one in chosen.document["methods"].items()}
    assert len(scores["fixed"]) == len(scores["random"]) == len(GRID)
    for method, tried in scores.items():
        best = max(one["accuracy"] for one in tried)
        mine = next(one for one in tried if tuple(one["overrides"]) == chosen.chosen[method])
        assert mine["accuracy"] == best
    with pytest.raises(ConfigError, match="same tracks"):
        compare(values, ["fixed", "random"], [5], tmp_path / "out", tuned=chosen.path)
    with pytest.raises(ConfigError, match="has not been tuned"):
        compare(values, ["fixed", "greedy"], [6], tmp_path / "out", tuned=chosen.path)
    applied = compare(values, ["fixed", "random"], [6], tmp_path / "out", tuned=chosen.path, report=False)
    stored = load_experiment(tmp_path / "out" / "runs" / "fixed" / "seed-6" / "config.toml")
    assert f"training.rate_factor={stored.training.rate_factor}" in chosen.chosen["fixed"]
    assert applied.document["tuned"]["seeds"] == [5]


@pytest.mark.slow
def test_a_tuning_goes_on_from_what_an_earlier_one_chose(values: dict[str, Any], tmp_path: Path) -> None:
    first = tune(values, ["fixed"], [5], tmp_path / "steps", grid=(("training.rate_factor=2.0",),))
    grid = (("round.deadline_s=0.2",), ("round.deadline_s=20.0",))
    then = tune(values, ["fixed"], [4], tmp_path / "deadlines", grid=grid, tuned=first.path)
    (tried,) = (one["scores"] for one in then.document["methods"].values())
    assert [tuple(one["overrides"]) for one in tried] == [("training.rate_factor=2.0", *own) for own in grid]
    assert then.chosen["fixed"] in {("training.rate_factor=2.0", *own) for own in grid}
    for seen in (4, 5):
        with pytest.raises(ConfigError, match=f"same tracks with seed {seen}"):
            compare(values, ["fixed"], [seen], tmp_path / "out", tuned=then.path)
    played = compare(values, ["fixed"], [6], tmp_path / "out", tuned=then.path, report=False)
    assert played.document["tuned"]["seeds"] == [4, 5]
    (terms,) = played.document["method_terms"].values()
    assert f"round.deadline_s={terms['round.deadline_s']}" == then.chosen["fixed"][1]
    with pytest.raises(ConfigError, match="random has not been tuned"):
        tune(values, ["fixed", "random"], [5], tmp_path / "more", grid=grid, tuned=first.path)


@pytest.mark.slow
def test_the_command_compares_and_ends_in_its_report(
    values: dict[str, Any], tmp_path: Path, call: Any
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(tomli_w.dumps(values), "utf-8")
    command = ["compare", file, "--seeds", "0", "--jobs", "1"]
    status, said, complained = call(*command, "--methods", "ucb-dual,homolora-1", "--out", tmp_path / "out")
    assert status == 0, complained
    assert "report.html" in said
    status, _, complained = call(*command, "--methods", "nothing")
    assert status == 2
    assert "unknown method" in complained


def test_a_directory_without_a_comparison_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a comparison's directory"):
        open_comparison(tmp_path)
