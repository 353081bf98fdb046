"""Whole runs under attack: what reaches the model, what the run directory says, and going on after a stop."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import fleetlora
from fleetlora.bench import BENCHES
from fleetlora.bench.poison import Poison
from fleetlora.console import Quiet
from fleetlora.errors import ConfigError, InputError
from fleetlora.records import Run, open_run
from fleetlora.report.guarded import privacy_section, quarantine_section
from fleetlora.workshop import Workshop
from tests.tiny import stopped


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return Workshop()


def values(tiny: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return copy.deepcopy(tiny) | {
        "method": "ucb-dual",
        "checkpoint": {"every": 1, "share": 1e9},
        "round": {"count": 4, "period_s": 20.0},
        "admission": {"vehicles_per_task": 6},
        "evaluation": {"head_only": False},
        **changes,
    }


def play(tiny: dict[str, Any], out: Path, workshop: Workshop, **changes: Any) -> Run:
    return fleetlora.run(values(tiny, **changes), out, report=False, workshop=workshop)


def test_an_honest_run_is_the_same_with_checks_as_without_and_quarantines_nobody(
    tiny: dict[str, Any], tmp_path: Path, workshop: Workshop
) -> None:
    checked, bare = (
        play(tiny, tmp_path / preset, workshop, defence={"preset": preset}) for preset in ("checks", "none")
    )
    assert checked.result["digest"] == bare.result["digest"]
    assert "quarantine" not in checked.result
    assert not (checked.path / "quarantine.parquet").exists()
    assert quarantine_section(checked) == privacy_section(checked) == ""


def test_a_flipped_minority_wrecks_the_plain_mean_and_not_the_default_defence(
    tiny: dict[str, Any], tmp_path: Path, workshop: Workshop
) -> None:
    attack = {"kind": "sign-flip", "share": 0.25}
    honest = play(tiny, tmp_path / "honest", workshop)
    wrecked = play(tiny, tmp_path / "wrecked", workshop, attack=attack, defence={"preset": "none"})
    saved = play(tiny, tmp_path / "saved", workshop, attack=attack, defence={"preset": "default"})
    accuracy = [run.result["mean_accuracy"] for run in (honest, wrecked, saved)]
    assert accuracy[1] < accuracy[0] - 0.2
    assert accuracy[2] > accuracy[0] - 0.05
    assert set(saved.quarantine["reason"].cast(str)) == {"norm of the layers"}
    times = saved.quarantine["vehicle"].value_counts()["count"]
    assert times.max() == 1, "whoever was refused is not admitted again in so few rounds"
    assert "What was refused" in quarantine_section(saved)
    assert open_run(saved.path).result["quarantine"] == saved.result["quarantine"]


def test_an_attacked_run_that_stopped_ends_with_the_whole_ones_digest(
    tiny: dict[str, Any], tmp_path: Path, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"attack": {"kind": "replay", "share": 0.3}, "defence": {"preset": "default"}}
    whole = play(tiny, tmp_path / "whole", workshop, **changes)
    stopped(values(tiny, **changes), tmp_path / "stopped", 2, monkeypatch)
    resumed = fleetlora.resume(tmp_path / "stopped", report=False, workshop=workshop)
    assert resumed.result["digest"] == whole.result["digest"]


def test_a_private_run_tells_epsilon_and_goes_on_counting(
    tiny: dict[str, Any], tmp_path: Path, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dp_accounting", reason="fleetlora[privacy] is not installed")
    changes = {"privacy": {"noise_multiplier": 8.0, "clip_norm": 0.1}}
    whole = play(tiny, tmp_path / "whole", workshop, **changes)
    told = whole.result["privacy"]["tasks"]["signs"]
    assert told["rounds"] == 4
    assert 0 < told["epsilon"] < told["epsilon_replaced"]
    assert f"{told['epsilon']:.2f}" in privacy_section(whole)
    stopped(values(tiny, **changes), tmp_path / "stopped", 2, monkeypatch)
    resumed = fleetlora.resume(tmp_path / "stopped", report=False, workshop=workshop)
    assert resumed.result == {**whole.result, "host": resumed.result["host"]}


def test_what_cannot_be_is_refused_by_key(tiny: dict[str, Any], tmp_path: Path) -> None:
    for changes, key in (
        ({"attack": {"kind": "nonsense"}}, r"attack\.kind"),
        ({"attack": {"share": 1.5}}, r"attack\.share"),
        ({"defence": {"preset": "strong"}}, r"defence\.preset"),
        ({"method": "fedit", "defence": {"rule": "median"}}, r"defence\.rule"),
        ({"privacy": {"noise_multiplier": 0.0}}, r"privacy\.noise_multiplier"),
        ({"privacy": {"delta": 1.0}}, r"privacy\.delta"),
    ):
        with pytest.raises(ConfigError, match=key):
            fleetlora.run(values(tiny, **changes), tmp_path / "never")


def test_nothing_that_is_not_finite_gets_past_an_undefended_rsu_unnoticed(
    tiny: dict[str, Any], tmp_path: Path, workshop: Workshop
) -> None:
    with pytest.raises(InputError, match="not finite"):
        play(tiny, tmp_path / "run", workshop, attack={"kind": "nan"}, defence={"preset": "none"})


@pytest.mark.slow
def test_the_bench_plays_every_case(tiny: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(tomli_w.dumps(values(tiny, round={"count": 1})))
    bench = Poison(source=str(file), share=0.25, seeds=(3,))
    assert BENCHES.get("poison") is Poison
    measured = bench.measure(Quiet())
    cases = {case["case"]: case for case in measured["cases"]}
    assert len(cases) == 9
    assert cases["no attack"]["accuracy_changes"] == [0.0]
    assert cases["default defence"]["runs"][0]["quarantined"]
    assert all(run["not_finite"] == 0 for case in cases.values() for run in case["runs"])
    assert len(list(bench.lines(measured))) == 9
