"""Every aggregation rule through the learner on a tiny model: rounds, syncs, bases, pruning and draws."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fleetlora.federation.attack import Attack, AttackSettings
from fleetlora.federation.defence import DefenceSettings
from fleetlora.federation.gate import Gate
from fleetlora.federation.learner import Jobs
from fleetlora.federation.lora_learner import LoraLearner
from fleetlora.federation.uploads import Upload
from fleetlora.lora import (
    AGGREGATION_RULES,
    Adapter,
    Backbone,
    CohortTrainer,
    LocalTraining,
    LoraSpec,
    adapter_bytes,
    load_head_info,
)
from fleetlora.tasks import Shards, TaskData
from tests.lora.conftest import Texts, bert_config, make_texts, save_model

NAMES = list(AGGREGATION_RULES)
SPEC = LoraSpec(target_modules=("query", "value"), alpha=8.0)
VEHICLES = 6
RANKS = np.array([1, 2, 4])


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return Backbone.from_path(save_model(bert_config(), tmp_path_factory.mktemp("bert")))


@pytest.fixture(scope="module")
def data() -> Texts:
    return make_texts(VEHICLES * 16)


def shards(vehicles: int = VEHICLES) -> Shards:
    each = VEHICLES * 16 // vehicles
    rows = np.arange(vehicles * each).reshape(vehicles, each)
    return Shards(
        np.arange(vehicles + 1) * (each - 4),
        rows[:, :-4].ravel(),
        np.arange(vehicles + 1) * 4,
        rows[:, -4:].ravel(),
    )


def learner(
    backbone: Backbone,
    data: Texts,
    name: str,
    rate_end: float = 1.0,
    vehicles: int = VEHICLES,
    attack: Attack | None = None,
    held: Shards | None = None,
    **options: Any,
) -> LoraLearner:
    training = LocalTraining(steps=2, batch_size=4, learning_rate=0.02, rate_end=rate_end)
    return LoraLearner(
        backbone=backbone,
        spec=SPEC,
        training=training,
        rule=AGGREGATION_RULES.get(name)(**options),
        tasks=[TaskData("signs", tuple("abcde"), data, data)],
        shards=[held or shards(vehicles)],
        ranks=RANKS,
        trainer=CohortTrainer(backbone, SPEC, training),
        seed=1,
        attack=attack,
    )


def jobs(ranks: Sequence[int], rsu: Sequence[int] = (0, 0, 1, 1, 1, 2)) -> Jobs:
    n = len(ranks)
    return Jobs(np.arange(n), np.asarray(rsu[:n]), np.asarray(ranks), np.full(n, 2))


def mixed(name: str) -> list[int]:
    return [4] * VEHICLES if name == "fedit" else [1, 4, 2, 4, 1, 2]


def play(subject: LoraLearner, ranks: Sequence[int], rounds: int = 2) -> None:
    for number in range(rounds):
        subject.train(0, number, jobs(ranks), 0.0)
    subject.sync(0)


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_learns_over_rounds_and_a_sync_and_is_deterministic(
    name: str, backbone: Backbone, data: Texts
) -> None:
    runs = []
    for _ in range(2):
        subject = learner(backbone, data, name)
        before = subject.evaluate(0, None)
        play(subject, mixed(name))
        play(subject, mixed(name))
        assert subject.evaluate(0, None).loss < before.loss
        runs.append(subject.arrays())
    assert all(np.array_equal(value, runs[1][key]) for key, value in runs[0].items())


def head(subject: LoraLearner) -> np.ndarray:
    return next(value for key, value in subject.arrays().items() if key.endswith("weight"))


def test_steps_grow_smaller_as_the_run_goes_on(backbone: Backbone, data: Texts) -> None:
    moved = []
    for progress in (0.0, 0.5, 1.0):
        subject = learner(backbone, data, "product", rate_end=0.2)
        subject.train(0, 0, jobs([4] * VEHICLES), progress)
        subject.sync(0)
        moved.append(float(np.abs(head(subject)).max()))  # a head starts at zero
    assert moved[0] > moved[1] > moved[2] > 0
    assert moved[2] < 0.3 * moved[0]


def test_a_vehicle_trains_on_other_batches_every_round(backbone: Backbone, data: Texts) -> None:
    first, same, later = (
        learner(backbone, data, "product").train(0, number, jobs([4] * VEHICLES), 0.0).loss_after
        for number in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != later).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_cohort_trains_as_its_vehicles_would_one_rsu_at_a_time(
    name: str, backbone: Backbone, data: Texts
) -> None:
    """Vehicles on different bases must not mix: RSU by RSU gives what all together give."""
    together, apart = (learner(backbone, data, name) for _ in range(2))
    whole = jobs(mixed(name))
    for number in range(2):
        seen = together.train(0, number, whole, 0.0)
        for rsu in (0, 1, 2):
            rows = np.flatnonzero(whole.rsu == rsu)
            part = Jobs(whole.vehicle[rows], whole.rsu[rows], whole.rank[rows], whole.steps[rows])
            mine = apart.train(0, number, part, 0.0)
            np.testing.assert_allclose(mine.loss_before, seen.loss_before[rows], rtol=1e-4)
            np.testing.assert_allclose(mine.loss_after, seen.loss_after[rows], rtol=1e-4)
    together.sync(0)
    apart.sync(0)
    for key, value in together.arrays().items():
        if key.startswith("signs/head"):
            np.testing.assert_allclose(value, apart.arrays()[key], atol=1e-4)


def test_each_vehicle_trains_as_many_steps_as_its_own_job_says(backbone: Backbone, data: Texts) -> None:
    subject = learner(backbone, data, "product")
    train, seen = subject.trainer.train, []

    def watched(data: Any, adapters: Any, schedules: Sequence[np.ndarray], *rest: Any, **named: Any) -> Any:
        seen.extend(len(schedule) for schedule in schedules)
        return train(data, adapters, schedules, *rest, **named)

    subject.trainer.train = watched
    together = subject.train(0, 0, replace(jobs([2, 2]), steps=np.array([1, 2])), 0.0)
    assert seen == [1, 2]
    for row, steps in enumerate((1, 2)):
        one = Jobs(np.array([row]), np.array([0]), np.array([2]), np.array([steps]))
        alone = learner(backbone, data, "product").train(0, 0, one, 0.0)
        np.testing.assert_allclose(alone.loss_after[0], together.loss_after[row], rtol=1e-4)


def test_floras_vehicles_train_on_all_that_their_rsu_has_learned(backbone: Backbone, data: Texts) -> None:
    """A fresh adapter alone knows nothing: the loss before training is that of the RSU's whole model."""
    subject = learner(backbone, data, "flora")
    subject.train(0, 0, jobs([4, 2, 4], rsu=[0, 0, 1]), 0.0)
    models = [subject._models[0].at(rsu) for rsu in (0, 0, 1)]
    expected = [subject.trainer.evaluate(data, m, shards().holdout(v)).loss for v, m in enumerate(models)]
    seen = subject.train(0, 1, jobs([4, 2, 4], rsu=[0, 0, 1]), 0.0)
    np.testing.assert_allclose(seen.loss_before, expected, rtol=1e-4)


def test_floras_download_grows_and_its_upload_does_not(backbone: Backbone, data: Texts) -> None:
    subject = learner(backbone, data, "flora")
    before = subject.costs(0)
    play(subject, mixed("flora"), rounds=1)
    after = subject.costs(0)
    np.testing.assert_array_equal(before.bytes_up, after.bytes_up)
    assert (after.bytes_down > 2 * before.bytes_down).all()
    assert subject.model_bytes(0) == after.bytes_down[0]


def test_a_pruned_vehicle_never_trains_its_old_rank_again(backbone: Backbone, data: Texts) -> None:
    """A heavy penalty makes tails shrink: vehicles of rank 4 and 2 lose one rank a round, for good."""
    subject = learner(backbone, data, "hetlora", penalty=50.0)
    asked = jobs([4, 2, 1])
    subject.train(0, 0, asked, 0.0)  # B starts at zero: no tail can have shrunk
    assert subject._highest[0].tolist() == [4] * VEHICLES
    for number, highest in enumerate([[3, 1, 4], [2, 1, 4]], start=1):
        subject.train(0, number, asked, 0.0)
        assert subject._highest[0][:3].tolist() == highest  # rank 1 has no tail to prune
        assert [a.rank for a in subject._dispatch(0, number + 1, asked)] == [highest[0], 1, 1]
    subject.sync(0)
    assert subject._dispatch(0, 9, jobs([1, 4, 4]))[1].rank == 1, "a sync gives no rank back"


def test_a_pruned_vehicle_pays_for_the_rank_it_has_left(backbone: Backbone, data: Texts) -> None:
    subject = learner(backbone, data, "hetlora", penalty=50.0)
    whole = subject.costs(0)
    for number in range(2):
        subject.train(0, number, jobs([4, 2, 1]), 0.0)
    mine = subject.costs(0, np.array([0, 5]))  # the first has 3 ranks left, the other all 4
    np.testing.assert_array_equal(mine.bytes_up[1], whole.bytes_up)
    np.testing.assert_array_equal(mine.flops_per_step[1], whole.flops_per_step)
    four = list(subject.ranks).index(4)
    assert mine.bytes_up[0, four] == adapter_bytes(subject.layouts[0], 3)
    assert mine.flops_per_step[0, four] < whole.flops_per_step[four]
    rank, down, up = mine.at(np.array([1, 0]), np.array([four, four]))
    assert rank.tolist() == [4, 3]
    assert (down == up).all()
    assert up.tolist() == [whole.bytes_up[four], mine.bytes_up[0, four]]


@pytest.mark.parametrize("name", [n for n in NAMES if n != "hetlora"])
def test_no_other_rule_prunes(name: str, backbone: Backbone, data: Texts) -> None:
    subject = learner(backbone, data, name)
    play(subject, mixed(name))
    assert (subject._highest[0] == 4).all()


def test_fedras_vehicles_draw_their_own_layers_every_round(backbone: Backbone, data: Texts) -> None:
    subject = learner(backbone, data, "fedra", share=0.34)
    drawn = [[a.names for a in subject._dispatch(0, number, jobs([4] * 6))] for number in range(4)]
    assert all(len(names) == 2 for sent in drawn for names in sent), "query and value of one layer in three"
    assert len({names for sent in drawn for names in sent}) == 3
    assert len({tuple(sent) for sent in drawn}) > 1
    again = [a.names for a in subject._dispatch(0, 0, jobs([4] * 6))]
    assert again == drawn[0]
    one_layer = subject.layouts[0].per_rank // 3
    shape = adapter_bytes(subject.layouts[0], RANKS, per_rank=one_layer)
    np.testing.assert_array_equal(subject.costs(0).bytes_up, shape)


@pytest.mark.parametrize("name", NAMES)
def test_vehicles_of_one_rsu_and_rank_share_what_they_receive_unless_the_rule_draws(
    name: str, backbone: Backbone, data: Texts
) -> None:
    subject = learner(backbone, data, name)
    sent = subject._dispatch(0, 0, jobs([4, 4], rsu=[0, 0]))
    assert (sent[0] is sent[1]) == (name not in ("fedra", "flora"))


def test_only_the_drawn_layers_of_a_fedra_model_change(backbone: Backbone, data: Texts) -> None:
    subject = learner(backbone, data, "fedra", share=0.34)
    play(subject, [4] * 6)
    old = subject._models[0].cloud
    alone = jobs([4], rsu=[0])
    names = subject._dispatch(0, 9, alone)[0].names
    subject.train(0, 9, alone, 0.0)
    new = subject._models[0].at(0)
    for name in old.names:
        same = torch.allclose(old.delta(name), new.delta(name), atol=1e-5)
        assert same == (name not in names)


def test_ffa_never_changes_a(backbone: Backbone, data: Texts) -> None:
    subject = learner(backbone, data, "ffa")
    before = {name: value.clone() for name, value in subject._models[0].cloud.A.items()}
    play(subject, mixed("ffa"))
    after = subject._models[0].cloud
    assert all(torch.equal(value, after.A[name]) for name, value in before.items())
    assert after.trained


def test_a_draw_of_few_layers_costs_fewer_flops_than_all_of_them(backbone: Backbone, data: Texts) -> None:
    half, whole, plain = (
        learner(backbone, data, *args[:1], **args[1])
        for args in (("fedra", {"share": 0.5}), ("fedra", {"share": 1.0}), ("product", {}))
    )
    flops = [subject.costs(0).flops_per_step for subject in (half, whole, plain)]
    np.testing.assert_array_equal(flops[1], flops[2])
    assert (flops[0] < flops[1]).all()


def test_the_draws_of_fedra_are_all_there_are() -> None:
    # two of four layers: of the 6 pairs 3 have the first as their lowest, 2 the second, 1 the third
    got = AGGREGATION_RULES.get("fedra")(share=0.5).draws([2, 3, 4, 5])
    assert [layers for _, layers in got] == [(2, 3), (3, 4), (4, 5)]
    np.testing.assert_allclose([p for p, _ in got], [3 / 6, 2 / 6, 1 / 6])


class OneRow(Attack):
    """Every vehicle sends what it received, but for the first row of the head: a number, or as it is."""

    def __init__(self, values: Mapping[tuple[int, int], float]) -> None:
        super().__init__(AttackSettings(), 1, 0)
        self.values = values  # by round and vehicle

    def send(self, task: int, uploads: Sequence[Upload]) -> list[Upload]:
        return [replace(upload, adapter=self._sent(upload)) for upload in uploads]

    def _sent(self, upload: Upload) -> Adapter:
        sent = upload.received.copy()
        if (value := self.values.get((upload.round, upload.vehicle))) is not None:
            for tensor in sent.head.values():
                tensor[0] = value
        return sent


#: Vehicle 0 trains on 4 samples, vehicle 1 on 12; each measures on two others.
FOUR_AND_TWELVE = Shards(np.array([0, 4, 16]), np.arange(16), np.array([0, 2, 4]), np.arange(16, 20))


@pytest.mark.parametrize("keep_classes", [False, True])
@pytest.mark.parametrize("rsu", [(0, 0), (0, 1)], ids=["at one RSU", "at the cloud"])
def test_an_update_counts_with_the_samples_of_its_vehicle(
    backbone: Backbone, data: Texts, rsu: tuple[int, int], keep_classes: bool
) -> None:
    """A vehicle of 4 samples sets a row to 1, one of 12 samples to 3: the mean is 40 / 16."""
    attack = OneRow({(0, 0): 1.0, (0, 1): 3.0})
    options: dict[str, Any] = {"held": FOUR_AND_TWELVE, "keep_classes": keep_classes}
    subject = learner(backbone, data, "product", vehicles=2, attack=attack, **options)
    subject.train(0, 0, jobs([1, 1], rsu=rsu), 0.0)
    subject.sync(0)
    np.testing.assert_allclose(head(subject)[0], 40 / 16)


def test_an_rsu_that_merged_in_two_rounds_counts_twice_at_the_cloud(backbone: Backbone, data: Texts) -> None:
    """RSU 0 sets a row to 1, a round later to 2, RSU 1 sets it to 5 at first: 9 / 3, of equal vehicles."""
    attack = OneRow({(0, 0): 1.0, (0, 1): 5.0, (1, 0): 2.0})
    subject = learner(backbone, data, "product", attack=attack, keep_classes=False)
    subject.train(0, 0, jobs([1, 1], rsu=[0, 1]), 0.0)
    subject.train(0, 1, jobs([1], rsu=[0]), 0.0)
    subject.sync(0)
    np.testing.assert_allclose(head(subject)[0], 3.0)


def one_row(
    backbone: Backbone, data: Texts, values: Mapping[tuple[int, int], float], **options: Any
) -> LoraLearner:
    return learner(
        backbone, data, "product", vehicles=11, attack=OneRow(values), keep_classes=True, **options
    )


TEN_AND_ONE = jobs([1] * 11, rsu=[0] * 10 + [1])


def test_at_the_cloud_a_row_counts_with_the_samples_of_those_that_changed_it(
    backbone: Backbone, data: Texts
) -> None:
    """One of an RSU's ten vehicles sets a row to 1, the only one of another RSU to 3: one vehicle each."""
    subject = one_row(backbone, data, {(0, 0): 1.0, (0, 10): 3.0})
    subject.train(0, 0, TEN_AND_ONE, 0.0)
    subject.sync(0)
    np.testing.assert_allclose(head(subject)[0], 2.0)
    assert not head(subject)[1:].any()


def test_updates_that_multi_krum_leaves_out_stand_behind_no_row(backbone: Backbone, data: Texts) -> None:
    """Two of ten are left out; of the eight that are merged, which stand for ten, two set the row to 1."""
    values = {(0, 0): 100.0, (0, 1): -100.0, (0, 2): 1.0, (0, 3): 1.0, (0, 10): 3.0}
    subject = one_row(backbone, data, values)
    subject.gate = Gate(subject.rule, DefenceSettings(rule="multi-krum", rule_options={"share": 0.2}), 1)
    subject.train(0, 0, TEN_AND_ONE, 0.0)
    subject.sync(0)
    np.testing.assert_allclose(head(subject)[0], (2.5 * 1.0 + 1 * 3.0) / 3.5, rtol=1e-6)


def test_samples_behind_a_row_add_up_over_the_rounds_until_a_sync_and_a_restart(
    backbone: Backbone, data: Texts
) -> None:
    values = {(0, 0): 1.0, (1, 1): 5.0, (1, 10): 2.0, (2, 0): 0.5, (2, 10): 3.5}
    first = one_row(backbone, data, values)
    first.train(0, 0, TEN_AND_ONE, 0.0)
    subject = one_row(backbone, data, values)
    subject.load_state_dict(first.state_dict())
    subject.train(0, 1, TEN_AND_ONE, 0.0)
    subject.sync(0)
    np.testing.assert_allclose(head(subject)[0], (2 * 5.0 + 2.0) / 3)
    subject.train(0, 2, TEN_AND_ONE, 0.0)
    subject.sync(0)
    np.testing.assert_allclose(head(subject)[0], 2.0, err_msg="a sync begins anew")


def test_in_an_older_state_a_row_counts_with_all_samples_of_an_rsu_that_moved_it(
    backbone: Backbone, data: Texts
) -> None:
    values = {(0, 0): 1.0, (0, 10): 3.0}
    first = one_row(backbone, data, values)
    first.train(0, 0, TEN_AND_ONE, 0.0)
    state = first.state_dict()
    for models in state["models"]:
        del models["rows"]
    subject = one_row(backbone, data, values)
    subject.load_state_dict(state)
    subject.sync(0)
    np.testing.assert_allclose(head(subject)[0], (10 * 1.0 + 3.0) / 11, rtol=1e-6)


def test_a_saved_adapter_names_its_backbone_as_other_machines_know_it(data: Texts, tmp_path: Path) -> None:
    folder = save_model(bert_config(), tmp_path / "bert")
    learner(Backbone.from_path(folder, name="asset:minilm"), data, "product").save(0, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text("utf-8"))
    assert config["base_model_name_or_path"] == "sentence-transformers/all-MiniLM-L6-v2"
    info = load_head_info(tmp_path / "out")
    assert (info["backbone"], info["classes"], info["max_tokens"]) == ("asset:minilm", list("abcde"), None)
    assert str(tmp_path) not in (tmp_path / "out" / "head.safetensors").read_bytes().decode("latin-1")
