"""What whoever uses a head must know beside its tensors: its classes, and what made the features it reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor
from typing_extensions import TypedDict

from fleetlora.lora.backbone import Backbone

__all__ = ["HeadInfo", "checksum", "head_info", "weights_sha256"]


class HeadInfo(TypedDict):
    """Notes that are kept with a head.

    Attributes:
        kind: Which rows it is for.
        classes: Class names, in the order of the head's rows.
        max_tokens: Tokens that texts were cut to, special tokens included; ``None`` where nothing was cut.
        pooling: How the backbone's last hidden states become features.
        normalised: Whether features are scaled to unit length before the head reads them; they are not.
        backbone: What the run's configuration calls the backbone.
        backbone_sha256: Checksum of its weights.
    """

    kind: Literal["text", "image"]
    classes: list[str]
    max_tokens: int | None
    pooling: Literal["mean", "cls"]
    normalised: Literal[False]
    backbone: str
    backbone_sha256: str


def head_info(backbone: Backbone, classes: Sequence[str], max_tokens: int | None) -> HeadInfo:
    """Return the notes of a head over ``backbone``.

    Args:
        backbone: The frozen encoder, with nothing merged into it.
        classes: Class names, in the order of the head's rows.
        max_tokens: Tokens that texts were cut to; ``None`` where nothing was cut.
    """
    return {
        "kind": backbone.kind,
        "classes": list(classes),
        "max_tokens": max_tokens,
        "pooling": backbone.pooling,
        "normalised": False,
        "backbone": backbone.name,
        "backbone_sha256": weights_sha256(backbone),
    }


def weights_sha256(backbone: Backbone) -> str:
    """Return a checksum of the backbone's weights."""
    return checksum(dict(backbone.model.named_parameters()))


def checksum(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """Return a checksum over names, shapes and values, float32, and over a text."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().float().cpu().contiguous()
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.numpy().data)
    digest.update(text.encode())
    return digest.hexdigest()
