"""Rounds of one cohort, made once and trained by several programs, ours and those that read it from a folder.

A vehicle starts a round from the first rows of the global adapter, as many as its rank, and sees each of its
texts once. The next global adapter is the weighted mean of all vehicles' factors, zero beyond their rank.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from fleetlora.lora.adapter import Adapter, init_adapter
from fleetlora.lora.backbone import Backbone
from fleetlora.lora.branches import Stack
from fleetlora.lora.flops import step_flops
from fleetlora.lora.spec import LocalTraining, LoraSpec
from fleetlora.rng import stream, stream_seed

__all__ = ["CohortWork", "Texts", "cut", "mean", "random_bert"]

#: Token ids below this are left to a vocabulary's special tokens.
_FIRST_ID = 1000


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts of random tokens and one length; the first token tells the label.

    Args:
        labels: (N,) int64.
        ids: (N, length) int64.
    """

    labels: np.ndarray
    ids: np.ndarray

    @classmethod
    def drawn(cls, count: int, length: int, classes: int, vocabulary: int, rng: np.random.Generator) -> Texts:
        """Draw ``count`` texts."""
        labels = rng.integers(0, classes, count)
        ids = rng.integers(_FIRST_ID + classes, vocabulary, (count, length))
        ids[:, 0] = _FIRST_ID + labels
        return cls(labels, ids)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text."""
        return np.full(len(self.ids), self.ids.shape[1], dtype=np.int32)

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the backbone's inputs."""
        ids = self.ids[rows]
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


@dataclass(frozen=True, eq=False)
class CohortWork:
    """What all programs train.

    Args:
        backbone: The frozen encoder, loaded from its ``path``.
        spec: Which layers are adapted.
        training: Optimiser, and steps and batch of a round.
        ranks: Of every vehicle.
        weights: (V,) of every vehicle in the mean; they add up to 1.
        start: The first global adapter, of the highest rank.
        texts: All vehicles' texts.
        schedules: (rounds, V, steps, batch) rows of ``texts``.
    """

    backbone: Backbone
    spec: LoraSpec
    training: LocalTraining
    ranks: tuple[int, ...]
    weights: np.ndarray
    start: Adapter
    texts: Texts
    schedules: np.ndarray

    @classmethod
    def drawn(
        cls,
        backbone: Backbone,
        spec: LoraSpec,
        training: LocalTraining,
        *,
        ranks: tuple[int, ...],
        vehicles: int,
        rounds: int,
        length: int,
        classes: int,
        seed: int,
    ) -> CohortWork:
        """Draw texts, weights and the order of batches; ``ranks`` are dealt to the vehicles in turn."""
        rng = stream(seed, "bench", "train")
        dealt = tuple(ranks[i % len(ranks)] for i in range(vehicles))
        each = training.steps * training.batch_size
        rows = np.arange(vehicles * each).reshape(vehicles, each)
        shape = (rounds, vehicles, training.steps, training.batch_size)
        schedules = np.stack([rng.permuted(rows, axis=1) for _ in range(rounds)]).reshape(shape)
        weights = rng.uniform(1, 3, vehicles)
        vocabulary = int(cast(Any, backbone.model).config.vocab_size)
        texts = Texts.drawn(rows.size, length, classes, vocabulary, rng)
        layout = backbone.layout(spec, classes)
        start = init_adapter(layout, max(dealt), stream_seed(seed, "bench", "adapter"))
        return cls(backbone, spec, training, dealt, weights / weights.sum(), start, texts, schedules)

    @property
    def round_flops(self) -> float:
        """Operations of a round in which nothing is kept, and no rank is padded."""
        shape = (self.training.batch_size, self.texts.ids.shape[1], self.start.n_classes)
        steps = (step_flops(self.backbone, self.spec, rank, *shape) for rank in self.ranks)
        return self.training.steps * sum(steps)

    def first(self, vehicles: int) -> CohortWork:
        """Return the work of the first few vehicles alone."""
        weights = self.weights[:vehicles] / self.weights[:vehicles].sum()
        schedules, ranks = self.schedules[:, :vehicles], self.ranks[:vehicles]
        start = cut(self.start, max(ranks))
        return CohortWork(
            self.backbone, self.spec, self.training, ranks, weights, start, self.texts, schedules
        )

    def write(self, folder: Path) -> None:
        """Leave ``work.json`` and ``work.safetensors``, which need no code of ours to be read."""
        from safetensors.torch import save_file

        training, spec = self.training, self.spec
        settings = {
            "model": str(Path(self.backbone.path).resolve()),
            "targets": list(self.start.names),
            "alpha": spec.alpha,
            "ranks": list(self.ranks),
            "weights": self.weights.tolist(),
            "learning_rate": training.learning_rate * training.rate_factor,
            "head_learning_rate": training.head_learning_rate * training.rate_factor,
            "betas": list(training.betas),
            "eps": training.eps,
            "weight_decay": training.weight_decay,
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "work.json").write_text(json.dumps(settings) + "\n", "utf-8")
        batches = {
            "tokens": torch.from_numpy(self.texts.ids[self.schedules]),
            "labels": torch.from_numpy(self.texts.labels[self.schedules]),
        }
        save_file({**self.start.tensors(), **batches}, folder / "work.safetensors")


def cut(adapter: Adapter, rank: int) -> Adapter:
    """Return the first ``rank`` rows of a global adapter."""
    A = {name: value[:rank] for name, value in adapter.A.items()}
    B = {name: value[:, :rank] for name, value in adapter.B.items()}
    return Adapter(rank, adapter.alpha, A, B, adapter.head)


def mean(adapters: list[Adapter], weights: np.ndarray) -> Adapter:
    """Return the weighted mean of factors and heads, zero beyond an adapter's rank."""
    stack, shares = Stack.of(adapters), torch.from_numpy(weights).float()

    def summed(value: Tensor) -> Tensor:
        found: Tensor = torch.tensordot(shares, value, 1)
        return found

    return Adapter(
        max(a.rank for a in adapters),
        adapters[0].alpha,
        {name: summed(value) for name, value in stack.A.items()},
        {name: summed(value) for name, value in stack.B.items()},
        {"weight": summed(stack.weight), "bias": summed(stack.bias)},
    )


def random_bert(folder: Path, layers: int, width: int, heads: int, vocabulary: int, seed: int) -> Path:
    """Write a BERT of random weights and feed-forward layers four times as wide; return its folder."""
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=64,
    )
    with _seeded(stream_seed(seed, "bench", "backbone")):
        model = BertModel(config, add_pooling_layer=False)
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
