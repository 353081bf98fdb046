"""From real runs to a curve, and from the curve to runs that say what they are."""

from __future__ import annotations

import copy
import json
import math
import re
import shlex
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tomli_w

import fleetlora
from fleetlora.curves import Costs, Curves, base_of, fit_curves, read_curves
from fleetlora.curves.recorded import read_runs
from fleetlora.errors import ConfigError, InputError
from fleetlora.federation.curve_learner import costs_at
from fleetlora.federation.learner import Jobs, Learned
from fleetlora.federation.lora_learner import LoraLearner
from fleetlora.records import ARRIVED, Run, open_run
from tests.tiny import stopped


def _values(tiny: dict[str, Any], **changes: Any) -> dict[str, Any]:
    values = copy.deepcopy(tiny)
    values["round"] = {"count": 8, "period_s": 20.0, "sync_every": 1, "patience": 3.0}
    values["evaluation"] = {"every": 1, "head_only": False, "tail": 0.3}
    return {**values, **changes}


@pytest.fixture(scope="module")
def real(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods, two seeds, really trained."""
    folder = tmp_path_factory.mktemp("real")
    for method in ("random", "homolora-2"):
        for seed in (0, 1):
            fleetlora.run(_values(tiny), folder / f"{method}-{seed}", method=method, seed=seed, report=False)
    return folder


@pytest.fixture(scope="module")
def curves(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("curve") / "curve.json"
    fit_curves([real], path)
    return path


def _curve_run(tiny: dict[str, Any], curves: Path, out: Path, **options: Any) -> Run:
    values = _values(tiny, learner={"kind": "curve", "curve": str(curves)})
    return fleetlora.run(values, out, report=False, **options)


def test_curve_is_read_back_as_it_was_fitted(curves: Path) -> None:
    read: Curves = read_curves(curves)
    assert set(read.tasks) == {"signs", "turns"} == set(read.error_points)
    held = read.document["held_out"]["signs"]
    assert {(one["method"], one["seed"]) for one in held} == {
        (method, seed) for method in ("random", "homolora-2") for seed in (0, 1)
    }
    assert read.error_points["signs"] == pytest.approx(
        np.mean([100 * abs(one["predicted"] - one["recorded"]) for one in held]), abs=0.01
    )


def test_recorded_costs_are_those_of_the_real_learner(tiny: dict[str, Any], real: Path, curves: Path) -> None:
    updates = open_run(real / "random-0").updates
    recipe = next(iter(read_curves(curves).tasks["signs"].recipes.values()))
    sizes = dict(zip(updates["rank"].to_list(), updates["bytes_up"].to_list(), strict=True))
    assert dict(zip(recipe.costs.ranks, recipe.costs.bytes_up, strict=True)) == {
        rank: sizes[rank] for rank in sorted(sizes)
    }


def test_the_fit_reads_the_step_sizes_that_the_run_trained_with(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, progress = LoraLearner.train, {}

    def noted(self: LoraLearner, task: int, round: int, jobs: Jobs, over: float) -> Learned:
        progress[task, round] = over
        return train(self, task, round, jobs, over)

    monkeypatch.setattr(LoraLearner, "train", noted)
    values = _values(tiny, budget={"total_j": 1.5})
    values["round"] |= {"count": 40, "period_s": 4.0, "patience": 1.2, "patience_floor_s": 0.01}
    values["training"] = {**values["training"], "rate_end": 0.1}
    run = fleetlora.run(values, tmp_path / "run", method="random", report=False)
    by_joules = 0
    for task, (recorded,) in enumerate(read_runs([run]).values()):
        updates = run.updates.filter((pl.col("task") == run.tasks[task]) & (pl.col("outcome") == "delivered"))
        number = updates.sort("round")["round"].to_list()
        assert recorded.work.rate == pytest.approx([1.0 - 0.9 * progress[task, n] for n in number])
        by_joules += sum(progress[task, n] > (n + 1) / values["round"]["count"] for n in number)
    assert by_joules > 0, "joules ran ahead of the rounds"


@pytest.mark.parametrize(
    ("file", "keys", "value", "words"),
    [
        ("result.json", ("host", "versions", "fleetlora"), "0.1.0", "whose step sizes fell with time alone"),
        ("config.toml", ("attack", "kind"), "sign-flip", "attack.kind is 'sign-flip'"),
        ("config.toml", ("privacy", "noise_multiplier"), 0.5, "privacy.noise_multiplier is 0.5"),
    ],
)
def test_a_run_that_a_curve_cannot_learn_from_is_refused(
    real: Path, tmp_path: Path, file: str, keys: tuple[str, ...], value: Any, words: str
) -> None:
    shutil.copytree(real / "random-0", tmp_path / "run")
    path = tmp_path / "run" / file
    document = (json if file.endswith("json") else tomllib).loads(path.read_text("utf-8"))
    inner = document
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
    inner[keys[-1]] = value
    path.write_text(json.dumps(document) if file.endswith("json") else tomli_w.dumps(document), "utf-8")
    with pytest.raises(InputError, match=words):
        fit_curves([tmp_path / "run"], tmp_path / "curve.json")


def test_a_curves_run_says_so_and_leaves_no_adapter(
    tiny: dict[str, Any], curves: Path, tmp_path: Path
) -> None:
    run = _curve_run(tiny, curves, tmp_path / "run", method="random", seed=5)
    assert run.result["learner"]["kind"] == "curve"
    assert run.result["learner"]["error_points"] == dict(read_curves(curves).error_points)
    assert not (run.path / "adapters").exists()
    assert 0.0 < run.result["mean_accuracy"] < 1.0
    fleetlora.run(_values(tiny), tmp_path / "trained", seed=5, report=False)
    assert "learner" not in open_run(tmp_path / "trained").result


def test_a_curves_run_moves_the_same_vehicles_and_joules(
    tiny: dict[str, Any], curves: Path, real: Path, tmp_path: Path
) -> None:
    """A policy that does not look at rewards does in both worlds exactly the same."""
    trained = open_run(real / "random-0").updates
    moved = _curve_run(tiny, curves, tmp_path / "run", method="random", seed=0).updates
    columns = ["round", "vehicle", "rank", "steps", "samples", "bytes_up", "outcome"]
    assert moved.select(columns).equals(trained.select(columns))
    assert moved["joules"].to_numpy() == pytest.approx(trained["joules"].to_numpy(), rel=1e-6)


#: A curve on which it counts who sent what, how often, when, and how many of them together.
STEEP = {
    "contribution": {"rank": 0.5, "steps": 0.5, "samples": 0.3, "rate": 0.4, "again": 0.6, "together": 0.8},
    "accuracy": {"start": 0.2, "end": 0.8, "scale": 40.0, "power": 0.7},
    "loss": {"start": 1.1, "end": 0.3, "scale": 30.0, "power": 0.9},
    "unsettled": 0.04,
}


def test_a_curves_run_learns_what_the_formula_says_of_its_updates(
    tiny: dict[str, Any], curves: Path, real: Path, tmp_path: Path
) -> None:
    """The updates of ``random-0``, on a steep curve and with steps that shrink to a tenth over 8 rounds."""
    document = json.loads(curves.read_text("utf-8"))
    document["base"]["training.rate_end"] = 0.1
    for task in document["tasks"].values():
        task |= STEEP
    path = tmp_path / "curve.json"
    path.write_text(json.dumps(document), "utf-8")
    training = {**tiny["training"], "rate_end": 0.1}
    run = _curve_run({**tiny, "training": training}, path, tmp_path / "run", method="random", seed=0)
    trained = open_run(real / "random-0")
    for task, (recorded,) in read_runs([trained]).items():
        curve = read_curves(path).tasks[task]
        recipe = curve.recipes[recorded.recipe]
        came = trained.updates.filter((pl.col("task") == task) & pl.col("outcome").is_in(ARRIVED))
        rate = 1.0 - 0.9 * came.sort("round")["round"].to_numpy() / 8
        contributed = curve.contribution.of(replace(recorded.work, rate=rate), recipe.factor)
        mass = np.cumsum(np.bincount(recorded.sync, contributed) ** 0.8)
        mean_rate = np.bincount(recorded.sync, rate) / np.bincount(recorded.sync)
        tails = [slice(merged - math.ceil(0.3 * merged), merged) for merged in recorded.test_sync.tolist()]
        assert max(tail.stop - tail.start for tail in tails) == 3
        masses, rates = (np.array([column[tail].mean() for tail in tails]) for column in (mass, mean_rate))
        expected = {
            "accuracy": curve.accuracy.at(masses, recipe.accuracy_shift) - 0.04 * rates,
            "loss": curve.loss.at(masses, recipe.loss_shift),
        }
        rounds = run.rounds.filter((pl.col("task") == task) & pl.col("accuracy").is_not_null()).sort("round")
        for name, values in expected.items():
            tested = [*rounds[name].to_list(), run.result["tasks"][task][name]]
            assert tested == pytest.approx(values, rel=1e-6), name


def test_a_curves_run_resumes_to_the_same_digest(
    tiny: dict[str, Any], curves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = {"kind": "curve", "curve": str(curves)}
    values = _values(tiny, learner=learner, checkpoint={"every": 1, "share": 1e9})
    whole = fleetlora.run(values, tmp_path / "whole", report=False)
    stopped(values, tmp_path / "cut", 3, monkeypatch)
    assert fleetlora.resume(tmp_path / "cut", report=False).result["digest"] == whole.result["digest"]


def test_comparison_with_a_curve_is_labelled_everywhere(
    tiny: dict[str, Any], curves: Path, tmp_path: Path
) -> None:
    from fleetlora.comparison import compare

    values = _values(tiny, learner={"kind": "curve", "curve": str(curves)})
    done = compare(values, ("random", "homolora-2"), (0,), tmp_path / "out", jobs=1)
    assert done.document["learner"]["kind"] == "curve"
    for name in ("report.html", "comparison.tex"):
        assert "not trained" in (tmp_path / "out" / name).read_text("utf-8"), name
    assert (tmp_path / "out" / "comparison.csv").read_text("utf-8").splitlines()[0].endswith(",learner")


def test_runs_of_a_curve_that_was_refitted_to_the_same_path_are_not_kept(
    tiny: dict[str, Any], curves: Path, tmp_path: Path
) -> None:
    from fleetlora.comparison import compare

    path = tmp_path / "curve.json"
    path.write_bytes(curves.read_bytes())
    values = _values(tiny, learner={"kind": "curve", "curve": str(path)})
    before = compare(values, ("random",), (0,), tmp_path / "out", report=False).document["learner"]
    refitted = json.loads(path.read_text("utf-8"))
    refitted["error_points"]["signs"] += 1.0
    path.write_text(json.dumps(refitted), "utf-8")
    after = read_curves(path).checksum
    with pytest.raises(
        ConfigError, match=f"has '{before['sha256']}', this comparison wants '{after}'"
    ) as told:
        compare(values, ("random", "homolora-2"), (0,), tmp_path / "out", report=False)
    assert str(told.value.where).endswith("learner.sha256")
    again = compare(values, ("random",), (0,), tmp_path / "out", report=False, overwrite=True)
    assert again.document["learner"]["sha256"] == after


def test_costs_between_recorded_ranks_lie_on_their_line() -> None:
    costs = Costs((2, 8), (100, 400), (120, 420), (10.0, 40.0), 9)
    got = costs_at(costs, np.array([2, 4, 16]))
    assert got.bytes_down.tolist() == [100, 200, 800]
    assert got.bytes_up.tolist() == [120, 220, 820]
    assert got.flops_per_step == pytest.approx([10.0, 20.0, 80.0])


def test_a_rank_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(ConfigError, match="never used rank 4"):
        costs_at(Costs((2,), (100,), (120,), (10.0,), 9), np.array([2, 4]))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"lora": {"ranks": [1, 2, 4], "alpha": 8.0}}, "lora.alpha"),
        (
            {"training": {"learning_rate": 0.02, "head_learning_rate": 0.05, "steps": 8}},
            "training.learning_rate",
        ),
    ],
)
def test_a_curve_of_another_experiment_is_refused(
    tiny: dict[str, Any], curves: Path, tmp_path: Path, changes: dict[str, Any], key: str
) -> None:
    values = _values(tiny, learner={"kind": "curve", "curve": str(curves)}, **changes)
    with pytest.raises(ConfigError, match="was fitted to runs with") as caught:
        fleetlora.run(values, tmp_path / "run", report=False)
    assert caught.value.where == key


def test_a_curve_of_other_tasks_is_refused(tiny: dict[str, Any], curves: Path, tmp_path: Path) -> None:
    values = _values(tiny, learner={"kind": "curve", "curve": str(curves)})
    values["tasks"][0]["name"] = "lights"
    with pytest.raises(ConfigError, match="was fitted to runs with") as caught:
        fleetlora.run(values, tmp_path / "run", report=False)
    assert str(caught.value.where).startswith("tasks.")


def test_a_file_of_texts_is_known_by_its_name_wherever_it_lies(real: Path) -> None:
    config = open_run(real / "random-0").config

    def base(train: str | list[str]) -> dict[str, Any]:
        return base_of({**config, "tasks": [config["tasks"][0] | {"train": train}]})

    assert base("/here/texts.csv") == base("there/texts.csv") != base("/here/others.csv")
    assert base(["train", "val"]) != base(["train"])  # names of splits, not files


def test_a_method_the_curve_knows_nothing_of_is_refused(
    tiny: dict[str, Any], curves: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="was not fitted to runs with") as caught:
        _curve_run(tiny, curves, tmp_path / "run", method="hetlora")
    assert caught.value.where == "learner.curve"


def test_a_curve_is_not_fitted_to_runs_of_a_curve(tiny: dict[str, Any], curves: Path, tmp_path: Path) -> None:
    _curve_run(tiny, curves, tmp_path / "run", method="random")
    with pytest.raises(InputError, match="made with a curve"):
        fit_curves([tmp_path / "run"], tmp_path / "again.json")


def test_runs_of_different_training_make_no_curve(tiny: dict[str, Any], real: Path, tmp_path: Path) -> None:
    fleetlora.run(_values(tiny), tmp_path / "other", overrides=["lora.alpha=4.0"], report=False)
    with pytest.raises(InputError, match=r"lora\.alpha is 4\.0"):
        fit_curves([real, tmp_path / "other"], tmp_path / "curve.json")


def test_a_rule_whose_bytes_grow_is_refused_until_left_out(
    tiny: dict[str, Any], real: Path, tmp_path: Path
) -> None:
    fleetlora.run(_values(tiny), tmp_path / "flora", method="flora", report=False)
    with pytest.raises(InputError, match="--leave-out flora"):
        fit_curves([real, tmp_path / "flora"], tmp_path / "curve.json")
    fit_curves([real, tmp_path / "flora"], tmp_path / "curve.json", leave_out=["flora"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "broken JSON"),
        ("[]", "is no curve"),
        ('{"schema": 1}', "is no curve"),
        ('{"schema": 9, "base": {}, "tasks": {}, "error_points": {}}', "newer fleetlora"),
        ('{"schema": 1, "base": {}, "tasks": {"a": {}}, "error_points": {}}', r"tasks\.a\.classes"),
    ],
)
def test_a_file_that_is_no_curve_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "curve.json"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=said):
        read_curves(path)


def test_a_curve_must_be_named_and_used(tiny: dict[str, Any], tmp_path: Path) -> None:
    for learner in ({"kind": "curve"}, {"kind": "lora", "curve": "curve.json"}):
        with pytest.raises(ConfigError, match=r"learner\.curve"):
            fleetlora.run(_values(tiny, learner=learner), tmp_path / "run", report=False)


def test_command_fits_and_says_how_far_off(call: Any, real: Path, tmp_path: Path) -> None:
    out = tmp_path / "curve.json"
    status, said, _ = call("fit-curve", real, "--out", out)
    assert status == 0
    assert "points on average, 4 runs held out" in said
    status, said, _ = call("fit-curve", real, "--out", out, "--json")
    assert (status, json.loads(said)["schema"]) == (0, 1)
    status, _, told = call("fit-curve", tmp_path / "none")
    assert status == 2
    assert "holds no finished run" in told


def test_documented_commands_work_one_after_the_other(
    call: Any, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of docs/curves.md, on a tiny experiment in the preset's place."""
    import tomli_w

    page = (Path(__file__).parents[2] / "docs" / "curves.md").read_text("utf-8")
    commands = re.findall(r"^    fleetlora ([^\n]*)$", page, flags=re.MULTILINE)
    assert len(commands) == 3
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(tomli_w.dumps(_values(tiny)), "utf-8")
    for command in commands:
        words = shlex.split(command.replace("warsaw-small", "tiny.toml"))
        words += {"compare": ["--jobs=1"], "run": ["--no-report"]}.get(words[0], [])
        status, _, told = call(*words, "--json")
        assert (status, told) == (0, ""), command
