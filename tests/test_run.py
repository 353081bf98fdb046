"""Whole runs of a tiny experiment through the public API: real tracks, real training, real files."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fleetlora
from fleetlora.errors import ConfigError, InputError
from fleetlora.federation.loop import Simulation


@pytest.fixture(scope="module")
def done(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> fleetlora.Run:
    return fleetlora.run(tiny, tmp_path_factory.mktemp("runs") / "one", seed=7)


def test_a_run_leaves_the_directory_that_tools_rely_on(done: fleetlora.Run) -> None:
    there = {str(path.relative_to(done.path)) for path in done.path.rglob("*") if path.is_file()}
    expected = {"config.toml", "result.json", "report.html", "log.txt"}
    expected |= {f"{table}.parquet" for table in ("rounds", "updates", "contacts", "ledger")}
    for task in ("signs", "turns"):
        for file in ("adapter_config.json", "adapter_model.safetensors", "head.safetensors"):
            expected.add(f"adapters/{task}/{file}")
    assert expected <= there
    figures = there - expected
    assert all(path.startswith("figures/") for path in figures)
    assert {".svg", ".png"} <= {Path(path).suffix for path in figures}


def test_the_result_keeps_its_contract(done: fleetlora.Run) -> None:
    result = json.loads((done.path / "result.json").read_text())
    assert {
        "schema", "method", "preset", "seed", "rounds", "vehicles", "rsus", "mean_accuracy", "tasks",
        "latency_s", "energy_j", "updates", "handoffs", "overdraw_j", "digest",
    } <= set(result)  # fmt: skip
    assert (result["method"], result["preset"], result["seed"]) == ("random", "tiny", 7)
    assert (result["rounds"], result["vehicles"]) == (4, 24)
    assert result["overdraw_j"] == 0
    for task in result["tasks"].values():
        assert {"accuracy", "accuracy_local", "energy_j", "budget_j", "accuracy_head_only"} <= set(task)
    assert result["updates"]["started"] == done.updates.height > 0


def test_learning_beats_guessing(done: fleetlora.Run) -> None:
    assert done.result["mean_accuracy"] > 0.6, "three classes: guessing gives a third"


def test_the_ledger_adds_up_to_the_result(done: fleetlora.Run) -> None:
    vehicles = done.ledger.filter(done.ledger["vehicle"] >= 0)
    total = math.fsum(vehicles["joules"])
    assert done.result["energy_j"]["total"] == pytest.approx(total, rel=1e-9)
    assert math.fsum(done.updates["joules"]) == pytest.approx(total, rel=1e-9)


def test_equal_seeds_give_equal_digests_and_others_do_not(
    tiny: dict[str, Any], done: fleetlora.Run, tmp_path: Path
) -> None:
    again = fleetlora.run(tiny, tmp_path / "again", seed=7, report=False)
    other = fleetlora.run(tiny, tmp_path / "other", seed=8, report=False)
    assert again.result["digest"] == done.result["digest"]
    assert other.result["digest"] != done.result["digest"]


def test_the_saved_configuration_runs_again_to_the_same_digest(done: fleetlora.Run, tmp_path: Path) -> None:
    again = fleetlora.run(done.path / "config.toml", tmp_path / "again", report=False)
    assert again.result["digest"] == done.result["digest"]


def test_peft_loads_the_adapters_a_run_leaves(done: fleetlora.Run, tiny: dict[str, Any]) -> None:
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModel, AutoTokenizer

    path = tiny["backbone"]["path"]
    lines = Path(tiny["tasks"][0]["test"]).read_text().splitlines()[1:]
    texts, labels = zip(*(line.rsplit(",", 1) for line in lines), strict=True)
    inputs = AutoTokenizer.from_pretrained(path)(list(texts), padding=True, return_tensors="pt")
    model = PeftModel.from_pretrained(
        AutoModel.from_pretrained(path), done.path / "adapters" / "signs"
    ).eval()
    head = load_file(done.path / "adapters" / "signs" / "head.safetensors")
    with torch.inference_mode():
        hidden = model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
        ).last_hidden_state
        mask = inputs["attention_mask"][:, :, None]
        logits = (hidden * mask).sum(1) / mask.sum(1) @ head["weight"].T + head["bias"]
    classes = np.array(sorted(set(labels)))
    accuracy = float((classes[logits.argmax(1).numpy()] == np.array(labels)).mean())
    assert accuracy == pytest.approx(done.result["tasks"]["signs"]["accuracy"], abs=1e-9)


def test_a_budget_is_a_hard_cap(tiny: dict[str, Any], tmp_path: Path) -> None:
    free = fleetlora.run(tiny, tmp_path / "free", report=False, overrides=["evaluation.head_only=false"])
    half = free.result["energy_j"]["total"] / 2 + 300
    capped = fleetlora.run(
        tiny,
        tmp_path / "capped",
        report=False,
        overrides=[f"budget.total_j={half}", "evaluation.head_only=false"],
    )
    for task in capped.result["tasks"].values():
        assert task["energy_j"] <= task["budget_j"] == pytest.approx(half / 2)
    assert capped.result["overdraw_j"] == 0


def test_every_round_moves_the_clock_and_fits_its_table(done: fleetlora.Run) -> None:
    starts = done.rounds.filter(done.rounds["task"] == "signs")["t_start_s"].to_list()
    assert starts == [0.0, 30.0, 60.0, 90.0]


def test_a_place_that_holds_a_run_is_refused_before_any_work(
    tiny: dict[str, Any], done: fleetlora.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetlora.workshop.build_scenery", lambda *a: pytest.fail("work was begun"))
    with pytest.raises(InputError, match="already holds a run"):
        fleetlora.run(tiny, done.path)


def test_an_interrupted_run_stays_readable(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Simulation.step

    def stop_in_the_third(self: Simulation) -> Any:
        if self.round == 2:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Simulation, "step", stop_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        fleetlora.run(tiny, tmp_path / "stopped")
    run = fleetlora.open_run(tmp_path / "stopped")
    assert run.result["status"] == "interrupted"
    assert sorted(set(run.rounds["round"])) == [0, 1]
    assert fleetlora.build_report(run.path).exists()


def _without(values: dict[str, Any], *path: Any) -> dict[str, Any]:
    copied = copy.deepcopy(values)
    node = copied
    for step in path[:-1]:
        node = node[step]
    del node[path[-1]]
    return copied


def _with(values: dict[str, Any], value: Any, *path: Any) -> dict[str, Any]:
    copied = copy.deepcopy(values)
    node = copied
    for step in path[:-1]:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    node[path[-1]] = value
    return copied


def _refused(values: dict[str, Any], out: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        fleetlora.run(values, out, report=False)
    for word in words:
        assert word in str(caught.value)
    assert "→" in str(caught.value), "a mend is given"
    assert not out.exists(), "nothing is left half-written"


def test_a_rank_above_the_layers_size_is_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    _refused(_with(tiny, [2, 64], "lora", "ranks"), tmp_path / "run", "rank 64", "layer", "up to 32")


def test_a_fixed_rank_that_is_no_arm_is_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    values = _with({**tiny, "method": "fixed"}, 3, "policy", "rank")
    _refused(values, tmp_path / "run", "policy.rank", "[1, 2, 4]")


def test_vehicles_that_never_meet_an_rsu_are_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    far = tmp_path / "far.csv"
    far.write_text("name,lat,lon\nfar,52.4,21.4\n")
    values = _with(tiny, {"placement": "points", "path": str(far), "drop_far": False}, "sites")
    _refused(values, tmp_path / "run")


def test_a_task_whose_holders_never_meet_an_rsu_is_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    values = _with(tiny, 0.05, "tasks", 1, "partition", "holders")  # one vehicle of 24
    values |= {"seed": 3, "traces": {**tiny["traces"], "duration_s": 20.0}}
    values["sites"] = {**tiny["sites"], "spacing_m": 1500.0}
    _refused(values, tmp_path / "run", "no vehicle that meets an RSU holds data of task 'turns'")


def test_a_policy_that_learns_where_nobody_holds_anything_out_is_refused(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    values = _with({**tiny, "method": "ucb-dual"}, 0.0, "tasks", 1, "partition", "holdout")
    _refused(values, tmp_path / "run", "hold out no row of task 'signs'", "'ucb-dual' has nothing to learn")
    fleetlora.run({**values, "method": "random"}, tmp_path / "run", report=False)


def test_a_budget_below_one_update_is_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    values = {**tiny, "budget": {"total_j": 0.01}}
    _refused(values, tmp_path / "run", "task 'signs' may spend 0.005 J, less than the", "at least")


def test_a_missing_trace_file_is_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    _refused(_with(tiny, str(tmp_path / "no.csv"), "traces", "path"), tmp_path / "run", "no.csv")


def test_a_test_set_that_lacks_a_class_is_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    lines = Path(tiny["tasks"][0]["test"]).read_text().splitlines()
    poor = tmp_path / "poor.csv"
    poor.write_text("\n".join(line for line in lines if not line.endswith(",turn")) + "\n")
    _refused(_with(tiny, str(poor), "tasks", 0, "test"), tmp_path / "run", "turn")


def test_a_backbone_without_weights_is_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(tiny["backbone"]["path"], bare)
    (bare / "model.safetensors").unlink()
    _refused(_with(tiny, str(bare), "backbone", "path"), tmp_path / "run", "bare")


def test_a_backbone_with_pickled_weights_only_is_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    import shutil

    import torch
    from safetensors.torch import load_file

    pickled = tmp_path / "pickled"
    shutil.copytree(tiny["backbone"]["path"], pickled)
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    _refused(_with(tiny, str(pickled), "backbone", "path"), tmp_path / "run", "pickle", "safetensors")


def test_a_start_after_the_end_of_the_tracks_is_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    _refused(_with(tiny, 9e9, "traces", "start_s"), tmp_path / "run", "traces.start_s")


def test_an_experiment_without_tasks_is_refused(tiny: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="tasks"):
        fleetlora.load_experiment(_without(tiny, "tasks"))


def test_rows_that_wait_to_be_written_are_there_when_the_run_is_over(
    tiny: dict[str, Any], done: fleetlora.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables are written after the first round, then never again while the rounds last."""
    from fleetlora.records import RunWriter

    flushed = []
    monkeypatch.setattr("fleetlora.api._WRITING", 0.0)
    monkeypatch.setattr(RunWriter, "flush", lambda self, flush=RunWriter.flush: (
        flushed.append(1), flush(self)
    ))  # fmt: skip
    values = {**copy.deepcopy(tiny), "checkpoint": {"every": 0}}
    waited = fleetlora.run(values, tmp_path / "run", seed=7, report=False)
    assert waited.result["digest"] == done.result["digest"]
    assert len(flushed) == 4, "the first round, the last, the end of the run, the end of the writer"
