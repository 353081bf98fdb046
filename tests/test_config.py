"""Experiments: presets, layers, round trips, and every wrong key or value that a person may write."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetlora.config import load_experiment, load_traces, preset_names, to_toml
from fleetlora.errors import ConfigError, InputError
from fleetlora.methods import METHODS
from fleetlora.physics import DEFAULT_DEVICES

BASE: dict[str, Any] = {
    "traces": {"source": "warsaw"},
    "lora": {"ranks": [2, 4, 8, 16]},
    "sites": {"placement": "corridor", "count": 4},
    "tasks": [{"name": "news", "source": "20newsgroups"}, {"name": "wire", "source": "reuters52"}],
}


@pytest.mark.parametrize("name", [n for n in preset_names() if n not in ("sf", "tdrive")])
def test_every_preset_is_valid_and_survives_the_round_trip(name: str) -> None:
    experiment = load_experiment(name)
    assert experiment.name == name
    again = load_experiment(tomllib.loads(to_toml(experiment)))
    assert again == experiment


@pytest.mark.parametrize("name", ["sf", "tdrive"])
def test_presets_of_data_the_user_brings_ask_for_its_path(name: str) -> None:
    with pytest.raises(ConfigError, match=r"traces\.path: missing\n.*--set traces\.path=….*folder.*\.md"):
        load_experiment(name)
    assert load_experiment(name, overrides=["traces.path=somewhere"]).name == name


def test_layers_lie_in_order_preset_file_method_override(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('extends = "warsaw"\nname = "mine"\n[round]\ncount = 3\ndeadline_s = 11.0\n')
    experiment = load_experiment(file, method="fixed", seed=9, overrides=["round.count=4", "policy.rank=8"])
    assert (experiment.name, experiment.seed, experiment.method) == ("mine", 9, "fixed")
    assert (experiment.round.count, experiment.round.deadline_s) == (4, 11.0)
    assert experiment.policy.component == "fixed"
    assert experiment.policy.options.rank == 8
    assert len(experiment.tasks) == 2, "what the file leaves out comes from the preset"


def test_a_method_replaces_the_options_of_another_policy() -> None:
    raw = {**BASE, "policy": {"name": "fixed", "rank": 8}}
    assert load_experiment(raw, method="random").policy.component == "random"


def test_naming_another_source_drops_the_options_of_the_first() -> None:
    experiment = load_experiment("warsaw", overrides=["sites={placement = 'grid', count = 9}"])
    assert experiment.sites.component == "grid"
    assert experiment.sites.options.count == 9


@pytest.mark.parametrize(
    "overrides",
    [
        ["sites.placement=grid", "sites.count=9"],
        ["sites.count=9", "sites.placement=grid"],
        ["sites.count=9", "sites={placement = 'grid'}"],
    ],
)
def test_an_override_that_names_another_component_is_as_a_file_that_does(
    overrides: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('extends = "warsaw"\nname = "warsaw"\n[sites]\nplacement = "grid"\ncount = 9\n')
    assert load_experiment("warsaw", overrides=overrides) == load_experiment(file)


def test_an_override_of_the_policy_drops_the_options_of_the_methods_own() -> None:
    values = load_experiment(BASE, method="ucb-dual", overrides=["policy.rank=4", "policy.name=fixed"])
    assert (values.method, values.policy.component, values.policy.options.rank) == ("ucb-dual", "fixed", 4)
    same = load_experiment(BASE, method="ucb-dual", overrides=["policy.name=ucb-dual", "policy.step=0.5"])
    assert (same.policy.options.step, same.policy.options.freshness) == (0.5, 2.0), "the same one keeps them"


def test_naming_the_component_that_a_section_has_anyway_keeps_its_options() -> None:
    raw = {**BASE, "radio": {"carrier_hz": 3.5e9}}
    assert load_experiment(raw, overrides=["radio.model=umi"]).radio.options.carrier_hz == 3.5e9


def test_an_override_of_the_trace_source_keeps_the_data_file(tmp_path: Path) -> None:
    file = tmp_path / "cabs.csv"
    file.write_text("")
    section = load_traces(file, overrides=["traces.source=porto"])
    assert (section.component, section.options.path) == ("porto", str(file))


def test_a_task_can_be_overridden_by_name_or_number() -> None:
    for key in ("tasks.wire.encoding.max_tokens", "tasks.1.encoding.max_tokens"):
        assert load_experiment(BASE, overrides=[f"{key}=16"]).tasks[1].encoding.max_tokens == 16


def test_a_class_of_the_default_fleet_can_be_overridden_by_name_or_number() -> None:
    for key in ("devices.infotainment.power_tx_w", "devices.1.power_tx_w"):
        first, second, *rest = load_experiment("warsaw", overrides=[f"{key}=2.0"]).devices
        assert second == DEFAULT_DEVICES[1].model_copy(update={"power_tx_w": 2.0})
        assert (first, *rest) == (DEFAULT_DEVICES[0], *DEFAULT_DEVICES[2:])


def test_an_override_names_the_classes_of_the_files_own_fleet() -> None:
    own = DEFAULT_DEVICES[3].model_dump(mode="json", exclude_none=True) | {"name": "mine", "share": 1.0}
    (only,) = load_experiment({**BASE, "devices": [own]}, overrides=["devices.mine.power_tx_w=2.0"]).devices
    assert (only.name, only.power_tx_w) == ("mine", 2.0)
    with pytest.raises(ConfigError, match=r"devices\.infotainment.*no entry"):
        load_experiment({**BASE, "devices": [own]}, overrides=["devices.infotainment.power_tx_w=2.0"])


def test_budgets_split_the_total() -> None:
    assert load_experiment(BASE).budgets_j() == {"news": math.inf, "wire": math.inf}
    half = load_experiment(BASE, overrides=["budget.total_j=100"]).budgets_j()
    assert half == {"news": 50.0, "wire": 50.0}
    uneven = load_experiment(BASE, overrides=["budget.total_j=100", "budget.shares.wire=0.8"]).budgets_j()
    assert uneven == pytest.approx({"news": 20.0, "wire": 80.0})


@pytest.mark.parametrize(
    ("override", "where", "mend"),
    [
        ("round.deadlin_s=3", "round.deadlin_s", "did you mean 'deadline_s'"),
        ("ruond.deadline_s=3", "ruond", "did you mean 'round'"),
        ("traces.sourze=3", "traces.sourze", "did you mean 'source'"),
        ("traces.source=warsav", "traces.source", "did you mean 'warsaw'"),
        ("traces.cleaning.gap=3", "traces.cleaning.gap", "gap_s"),
        ("sites.placement=coridor", "sites.placement", "did you mean 'corridor'"),
        ("sites.cuont=3", "sites.cuont", "did you mean 'count'"),
        ("policy.name=fixt", "policy.name", "did you mean 'fixed'"),
        ("method=randon", "method", "did you mean 'random'"),
        ("radio.model=umy", "radio.model", "did you mean 'umi'"),
        ("tasks.0.source=20newsgroup", "tasks.news.source", "did you mean '20newsgroups'"),
        ("tasks.nwes.encoding.max_tokens=3", "tasks.nwes", "did you mean 'news'"),
        ("budget.total_j=-5", "budget.total_j", "greater than 0, got -5"),
        ("budget.total_j=-5", "budget.total_j", "→ give a number above 0: joules of all tasks together (J)"),
        ("sites.count=abc", "sites.count", "→ give a whole number not below 1: number of RSUs"),
        ("lora.ranks=8", "lora.ranks", "→ give a list of whole numbers, such as [2, 4, 8, 16]"),
        ("backbone.device=gpu", "backbone.device", "→ give one of cpu, cuda"),
        ("budget.shares.news=x", "budget.shares.news", "→ give a table of numbers"),
        ("tasks.1.encoding.max_tokens=-1", "tasks.wire.encoding.max_tokens", "→ give a whole number"),
        ("tasks.1.source=npz", "tasks.wire.path", "--set tasks.wire.path=…: the archive (see docs/tasks.md)"),
        ("sites={placement='grid'}", "sites", "→ its keys: count, spacing_m"),
        ("learner.kind=curve", "learner", "→ its keys: curve, kind"),
        ("defence={rule='trimmed-mean', rule_options={trim='x'}}", "rule_options.trim", "→ give a number"),
        ("devices.infotainmet.share=0.5", "devices.infotainmet", "did you mean 'infotainment'"),
        ("devices.infotainment.share=0.5", "devices", "sum to 1.15, not 1"),
        ("devices.infotainment.power_tx=2", "devices.infotainment.power_tx", "did you mean 'power_tx_w'"),
        ("budget.shares.wier=0.5", "budget.shares.wier", "did you mean 'wire'"),
        ("round.count='many'", "round.count", "got 'many'"),
        ("round.deadline_s=nan", "round.deadline_s", "finite"),
        ("lora.ranks=[8, 4]", "lora.ranks", "ascending"),
        ("lora.ranks=[0, 4]", "lora.ranks", "positive"),
        ("seed=-1", "seed", "greater than or equal to 0"),
        ("tasks.1.name='news'", "tasks.news", "two tasks"),
        ("tasks.1.name='../up'", "name", "pattern"),
        ("round.deadline_s", "--set", "key=value"),
        ("traces.source.deep=3", "traces.source.deep", "stands below a plain value"),
        ("lora.ranks.0=3", "lora.ranks.0", "stands below a plain value"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_the_mend(override: str, where: str, mend: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_experiment(BASE, overrides=[override])
    message = str(caught.value)
    assert where in message
    assert mend in message


def test_homolora_is_one_rank_for_all_the_largest_unless_its_name_says() -> None:
    assert load_experiment(BASE, method="homolora").policy.options.rank is None
    four = load_experiment(BASE, method="homolora-4")
    assert (four.method, four.policy.component, four.policy.options.rank) == ("homolora-4", "fixed", 4)
    assert load_experiment(BASE).with_method("homolora-2").policy.options.rank == 2


@pytest.mark.parametrize("method", [name for name in METHODS.names() if name != "ucb-dual-quick"])
def test_heads_alone_are_the_same_yardstick_for_every_method(method: str) -> None:
    alone = load_experiment(BASE).with_method("head-only")
    assert load_experiment(BASE, method=method).with_method("head-only") == alone
    with pytest.raises(ConfigError, match="did you mean 'homolora'"):
        load_experiment(BASE, method="homolora-0")


@pytest.mark.parametrize(
    ("method", "override", "words"),
    [
        ("fixed", "policy.rank=7", "policy.rank: rank 7 is not one of the arms [2, 4, 8, 16]"),
        ("homolora-3", "seed=0", "policy.rank: rank 3 is not one of the arms"),
        ("hetlora", "policy.ranks.phone=4", "policy.ranks.phone: no such device class"),
    ],
)
def test_a_policy_refuses_what_the_experiment_has_not(method: str, override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_experiment(BASE, method=method, overrides=[override])


def test_options_of_a_component_outlive_a_method_that_names_the_same_component() -> None:
    values = {**BASE, "aggregation": {"max_rank": 16}}
    assert load_experiment(values).aggregation.options.max_rank == 16
    assert load_experiment(values, method="random").aggregation.options.max_rank == 16


def test_an_unknown_preset_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'warsaw'"):
        load_experiment("warsau")


@pytest.mark.parametrize("load", [load_experiment, load_traces])
def test_a_file_that_is_not_there_is_said_to_be_so(load: Callable[[str], object]) -> None:
    for name in ("nofile.toml", "nofile.csv", "data/nofile"):
        with pytest.raises(InputError, match=rf"{name}: no such file\n.*check the path, or name a preset"):
            load(name)


def test_the_wires_width_stays_where_a_method_changes_the_rule() -> None:
    raw = {**BASE, "aggregation": {"rule": "product", "bytes_per_param": 2, "max_rank": 32}}
    for method in ("homolora", "hetlora", "flora"):
        assert load_experiment(raw, method=method).aggregation.options.bytes_per_param == 2
    assert load_experiment(raw).with_method("ffa").aggregation.options.bytes_per_param == 2
    assert "max_rank" not in load_experiment(raw, method="flora").aggregation.model_dump()


def test_none_over_a_default_stays_under_another_method_and_cannot_be_written_down() -> None:
    every = load_experiment({**BASE, "evaluation": {"samples": None}})
    assert every.with_method("random").evaluation.samples is None
    with pytest.raises(ConfigError, match=r"evaluation\.samples: None cannot be written down"):
        to_toml(every)
    unbounded = load_experiment({**BASE, "defence": {"preset": "default", "norm_bound": None}})
    assert unbounded.with_method("random").defence.norm_bound is None
    with pytest.raises(ConfigError, match=r"defence\.norm_bound: None cannot be written down"):
        to_toml(unbounded)


def test_a_file_that_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('name = "x"\n[round\n')
    with pytest.raises(ConfigError, match=r"bad\.toml: not TOML.*line 2"):
        load_experiment(file)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00rubbish", b"\x00\x01\x02"])
def test_a_binary_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.toml"):
        load_experiment(file)


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('extends = "warsaw"\n[round]\ncuont = 3\n')
    with pytest.raises(ConfigError, match=r"mine\.toml: round\.cuont: unknown key.*\n.*'count'"):
        load_experiment(file)


def test_extending_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ConfigError, match="extends: no preset 'warsav'"):
        load_experiment({**BASE, "extends": "warsav"})


def test_a_data_file_tells_its_own_trace_source(tmp_path: Path) -> None:
    file = tmp_path / "cabs.csv.gz"
    file.write_bytes(b"")
    section = load_traces(file, overrides=["cleaning.gap_s=60"])
    assert (section.component, section.cleaning.gap_s) == ("table", 60)
    with pytest.raises(ConfigError, match=r"traces\.source: missing\n.*choose one of.*cabspotting"):
        load_traces(tmp_path)


@pytest.mark.parametrize("rule", ["fedit", "ffa", "hetlora", "flora"])
def test_a_rival_takes_a_presets_place_without_its_rules_options(rule: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'extends = "warsaw"\nmethod = "{rule}"\n')
    chosen = load_experiment("warsaw", method=rule)
    assert (chosen.method, chosen.aggregation.component) == (rule, rule)
    assert load_experiment(file) == chosen, "written into a file or given to --method is the same"
    file.write_text(f'extends = "warsaw"\nmethod = "{rule}"\n[aggregation]\nbytes_per_param = 2\n')
    assert load_experiment(file).aggregation.options.bytes_per_param == 2
