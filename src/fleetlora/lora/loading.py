"""Loading an encoder's weights: safetensors only, complete, and no foreign code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fleetlora.errors import InputError, MissingDependencyError, first_line

__all__ = ["load_encoder", "without_pooler"]

#: Weights that a pooled encoder does without: they stand above the features that the head reads.
SPARE = ("pooler.", "cls.", "classifier.", "lm_head.", "mask_token")


def load_encoder(path: str | Path) -> nn.Module:
    """Return the encoder of a directory or hub id, in float32.

    Raises:
        InputError: Not an encoder's directory, weights absent, incomplete or pickled, or unknown id.
        MissingDependencyError: transformers is not installed.
    """
    try:
        from transformers import AutoModel

        from fleetlora.lora.attention import ATTENTION
    except ImportError as error:
        raise MissingDependencyError(
            "training needs transformers", mend="pip install 'fleetlora[train]'"
        ) from error

    local = Path(path).is_dir()
    if local:
        check_directory(Path(path))
    elif Path(path).is_absolute() or str(path).startswith((".", "~")) or Path(path).exists():
        raise InputError(
            "no such model directory", where=str(path), mend="give a directory with config.json, or a hub id"
        )
    try:
        with _quiet():
            model, info = AutoModel.from_pretrained(
                str(path),
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=local,
                attn_implementation=ATTENTION,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except (
        Exception
    ) as error:  # the loaders raise many kinds; each means that this path holds no usable encoder
        raise InputError(
            f"cannot load an encoder: {first_line(error).rstrip('.')}",
            where=str(path),
            mend="give a directory with config.json and model.safetensors, or a hub id",
        ) from error
    _check_complete(info, str(path))
    return without_pooler(model)


def check_directory(directory: Path) -> None:
    """Refuse a directory without a configuration, without weights, or with pickled weights only.

    Raises:
        InputError: Says which, and how to convert pickled weights.
    """
    if not (directory / "config.json").is_file():
        raise InputError(
            "holds no config.json", where=str(directory), mend="give the directory of a Hugging Face encoder"
        )
    if any(directory.glob("*.safetensors")):
        return
    pickled = sorted(p.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt") for p in directory.glob(kind))
    if pickled:
        raise InputError(
            f"holds pickled weights only ({pickled[0]}), which can run code when they are read",
            where=str(directory),
            mend="convert them in a place you trust: load the model with transformers and call "
            "save_pretrained(directory), which writes model.safetensors",
        )
    raise InputError("holds no weights", where=str(directory), mend="add model.safetensors")


def _check_complete(info: dict[str, Any], where: str) -> None:
    lacking = sorted(k for k in info["missing_keys"] if not any(spare in k for spare in SPARE))
    wrong = sorted(str(k) for k in info.get("mismatched_keys", ()))
    if lacking or wrong:
        what = f"lack {len(lacking)} tensors, first {lacking[0]}" if lacking else f"do not fit: {wrong[0]}"
        raise InputError(f"the weights {what}", where=where, mend="fetch the model again")


def without_pooler(model: Any) -> nn.Module:
    """Return the encoder without its pooler, which the features do not pass through."""
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    module: nn.Module = model
    return module


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the loader's progress bars and remarks; what matters is checked and raised here."""
    from transformers.utils import logging as chatter

    logging: Any = chatter

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
