"""What a finished adapter says of examples that nobody has labelled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import linear

from fleetlora.lora.adapter import Adapter
from fleetlora.lora.backbone import Backbone
from fleetlora.lora.branches import merged
from fleetlora.lora.examples import Examples
from fleetlora.lora.packing import batches
from fleetlora.lora.prefix import token_counts

__all__ = ["logits_of"]


@torch.no_grad()
def logits_of(backbone: Backbone, adapter: Adapter, examples: Examples) -> npt.NDArray[np.float32]:
    """Return the head's (N, c) float32 logits of all examples, the adapter merged in for the while.

    Args:
        backbone: The frozen encoder that the adapter was made for.
        adapter: The model.
        examples: N examples; their labels are not read.
    """
    tokens = token_counts(backbone, examples)
    weight, bias = (adapter.head[name].to(backbone.device) for name in ("weight", "bias"))
    found = np.empty((len(tokens), adapter.n_classes), dtype=np.float32)
    with merged(backbone, adapter):
        for rows in batches(np.arange(len(tokens)), tokens, backbone.block_tokens):
            found[rows] = linear(backbone.features(examples.batch(rows)), weight, bias).cpu().numpy()
    return found
