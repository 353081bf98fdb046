"""Attention is PyTorch's; on a processor it stays in float32 where the rest of the encoder is in bfloat16."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fleetlora.lora.backbone import Backbone
from tests.lora.conftest import Texts


class Arithmetic(TorchDispatchMode):
    """Notes in which arithmetic attention and products of matrices are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.attention: set[torch.dtype] = set()
        self.products: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "scaled_dot_product" in str(func):
            self.attention.add(args[0].dtype)
        elif str(func).startswith(("aten.mm", "aten.addmm")):
            self.products.add(args[-1].dtype)
        return func(*args, **(kwargs or {}))


def gradient(backbone: Backbone, texts: Texts, dtype: torch.dtype) -> Tensor:
    """Return the gradient of the summed features by the inputs of the first layer."""
    batch = texts.batch(np.arange(16))
    hidden = backbone.prefix(batch, 0).requires_grad_()
    mask = backbone.tensor(batch["attention_mask"] > 0)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        (backbone.pool(backbone.suffix(hidden, mask, 0), mask).float() ** 2).sum().backward()
    assert hidden.grad is not None
    return hidden.grad


def test_in_float32_it_is_pytorchs_to_the_bit(bert_dir: Path, bert: Backbone, texts: Texts) -> None:
    plain = Backbone.from_path(bert_dir)
    plain.model.set_attn_implementation("sdpa")
    assert torch.equal(gradient(bert, texts, torch.float32), gradient(plain, texts, torch.float32))


def test_beside_bfloat16_products_it_is_float32(bert_dir: Path, bert: Backbone, texts: Texts) -> None:
    with Arithmetic() as seen:
        ours = gradient(bert, texts, torch.bfloat16)
    assert seen.attention == {torch.float32}
    assert torch.bfloat16 in seen.products

    plain = Backbone.from_path(bert_dir)
    plain.model.set_attn_implementation("sdpa")
    with Arithmetic() as seen:
        theirs = gradient(plain, texts, torch.bfloat16)
    assert seen.attention == {torch.bfloat16}

    exact = gradient(bert, texts, torch.float32)
    assert torch.linalg.norm(ours - exact) < 0.05 * torch.linalg.norm(exact)
    assert torch.linalg.norm(theirs - exact) < 0.05 * torch.linalg.norm(exact)
