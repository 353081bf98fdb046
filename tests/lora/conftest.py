"""Tiny randomly initialised encoders saved to disk, and data for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from fleetlora.lora import Backbone

VOCABULARY = 60
IMAGE = 16


@dataclass(frozen=True, eq=False)
class Texts:
    """Random token sequences; a token of the label's own makes them learnable."""

    labels: np.ndarray
    lengths: np.ndarray
    tokens: list[np.ndarray]

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        longest = int(self.lengths[rows].max())
        ids = np.zeros((len(rows), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for line, row in enumerate(rows):
            ids[line, : self.lengths[row]] = self.tokens[row]
            mask[line, : self.lengths[row]] = 1
        return {"input_ids": ids, "attention_mask": mask}


@dataclass(frozen=True, eq=False)
class Images:
    labels: np.ndarray
    pixels: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        return np.ones(len(self.labels), dtype=np.int32)

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {"pixel_values": self.pixels[rows]}


def make_texts(
    count: int = 96, classes: int = 5, shortest: int = 3, longest: int = 12, seed: int = 0
) -> Texts:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    lengths = rng.integers(shortest, longest + 1, count).astype(np.int32)
    tokens = [rng.integers(classes + 1, VOCABULARY, size) for size in lengths]
    for row, label in zip(tokens, labels, strict=True):
        row[0] = label + 1
    return Texts(labels, lengths, tokens)


def make_images(count: int = 48, classes: int = 5, seed: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    return Images(
        rng.integers(0, classes, count), rng.normal(size=(count, 3, IMAGE, IMAGE)).astype(np.float32)
    )


def bert_config(**changes: int) -> transformers.BertConfig:
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
    return transformers.BertConfig(
        vocab_size=VOCABULARY, max_position_embeddings=24, initializer_range=0.2, **(sizes | changes)
    )


def vit_config(**changes: int) -> transformers.ViTConfig:
    sizes = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 40}
    return transformers.ViTConfig(image_size=IMAGE, patch_size=8, initializer_range=0.2, **(sizes | changes))


def save_model(config: transformers.PreTrainedConfig, directory: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = transformers.AutoModel.from_config(config)
        for name, weight in model.named_parameters():  # biases and norms that a shortcut would get wrong
            if weight.dim() == 1:
                torch.nn.init.normal_(
                    weight, mean=float("norm" in name.lower() and "weight" in name), std=0.1
                )
    model.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def bert_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(bert_config(), tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def vit_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(vit_config(), tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="session")
def bert(bert_dir: Path) -> Backbone:
    return Backbone.from_path(bert_dir)


@pytest.fixture(scope="session")
def vit(vit_dir: Path) -> Backbone:
    return Backbone.from_path(vit_dir)


@pytest.fixture(scope="session")
def texts() -> Texts:
    return make_texts()


@pytest.fixture(scope="session")
def images() -> Images:
    return make_images()


@pytest.fixture(autouse=True)
def few_threads() -> None:
    torch.set_num_threads(1)
