"""The frozen encoder: loading it, finding its layers, and running it in two parts.

Any Hugging Face encoder works whose layers stand in one ``ModuleList`` and are called with hidden states and
a mask (BERT, RoBERTa, DistilBERT, ELECTRA, ViT, DeiT …). Loading runs a small probe through the model's
own forward pass and through the split one; a model whose layers need more than that is refused.

The *prefix* (embeddings and the layers below the lowest adapted one) never changes, so its output can be
kept per example; the *suffix* (the layers from there up, and the final norm if there is one) is what trains.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from fleetlora.errors import InputError
from fleetlora.lora.casting import CastWeights
from fleetlora.lora.loading import load_encoder, without_pooler
from fleetlora.lora.memory import block_tokens
from fleetlora.lora.sizes import AdapterLayout
from fleetlora.lora.spec import LoraSpec
from fleetlora.lora.targets import adapted_names

__all__ = ["Backbone", "Pooling"]

Pooling = Literal["auto", "mean", "cls"]

#: Weights a token meets in the time that a layer takes to start: what a pass costs beside its tokens.
PASS_WEIGHTS = 5e7


class _Reached(Exception):
    """Carries the hidden states out of a forward pass that is stopped at a layer."""

    def __init__(self, hidden: Tensor) -> None:
        self.hidden = hidden


class Backbone:
    """A frozen encoder in evaluation mode, split into prefix and suffix.

    Build it with :meth:`from_path`.

    Args:
        model: A Hugging Face encoder.
        path: What it was loaded from, for messages.
        pooling: ``mean`` over the real tokens, ``cls`` (the first token), or ``auto``: mean for text,
            cls for images.
        name: What a configuration calls it, noted with saved adapters; ``path`` if not given.

    Raises:
        InputError: The model's layers cannot be run one by one.
    """

    def __init__(
        self, model: nn.Module, path: str, pooling: Pooling = "auto", name: str | None = None
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.path = path
        self.name = name or path
        self.kind: Literal["text", "image"] = (
            "image" if getattr(model, "main_input_name", "input_ids") == "pixel_values" else "text"
        )
        auto: Literal["mean", "cls"] = "mean" if self.kind == "text" else "cls"
        self.pooling: Literal["mean", "cls"] = auto if pooling == "auto" else pooling
        self.layers_path, self.layers = _encoder_layers(model, path)
        self._cast = CastWeights(self.layers)
        self.norm: nn.Module | None = None
        try:
            shape = self._probe()
        except (TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise _unfit(path) from error
        self.width = shape[2]
        self.image_tokens = shape[1] if self.kind == "image" else 0

    @classmethod
    def from_path(cls, path: str | Path, pooling: Pooling = "auto", name: str | None = None) -> Backbone:
        """Load an encoder from a directory, or from the hub by its id.

        Only safetensors weights are read and no code that comes with a model is run; a directory is read
        without touching the network.

        Raises:
            InputError: Not an encoder's directory, weights absent, incomplete or pickled, or unknown id.
        """
        return cls(load_encoder(path), str(path), pooling, name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state that came from a process that had named our attention to transformers."""
        import fleetlora.lora.attention  # noqa: F401

        self.__dict__.update(state)

    @property
    def device(self) -> torch.device:
        """Where the weights are, and all passes are made."""
        return next(self.model.parameters()).device

    def to(self, device: str) -> Backbone:
        """Move the weights to ``cpu`` or ``cuda``; return itself.

        Raises:
            InputError: PyTorch sees no GPU.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError(
                "PyTorch sees no GPU here",
                where="backbone.device = cuda",
                mend="set it to cpu, or install a build of PyTorch for this machine's GPU",
            )
        self.model.to(device)
        return self

    def tensor(self, array: np.ndarray) -> Tensor:
        """Return an array's values where the weights are."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    @property
    def n_layers(self) -> int:
        """Encoder layers."""
        return len(self.layers)

    @property
    def widest(self) -> int:
        """Width of the widest activation of a layer: the most output features of its linear layers."""
        return max(m.out_features for m in self.layers[0].modules() if isinstance(m, nn.Linear))

    @property
    def most_tokens(self) -> int:
        """Longest text it takes, in tokens."""
        for name, module in self.model.named_modules():
            if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
                skipped = module.padding_idx  # RoBERTa counts positions from its padding index on
                return module.num_embeddings - (0 if skipped is None else int(skipped) + 1)
        return 2**31

    @property
    def block_tokens(self) -> int:
        """Most tokens of one pass on the device of the weights."""
        return block_tokens(self.device, self.n_layers, self.width, self.widest)

    @property
    def pass_tokens(self) -> float:
        """What a pass costs beside its tokens, in tokens: the narrower the layers, the more."""
        return PASS_WEIGHTS / sum(p.numel() for p in self.layers[0].parameters())

    def linear(self, name: str) -> nn.Linear:
        """Return the linear layer at a module path."""
        return cast(nn.Linear, self.model.get_submodule(name))

    def targets(self, spec: LoraSpec) -> dict[int, list[str]]:
        """Return the adapted module paths by encoder layer, lowest layer first.

        Raises:
            ConfigError: A layer or a target does not exist.
        """
        return adapted_names(self.layers, self.layers_path, spec)

    def layout(self, spec: LoraSpec, n_classes: int) -> AdapterLayout:
        """Return the shapes of the adapters that ``spec`` puts on this backbone for ``n_classes`` classes."""
        shapes = {
            name: (self.linear(name).out_features, self.linear(name).in_features)
            for names in self.targets(spec).values()
            for name in names
        }
        return AdapterLayout(shapes, self.width, n_classes, spec.alpha)

    def lowest_adapted(self, spec: LoraSpec) -> int:
        """Return the number of the lowest adapted layer: the prefix's depth."""
        return min(self.targets(spec))

    def prefix(self, batch: Mapping[str, np.ndarray], depth: int) -> Tensor:
        """Return the input of layer ``depth``, or of the pooling if there is no such layer, (n, L, d).

        Args:
            batch: The model's inputs.
            depth: Layers below which the model runs, 0 … n_layers.
        """
        inputs = {name: self.tensor(value) for name, value in batch.items()}
        inputs = {k: v if v.is_floating_point() else v.long() for k, v in inputs.items()}
        return self.run_below(inputs, depth)

    @torch.no_grad()
    def run_below(self, inputs: Mapping[str, Tensor], depth: int) -> Tensor:
        """Return the input of layer ``depth`` as :meth:`prefix` does, for inputs that are tensors already."""
        with self._cast.acting(slice(depth), self.device):
            return self._below(inputs, depth)

    def _below(self, inputs: Mapping[str, Tensor], depth: int) -> Tensor:
        if depth == self.n_layers:
            return cast(Tensor, self.model(**inputs).last_hidden_state)

        def stop(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            raise _Reached(args[0] if args else kwargs["hidden_states"])

        handle = self.layers[depth].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            self.model(**inputs)
        except _Reached as reached:
            return reached.hidden
        finally:
            handle.remove()
        raise AssertionError("the model never ran the layer")

    def suffix(self, hidden: Tensor, mask: Tensor | None, depth: int) -> Tensor:
        """Run the layers from ``depth`` up and the final norm: (n, L, d) to (n, L, d).

        Args:
            hidden: Output of :meth:`prefix` at ``depth``.
            mask: (n, L) bool, true at real tokens; ``None`` when all are real.
            depth: The first layer to run.
        """
        if depth == self.n_layers:
            return hidden
        attend = None if mask is None else mask[:, None, None, :]
        with self._cast.acting(slice(depth, None), hidden.device):
            for layer in self.layers[depth:]:
                out = layer(hidden, attend)
                hidden = out[0] if isinstance(out, tuple) else out
        return hidden if self.norm is None else cast(Tensor, self.norm(hidden))

    def pool(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Return one feature vector per example, (n, d).

        Args:
            hidden: (n, L, d).
            mask: (n, L) bool, true at real tokens; ``None`` when all are real.
        """
        if self.pooling == "cls":
            return hidden[:, 0]
        if mask is None:
            return hidden.mean(1)
        real = mask.to(hidden.dtype)
        return torch.bmm(real[:, None], hidden)[:, 0] / real.sum(1, keepdim=True)

    def features(self, batch: Mapping[str, np.ndarray]) -> Tensor:
        """Return the frozen encoder's pooled features of a batch, (n, d)."""
        mask = batch.get("attention_mask")
        keep = None if mask is None else self.tensor(np.asarray(mask, dtype=bool))
        return self.pool(self.prefix(batch, self.n_layers), keep)

    def blank_inputs(self, batch: int, tokens: int) -> dict[str, Tensor]:
        """Return inputs of the right shapes for ``batch`` examples of ``tokens`` tokens, all zero."""
        if self.kind == "text":
            return {"input_ids": torch.zeros(batch, tokens, dtype=torch.long)}
        config = cast(Any, self.model).config
        size = config.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return {"pixel_values": torch.zeros(batch, config.num_channels, height, width)}

    def on_meta(self) -> Backbone:
        """Return a twin that has shapes and no values, for counting."""
        twin = copy.copy(self)
        model = cast(Any, self.model)
        with torch.device("meta"):
            twin.model = without_pooler(type(model)(model.config)).eval().requires_grad_(False)
        twin.layers = cast(nn.ModuleList, twin.model.get_submodule(self.layers_path))
        twin._cast = CastWeights(twin.layers)
        twin.norm = next(
            (twin.model.get_submodule(n) for n, m in self.model.named_modules() if m is self.norm), None
        )
        return twin

    @torch.no_grad()
    def _probe(self) -> tuple[int, int, int]:
        """Find the final norm such that the split run equals the model's own; return its output's shape."""
        inputs, mask = self._probe_inputs()
        whole = self.run_below(inputs, self.n_layers)
        for norm in (None, *_outer_norms(self.model, self.layers)):
            self.norm = norm
            if _close(self.suffix(self.run_below(inputs, 0), mask, 0), whole, mask):
                examples, tokens, width = whole.shape
                return examples, tokens, width
        raise _unfit(self.path)

    def _probe_inputs(self) -> tuple[dict[str, Tensor], Tensor | None]:
        if self.kind == "text":
            return _probe_text(cast(Any, self.model).config)
        pixels = self.blank_inputs(1, 0)["pixel_values"]
        return {"pixel_values": torch.linspace(-1, 1, pixels.numel()).view_as(pixels)}, None


def _unfit(path: str) -> InputError:
    return InputError(
        "this model's layers cannot be run one by one",
        where=path,
        mend="use an encoder of the BERT, RoBERTa, DistilBERT, ViT or DeiT kind",
    )


def _encoder_layers(model: nn.Module, path: str) -> tuple[str, nn.ModuleList]:
    """Return the outermost list of equal layers that holds the most parameters."""
    best, size = None, 0
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len({type(layer) for layer in module}) == 1:
            parameters = sum(p.numel() for p in module.parameters())
            if parameters > size:
                best, size = (name, module), parameters
    if best is None:
        raise _unfit(path)
    return best


def _outer_norms(model: nn.Module, layers: nn.ModuleList) -> list[nn.Module]:
    inner = set(layers.modules())
    return [m for m in model.modules() if "norm" in type(m).__name__.lower() and m not in inner]


def _probe_text(config: Any) -> tuple[dict[str, Tensor], Tensor]:
    """Return two short texts, the second padded to half."""
    pad = getattr(config, "pad_token_id", None)
    length = min(6, int(getattr(config, "max_position_embeddings", 8)) - 2)
    tokens = torch.arange(2 * length).view(2, length) % config.vocab_size
    tokens[tokens == pad] = config.vocab_size - 1
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, length // 2 :] = False
    if pad is not None:
        tokens[~mask] = pad
    return {"input_ids": tokens, "attention_mask": mask.long()}, mask


def _close(a: Tensor, b: Tensor, mask: Tensor | None) -> bool:
    if a.shape != b.shape:
        return False
    if mask is not None:
        a, b = a[mask], b[mask]
    return torch.allclose(a, b, rtol=1e-4, atol=1e-4)
