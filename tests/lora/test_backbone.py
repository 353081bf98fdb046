"""Loading encoders of several families, refusing what cannot be used, and splitting them exactly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from fleetlora.errors import ConfigError, InputError
from fleetlora.lora import Backbone, LoraSpec
from tests.lora.conftest import (
    IMAGE,
    VOCABULARY,
    Images,
    Texts,
    bert_config,
    save_model,
    vit_config,
)

SMALL = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 40}
TEXT = {"vocab_size": VOCABULARY, "max_position_embeddings": 24, "initializer_range": 0.2}

FAMILIES = {
    "bert": bert_config(),
    "vit": vit_config(),
    "roberta": transformers.RobertaConfig(**SMALL, **TEXT),
    "electra": transformers.ElectraConfig(**SMALL, **TEXT, embedding_size=16),
    "distilbert": transformers.DistilBertConfig(
        vocab_size=VOCABULARY, max_position_embeddings=24, dim=24, n_layers=3, n_heads=3, hidden_dim=40
    ),
    "deit": transformers.DeiTConfig(**SMALL, image_size=IMAGE, patch_size=8),
    "dinov2": transformers.Dinov2Config(
        hidden_size=24, num_hidden_layers=3, num_attention_heads=3, image_size=IMAGE, patch_size=8
    ),
}


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    directory = save_model(FAMILIES[request.param], tmp_path_factory.mktemp(request.param))
    return Backbone.from_path(directory)


def test_prefix_and_suffix_are_the_models_own_pass_at_every_depth(
    family: Backbone, texts: Texts, images: Images
) -> None:
    batch = (texts if family.kind == "text" else images).batch(np.arange(5))
    mask = torch.from_numpy(batch["attention_mask"]).bool() if family.kind == "text" else None
    inputs = {name: torch.from_numpy(value) for name, value in batch.items()}
    with torch.no_grad():
        whole = family.model(**inputs).last_hidden_state
        for depth in range(family.n_layers + 1):
            split = family.suffix(family.prefix(batch, depth), mask, depth)
            real = slice(None) if mask is None else mask
            torch.testing.assert_close(split[real], whole[real], atol=1e-5, rtol=1e-5)


def test_common_words_name_the_same_layers_in_every_family(family: Backbone) -> None:
    words = ("query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense")
    for word in words:
        (names,) = family.targets(LoraSpec(target_modules=(word,), layers=(-1,))).values()
        assert all(f".{family.n_layers - 1}." in name for name in names)
    every = family.targets(LoraSpec(target_modules=words, layers=(-1,)))[family.n_layers - 1]
    assert len(every) == 6  # the six linear layers of an encoder layer


def test_a_backbone_is_frozen_and_has_no_dropout(family: Backbone) -> None:
    assert not family.model.training
    assert not any(p.requires_grad for p in family.model.parameters())


def test_text_is_pooled_by_the_mean_of_its_real_tokens(bert: Backbone, texts: Texts) -> None:
    features = bert.features(texts.batch(np.array([3, 8])))
    for line, row in enumerate((3, 8)):
        alone = bert.prefix(texts.batch(np.array([row])), bert.n_layers)[0]
        torch.testing.assert_close(features[line], alone.mean(0), atol=1e-5, rtol=1e-5)


def test_images_are_pooled_by_their_first_token(vit: Backbone, images: Images) -> None:
    batch = images.batch(np.array([0, 1]))
    torch.testing.assert_close(vit.features(batch), vit.prefix(batch, vit.n_layers)[:, 0])
    assert vit.image_tokens == 1 + (IMAGE // 8) ** 2


def test_pooling_can_be_chosen(bert_dir: Path, texts: Texts) -> None:
    backbone = Backbone.from_path(bert_dir, pooling="cls")
    batch = texts.batch(np.array([0, 1]))
    torch.testing.assert_close(backbone.features(batch), backbone.prefix(batch, 3)[:, 0])


def test_layers_count_from_the_top_when_negative(bert: Backbone) -> None:
    assert sorted(bert.targets(LoraSpec(layers=(-1, 0)))) == [0, 2]
    assert bert.lowest_adapted(LoraSpec(layers=(-2, -1))) == 1
    assert bert.lowest_adapted(LoraSpec()) == 0


def test_a_layout_holds_the_shapes_of_the_adapted_layers(bert: Backbone) -> None:
    layout = bert.layout(LoraSpec(target_modules=("query", "intermediate.dense"), layers=(-1,)), 7)
    assert dict(layout.shapes) == {
        "encoder.layer.2.attention.self.query": (32, 32),
        "encoder.layer.2.intermediate.dense": (48, 32),
    }
    assert (layout.width, layout.n_classes, layout.alpha) == (32, 7, 16.0)


def test_a_layer_that_does_not_exist_is_refused(bert: Backbone) -> None:
    with pytest.raises(ConfigError, match=r"lora\.layers: layer 3 does not exist: the backbone has 3 layers"):
        bert.targets(LoraSpec(layers=(3,)))


def test_a_target_that_does_not_exist_is_refused_with_the_nearest_name(bert: Backbone) -> None:
    with pytest.raises(ConfigError, match="did you mean 'query'"):
        bert.targets(LoraSpec(target_modules=("qurey",)))


def test_texts_may_be_as_long_as_the_position_table(bert: Backbone, tmp_path: Path) -> None:
    assert bert.most_tokens == 24
    roberta = Backbone.from_path(save_model(FAMILIES["roberta"], tmp_path))
    assert roberta.most_tokens == 22  # positions start after the padding index 1


def test_a_directory_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model directory"):
        Backbone.from_path(tmp_path / "nowhere")


def test_a_directory_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no config\.json"):
        Backbone.from_path(tmp_path)


def test_a_directory_without_weights_is_refused(bert_dir: Path, tmp_path: Path) -> None:
    shutil.copy(bert_dir / "config.json", tmp_path)
    with pytest.raises(InputError, match="holds no weights"):
        Backbone.from_path(tmp_path)


def test_pickled_weights_are_refused_with_the_way_to_convert_them(bert_dir: Path, tmp_path: Path) -> None:
    shutil.copy(bert_dir / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(InputError, match=r"pytorch_model\.bin.*\n.*save_pretrained"):
        Backbone.from_path(tmp_path)


def test_damaged_weights_are_refused(bert_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(bert_dir, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot load an encoder"):
        Backbone.from_path(tmp_path / "cut")


def test_weights_that_lack_a_layer_are_refused_by_name(bert_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(bert_dir, tmp_path / "more")
    config = tmp_path / "more" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_hidden_layers": 4}))
    with pytest.raises(InputError, match=r"the weights lack 16 tensors, first encoder\.layer\.3"):
        Backbone.from_path(tmp_path / "more")


def test_foreign_code_is_never_run(bert_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(bert_dir, tmp_path / "code")
    config = tmp_path / "code" / "config.json"
    foreign = {"model_type": "mystery", "auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}}
    config.write_text(json.dumps(json.loads(config.read_text()) | foreign))
    (tmp_path / "code" / "evil.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w')\n")
    with pytest.raises(InputError, match="cannot load an encoder"):
        Backbone.from_path(tmp_path / "code")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "config",
    [
        transformers.AlbertConfig(**SMALL, vocab_size=VOCABULARY, embedding_size=16),
        transformers.GPT2Config(
            vocab_size=VOCABULARY,
            n_embd=24,
            n_layer=2,
            n_head=3,
            n_positions=24,
            bos_token_id=1,
            eos_token_id=1,
        ),
    ],
    ids=["shared layers", "decoder"],
)
def test_a_model_whose_layers_cannot_be_split_is_refused(
    config: transformers.PreTrainedConfig, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="cannot be run one by one"):
        Backbone.from_path(save_model(config, tmp_path))
