"""Saved adapters are PEFT's: what PEFT loads computes what we compute; what is damaged is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from fleetlora.errors import InputError
from fleetlora.lora import (
    Adapter,
    Backbone,
    CohortTrainer,
    Examples,
    LocalTraining,
    LoraSpec,
    Product,
    init_adapter,
    load_peft,
    save_peft,
)
from fleetlora.lora.branches import merged
from tests.lora.reference import distance, quiet_peft, trained_like

SPEC = LoraSpec(target_modules=("query", "value", "dense"), layers=(-2, -1), alpha=12.0)


def adapter_of(backbone: Backbone, rank: int = 3) -> Adapter:
    return trained_like(init_adapter(backbone.layout(SPEC, 5), rank, 0), 1, size=0.3)


@pytest.mark.parametrize("family", ["bert", "vit"])
def test_peft_loads_a_saved_adapter_and_computes_the_same(
    family: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    backbone, base = request.getfixturevalue(family), request.getfixturevalue(f"{family}_dir")
    examples: Examples = request.getfixturevalue("texts" if family == "bert" else "images")
    layout = backbone.layout(SPEC, 5)
    rule = Product(max_rank=6)  # an aggregated model, with layers of unequal rank padded
    parts = [trained_like(init_adapter(layout, r, r), r, size=0.3) for r in (1, 2, 4)]
    model = rule.combine(parts, [1, 2, 3])
    save_peft(model, tmp_path, base)

    plain = transformers.AutoModel.from_pretrained(base, use_safetensors=True)
    with quiet_peft():
        loaded = peft.PeftModel.from_pretrained(plain, tmp_path).eval()
    rows = np.arange(8)
    batch = examples.batch(rows)
    with torch.no_grad():
        theirs = loaded(**{k: torch.from_numpy(v) for k, v in batch.items()}).last_hidden_state
        with merged(backbone, model):
            ours = backbone.prefix(batch, backbone.n_layers)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)

    head = load_file(tmp_path / "head.safetensors")
    mask = torch.from_numpy(batch["attention_mask"]).bool() if family == "bert" else None
    logits = backbone.pool(theirs, mask) @ head["weight"].T + head["bias"]
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(examples.labels[rows]))
    found = CohortTrainer(backbone, SPEC, LocalTraining()).evaluate(examples, model, rows)
    assert found.loss == pytest.approx(float(loss), abs=1e-5)


def test_an_adapter_survives_the_disk_bit_for_bit(bert: Backbone, tmp_path: Path) -> None:
    adapter = adapter_of(bert)
    save_peft(adapter, tmp_path / "new" / "folder", bert.path)
    loaded = load_peft(tmp_path / "new" / "folder")
    assert distance(loaded, adapter) == 0.0
    assert (loaded.rank, loaded.alpha) == (3, 12.0)
    files = sorted(p.name for p in (tmp_path / "new" / "folder").iterdir())
    assert files == ["adapter_config.json", "adapter_model.safetensors", "head.safetensors"]


def test_what_peft_saves_can_be_loaded(bert: Backbone, bert_dir: Path, tmp_path: Path) -> None:
    adapter = adapter_of(bert)
    save_peft(adapter, tmp_path / "ours", bert_dir)
    with quiet_peft():
        model = peft.PeftModel.from_pretrained(
            transformers.AutoModel.from_pretrained(bert_dir), tmp_path / "ours"
        )
        model.save_pretrained(tmp_path / "theirs")
    save_file(dict(adapter.head), tmp_path / "theirs" / "head.safetensors")
    assert distance(load_peft(tmp_path / "theirs"), adapter) == 0.0


def test_a_head_alone_is_one_file(bert: Backbone, tmp_path: Path) -> None:
    adapter = adapter_of(bert).head_only()
    save_peft(adapter, tmp_path, bert.path)
    assert [p.name for p in tmp_path.iterdir()] == ["head.safetensors"]
    loaded = load_peft(tmp_path)
    assert (loaded.rank, loaded.alpha, loaded.names) == (0, 12.0, ())
    assert distance(loaded, adapter) == 0.0


@pytest.fixture
def saved(bert: Backbone, tmp_path: Path) -> Path:
    save_peft(adapter_of(bert), tmp_path, bert.path)
    return tmp_path


def edit_config(saved: Path, **changes: object) -> None:
    path = saved / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_factors(saved: Path, **changes: torch.Tensor | None) -> None:
    path = saved / "adapter_model.safetensors"
    flat = load_file(path)
    key = next(iter(flat)).replace("lora_B", "lora_A")
    flat |= {name.format(key=key): value for name, value in changes.items() if value is not None}
    for name, value in changes.items():
        if value is None:
            del flat[name.format(key=key)]
    save_file(flat, path)


def test_a_directory_without_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"head\.safetensors: no such file"):
        load_peft(tmp_path)


def test_pickled_factors_are_refused(saved: Path) -> None:
    (saved / "adapter_model.safetensors").rename(saved / "adapter_model.bin")
    with pytest.raises(InputError, match="holds pickled factors only"):
        load_peft(saved)


def test_absent_factors_are_refused(saved: Path) -> None:
    (saved / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"adapter_model\.safetensors: no such file"):
        load_peft(saved)


def test_an_absent_configuration_is_refused(saved: Path) -> None:
    (saved / "adapter_config.json").unlink()
    with pytest.raises(InputError, match=r"adapter_config\.json: no such file"):
        load_peft(saved)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "head.safetensors"])
def test_damaged_files_are_refused_by_name(saved: Path, name: str) -> None:
    path = saved / name
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=f"{name}: not a readable safetensors file"):
        load_peft(saved)


def test_a_damaged_configuration_is_refused(saved: Path) -> None:
    (saved / "adapter_config.json").write_text("{")
    with pytest.raises(InputError, match=r"adapter_config\.json:1: broken JSON"):
        load_peft(saved)


@pytest.mark.parametrize(
    "changes",
    [{"peft_type": "IA3"}, {"use_rslora": True}, {"rank_pattern": {"query": 2}}, {"bias": "all"}, {"r": 0}],
    ids=str,
)
def test_other_kinds_of_adapters_are_refused(saved: Path, changes: dict[str, object]) -> None:
    edit_config(saved, **changes)
    with pytest.raises(InputError, match="not a plain LoRA configuration"):
        load_peft(saved)


def test_factors_of_another_rank_are_refused(saved: Path) -> None:
    edit_config(saved, r=4)
    with pytest.raises(InputError, match="are not factors of rank 4"):
        load_peft(saved)


def test_factors_that_are_not_finite_are_refused(saved: Path) -> None:
    edit_factors(saved, **{"{key}": torch.full((3, 32), float("nan"))})
    with pytest.raises(InputError, match="not finite"):
        load_peft(saved)


def test_a_missing_factor_is_refused(saved: Path) -> None:
    edit_factors(saved, **{"{key}": None})
    with pytest.raises(InputError, match="factors are missing"):
        load_peft(saved)


def test_a_foreign_tensor_is_refused(saved: Path) -> None:
    edit_factors(saved, intruder=torch.zeros(2))
    with pytest.raises(InputError, match="unexpected tensor intruder"):
        load_peft(saved)


def test_a_head_of_the_wrong_shape_is_refused(saved: Path) -> None:
    save_file({"weight": torch.zeros(5, 32), "bias": torch.zeros(4)}, saved / "head.safetensors")
    with pytest.raises(InputError, match="a head is weight"):
        load_peft(saved)
