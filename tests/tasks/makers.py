"""Small inputs that the tests of this room make: a tokenizer, backbone folders, images, tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

WORDS = ("the", "car", "stops", "at", "red", "light", "green", "go", "turn", "left", "right", "now", "please")


def save_text_backbone(folder: Path, **config: Any) -> Path:
    """Save a WordPiece tokenizer and a BERT configuration, without weights."""
    from transformers import BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"abcdefghijklmnopqrstuvwxyz"]
    vocabulary += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), "utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=128).save_pretrained(folder)
    described = {"model_type": "bert", "max_position_embeddings": 128, **config}
    (folder / "config.json").write_text(json.dumps(described), "utf-8")
    return folder


def save_image_backbone(
    folder: Path, preprocessor: dict[str, Any] | None = None, image_size: int = 32
) -> Path:
    """Save a ViT configuration and, if given, a preprocessor, without weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "vit", "image_size": image_size}), "utf-8")
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor), "utf-8")
    return folder


def images(n: int, height: int = 8, width: int = 8, seed: int = 0) -> np.ndarray:
    """Return (n, height, width, 3) random uint8 pixels."""
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)
