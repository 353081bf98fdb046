"""What fits on the device that computes: tokens of one pass, and outputs of frozen layers that are kept."""

from __future__ import annotations

import torch

__all__ = ["block_tokens", "group_tokens", "kept_bytes"]

#: On a processor, bytes of the widest activation of one pass. Larger blocks fall out of the allocator's pool
#: (glibc maps those over 32 MiB afresh each time), which costs more than larger products win.
BLOCK_BYTES = 24 * 2**20

#: Tokens of one group that the frozen layers run, on a processor and on a GPU. A round asks for a few new
#: examples of a length, and the rest of a group is for nothing, which a GPU does not feel.
GROUP_TOKENS, GPU_GROUP_TOKENS = 128, 2048

#: Shares of a GPU's memory for the activations of one pass and for kept outputs; weights, adapters and what
#: the libraries take have the rest.
PASS_SHARE, KEPT_SHARE = 0.5, 0.2

#: What training keeps of a token in a layer, in its width (norms, projections, attention, sums) and in that
#: of its widest product (before and after the activation, and the gradient).
WIDTHS, WIDEST = 12, 3


def block_tokens(device: torch.device, layers: int, width: int, widest: int) -> int:
    """Return the most tokens of one pass.

    Args:
        device: Where it is made.
        layers: Layers of the encoder.
        width: Width of their inputs.
        widest: Width of their widest product.
    """
    if device.type == "cpu":
        return max(1, BLOCK_BYTES // (4 * widest))
    each = 4 * layers * (WIDTHS * width + WIDEST * widest)
    return max(1, int(PASS_SHARE * _total(device)) // each)


def group_tokens(device: torch.device) -> int:
    """Return about how many tokens the frozen layers run at a time."""
    return GROUP_TOKENS if device.type == "cpu" else GPU_GROUP_TOKENS


def kept_bytes(device: torch.device, asked: int) -> int:
    """Return the memory for kept outputs: what is ``asked`` for, on a GPU at most its share."""
    return asked if device.type == "cpu" else min(asked, int(KEPT_SHARE * _total(device)))


def _total(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).total_memory)
