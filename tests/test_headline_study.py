"""Every documented command of the headline study, played in miniature from the first stage to the last."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tomli_w

from fleetlora.comparison.executor import LocalProcesses

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "docs" / "results.md", ROOT / "docs" / "curves.md", ROOT / "benchmarks" / "README.md")


def documented() -> list[list[str]]:
    """Arguments of every command that the pages show, without cities, once each."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    found = re.findall(r"python benchmarks/headline/study\.py ([a-z][^\n`]*)", text)
    anywhere = dict.fromkeys(re.sub(r"--city \w+", "", command).strip() for command in found)
    return [command.split() for command in anywhere]


@pytest.fixture
def study(tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The study of one tiny city, with few rivals and seeds, whose results lie in a folder of their own."""
    spec = importlib.util.spec_from_file_location("study", ROOT / "benchmarks" / "headline" / "study.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    values = copy.deepcopy(tiny) | {
        "round": {"count": 24, "sync_every": 1, "patience": 1.2},
        "admission": {"vehicles_per_task": 12},
        "evaluation": {"every": 1, "head_only": False, "tail": 0.3},
    }
    for name in ("warsaw", "tuning"):
        (tmp_path / f"{name}.toml").write_text(tomli_w.dumps(values | {"name": name}), "utf-8")
    few = {
        "Processes": lambda _: nullcontext(LocalProcesses(1)),
        "HERE": tmp_path,
        "STEPS": tmp_path / "tuned-steps.json",
        "LIMITS": tmp_path / "tuned-deadlines.json",
        "TUNED": tmp_path / "tuned.json",
        "CITIES": ("warsaw",),
        "SEEDS": (0, 1),
        "DEVELOPMENT_SEEDS": (100,),
        "RIVALS": ("homolora",),
        "ABLATIONS": ("ucb-dual-no-pool", "ucb-dual-no-classes"),
        "SECONDS": module.SECONDS[:2],
        "STEP_SIZES": module.STEP_SIZES[:2],
        "DEADLINES": module.DEADLINES[1:],
        "CONSTANTS": {"ucb-dual": module.CONSTANTS["ucb-dual"][:2]},
    }
    for name, value in few.items():
        monkeypatch.setattr(module, name, value)
    return module


@pytest.mark.slow
def test_every_documented_stage_plays(study: ModuleType, tmp_path: Path) -> None:
    commands = documented()
    assert {words[0] for words in commands} == set(study.STAGES)
    order = [stage for stage in study.STAGES if stage != "curve"] + ["curve"]
    for words in sorted(commands, key=lambda words: ("--curve" in words, order.index(words[0]))):
        if "--curve" in words:
            words[words.index("--curve") + 1] = str(tmp_path / "curve.json")
        study.main([*words, "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    written = {path.name for path in tmp_path.glob("*.json")}
    assert {"main-warsaw.json", "ablation-warsaw.json", "budget30-warsaw-curve.json"} <= written
    main = json.loads((tmp_path / "main-warsaw.json").read_text("utf-8"))
    assert main["methods"] == ["ucb-dual", "homolora-1", "homolora-2", "homolora-4"]
    assert str(tmp_path) not in json.dumps(main)
    rivals = sorted(main["methods"][1:], key=lambda method: -main["results"][method]["accuracy"]["value"])
    tight = (tmp_path / "budget30-warsaw-curve.json").read_text("utf-8")
    assert json.loads(tight)["methods"] == ["ucb-dual", *rivals[:2]]
    words = ["tight", "--methods", "homolora-2", "--curve", str(tmp_path / "curve.json")]
    study.main([*words, "--data", str(tmp_path), "--out", str(tmp_path / "elsewhere")])
    assert (tmp_path / "budget30-warsaw-curve.json").read_text("utf-8") == tight, "what is there is kept"


@pytest.mark.slow
def test_a_stage_in_parts_comes_to_what_it_does_at_once(
    study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STEP_SIZES", "DEADLINES"):  # what they choose does not matter here
        monkeypatch.setattr(study, name, getattr(study, name)[:1])

    def play(stage: str, methods: str, out: str) -> None:
        study.main([stage, "--methods", methods, "--data", str(tmp_path), "--out", str(tmp_path / out)])

    def results() -> dict[str, Any]:
        return dict(json.loads((tmp_path / "main-warsaw.json").read_text("utf-8"))["results"])

    study.main(["budgets", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    for stage in ("steps", "deadlines", "constants"):
        play(stage, "ucb-dual,homolora-2", "out")
    play("main", "ucb-dual,homolora-2", "out")
    at_once = results()
    (tmp_path / "main-warsaw.json").unlink()
    for methods in ("homolora-2", "ucb-dual"):
        play("main", methods, methods)
    assert results() == at_once
