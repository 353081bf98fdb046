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

__all__ = ["CohortWork", "Texts", "cut", "mean", "random_bert", "spoken_lengths"]

#: Token ids below this are left to a vocabulary's special tokens; 0 pads.
_FIRST_ID = 1000

#: Of the 15,000 training texts of CLINC150 (requests to an assistant; Larson et al. 2019), how many have 3, 4
#: … 33 tokens under the uncased vocabulary of BERT, [CLS] and [SEP] included.
SPOKEN = (
    *(28, 117, 268, 623, 977, 1551, 1866, 1920, 1746, 1542, 1185, 929, 664, 497, 327, 275, 154, 103),
    *(84, 49, 42, 21, 10, 10, 5, 2, 1, 1, 1, 1, 1),
)
_SHORTEST = 3


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts of random tokens; the first token tells the label.

    Args:
        labels: (N,) int64.
        ids: (N, longest) int64, 0 behind a text's end.
    """

    labels: np.ndarray
    ids: np.ndarray

    @classmethod
    def drawn(
        cls, labels: np.ndarray, lengths: np.ndarray, vocabulary: int, rng: np.random.Generator
    ) -> Texts:
        """Draw texts of the given labels (N,) and lengths (N,)."""
        longest = int(lengths.max())
        ids = rng.integers(_FIRST_ID + int(labels.max()) + 1, vocabulary, (len(labels), longest))
        ids[:, 0] = _FIRST_ID + labels
        return cls(labels, np.where(np.arange(longest) < lengths[:, None], ids, 0))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text."""
        counts: np.ndarray = np.count_nonzero(self.ids, axis=1)
        return counts

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the backbone's inputs, padded to the longest of ``rows``."""
        ids = self.ids[rows]
        mask = ids != 0
        longest = int(mask.sum(1).max())
        return {"input_ids": ids[:, :longest], "attention_mask": mask[:, :longest].astype(np.int64)}


def spoken_lengths(count: int, longest: int, rng: np.random.Generator) -> np.ndarray:
    """Draw tokens of ``count`` texts as CLINC150 has them, cut off at ``longest``."""
    share = np.array(SPOKEN) / sum(SPOKEN)
    lengths: np.ndarray = np.minimum(_SHORTEST + rng.choice(len(share), count, p=share), longest)
    return lengths


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
        spoken: bool = False,
        classes: int,
        seed: int,
    ) -> CohortWork:
        """Draw texts, weights and the order of batches; ``ranks`` are dealt to the vehicles in turn.

        Texts have ``length`` tokens, or at most those if they are ``spoken``.
        """
        rng = stream(seed, "bench", "train")
        dealt = tuple(ranks[i % len(ranks)] for i in range(vehicles))
        each = training.steps * training.batch_size
        rows = np.arange(vehicles * each).reshape(vehicles, each)
        shape = (rounds, vehicles, training.steps, training.batch_size)
        schedules = np.stack([rng.permuted(rows, axis=1) for _ in range(rounds)]).reshape(shape)
        weights = rng.uniform(1, 3, vehicles)
        vocabulary = int(cast(Any, backbone.model).config.vocab_size)
        labels = rng.integers(0, classes, rows.size)
        lengths = spoken_lengths(rows.size, length, rng) if spoken else np.full(rows.size, length)
        texts = Texts.drawn(labels, lengths, vocabulary, rng)
        layout = backbone.layout(spec, classes)
        start = init_adapter(layout, max(dealt), stream_seed(seed, "bench", "adapter"))
        return cls(backbone, spec, training, dealt, weights / weights.sum(), start, texts, schedules)

    @property
    def round_flops(self) -> float:
        """Operations of a round in which nothing is kept, and neither ranks nor texts are padded."""
        lengths = self.texts.lengths[self.schedules[0]].reshape(len(self.ranks), -1)
        return sum(
            step_flops(self.backbone, self.spec, rank, 1, length, self.start.n_classes)
            for rank, mine in zip(self.ranks, lengths.tolist(), strict=True)
            for length in mine
        )

    def write(self, folder: Path, device: str = "cpu") -> None:
        """Leave ``work.json`` and ``work.safetensors``, which need no code of ours to be read.

        Args:
            folder: Where.
            device: Where whoever reads them is to compute, ``cpu`` or ``cuda``.
        """
        from safetensors.torch import save_file

        training, spec = self.training, self.spec
        settings = {
            "model": str(Path(self.backbone.path).resolve()),
            "device": device,
            "dtype": training.dtype,
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
