"""The plain way: one vehicle at a time with real PEFT and torch.optim.AdamW."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import peft
import torch
import transformers
from torch import Tensor, nn

from fleetlora.lora import Adapter, Examples, LocalTraining


@contextlib.contextmanager
def quiet_peft() -> Iterator[None]:
    """Let PEFT use a name that transformers has deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


class PeftVehicle:
    """A backbone with PEFT's LoRA and a linear head, starting from an adapter."""

    def __init__(self, directory: Path, adapter: Adapter, pooling: str) -> None:
        base = transformers.AutoModel.from_pretrained(directory, use_safetensors=True)
        config = peft.LoraConfig(r=adapter.rank, lora_alpha=adapter.alpha, target_modules=list(adapter.names))
        with quiet_peft():
            self.model = peft.get_peft_model(base, config).eval()
        self.adapter, self.pooling = adapter, pooling
        self.head = nn.Linear(adapter.head["weight"].shape[1], adapter.n_classes)
        with torch.no_grad():
            for name in adapter.names:
                A, B = self._factors(name)
                A.copy_(adapter.A[name])
                B.copy_(adapter.B[name])
            self.head.weight.copy_(adapter.head["weight"])
            self.head.bias.copy_(adapter.head["bias"])

    def _factors(self, name: str) -> tuple[nn.Parameter, nn.Parameter]:
        layer = self.model.base_model.model.get_submodule(name)
        return layer.lora_A["default"].weight, layer.lora_B["default"].weight

    def logits(self, batch: Mapping[str, np.ndarray]) -> Tensor:
        inputs = {name: torch.from_numpy(value) for name, value in batch.items()}
        hidden = self.model(**inputs).last_hidden_state
        if self.pooling == "cls":
            return self.head(hidden[:, 0])
        mask = inputs["attention_mask"][..., None].float()
        return self.head((hidden * mask).sum(1) / mask.sum(1))

    def train(self, examples: Examples, schedule: np.ndarray, training: LocalTraining) -> float:
        factors = [p for p in self.model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(
            [
                {"params": factors, "lr": training.learning_rate},
                {"params": self.head.parameters(), "lr": training.head_learning_rate},
            ],
            betas=training.betas,
            eps=training.eps,
            weight_decay=training.weight_decay,
        )
        losses = []
        for step in schedule:
            rows = step[step >= 0]
            loss = nn.functional.cross_entropy(
                self.logits(examples.batch(rows)), torch.from_numpy(examples.labels[rows])
            )
            optimiser.zero_grad()
            loss.backward()
            if training.max_grad_norm is not None:
                nn.utils.clip_grad_norm_([*factors, *self.head.parameters()], training.max_grad_norm)
            optimiser.step()
            losses.append(loss.item())
        return float(np.mean(losses)) if losses else float("nan")

    def result(self) -> Adapter:
        pairs = {name: self._factors(name) for name in self.adapter.names}
        return Adapter(
            self.adapter.rank,
            self.adapter.alpha,
            {name: A.detach().clone() for name, (A, _) in pairs.items()},
            {name: B.detach().clone() for name, (_, B) in pairs.items()},
            {"weight": self.head.weight.detach().clone(), "bias": self.head.bias.detach().clone()},
        )


def distance(a: Adapter, b: Adapter) -> float:
    """Largest absolute difference between two adapters of one shape."""
    ours, theirs = a.tensors(), b.tensors()
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


def trained_like(adapter: Adapter, seed: int, size: float = 0.1) -> Adapter:
    """Return an adapter of the same shape whose factors and head are all non-zero."""
    generator = torch.Generator().manual_seed(seed)
    flat = {k: v + size * torch.randn(v.shape, generator=generator) for k, v in adapter.tensors().items()}
    return Adapter.from_tensors(adapter.rank, adapter.alpha, flat)
