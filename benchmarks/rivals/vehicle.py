"""What all rivals share: the work they read, one PEFT model for all vehicles, and the results they write.

Imports nothing of fleetlora, so that it runs in an environment of its own.
"""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
transformers.utils.logging.disable_progress_bar()

State = dict[str, Tensor]


@dataclass(frozen=True)
class Work:
    """Rounds of one cohort.

    Attributes:
        settings: Model directory, LoRA targets, optimiser, rounds, cores.
        ranks: Of every vehicle.
        weights: Of every vehicle in the mean; they add up to 1.
        start: The first global adapter of the highest rank: ``A/<layer>``, ``B/<layer>``, ``head/<name>``.
        tokens: (rounds, vehicles, steps, batch, longest) int64, 0 behind a text's end.
        labels: (rounds, vehicles, steps, batch) int64.
    """

    settings: Mapping[str, Any]
    ranks: list[int]
    weights: list[float]
    start: State
    tokens: Tensor
    labels: Tensor

    @classmethod
    def read(cls, folder: str | Path) -> Work:
        """Read ``work.json`` and ``work.safetensors``."""
        settings = json.loads((Path(folder) / "work.json").read_text("utf-8"))
        tensors = load_file(Path(folder) / "work.safetensors", device=settings["device"])
        tokens, labels = tensors.pop("tokens"), tensors.pop("labels")
        return cls(settings, settings["ranks"], settings["weights"], tensors, tokens, labels)

    @property
    def rounds(self) -> int:
        """Rounds to play, each from the mean of the one before."""
        return len(self.tokens)

    def batches(self, number: int, vehicle: int) -> tuple[Tensor, Tensor]:
        """Return the steps of a vehicle in a round: (steps, batch, length) and (steps, batch)."""
        return self.tokens[number, vehicle], self.labels[number, vehicle]


class Learner(nn.Module):
    """One backbone for all vehicles, an adapter in it for every rank, and a head."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        torch.set_num_threads(1)
        self.settings = work.settings
        base = transformers.AutoModel.from_pretrained(self.settings["model"], dtype=torch.float32)
        base.pooler = None
        self.layers = self.settings["targets"]
        distinct = sorted(set(work.ranks))
        self.model = get_peft_model(base, self._config(distinct[0]), adapter_name=str(distinct[0]))
        for rank in distinct[1:]:
            self.model.add_adapter(str(rank), self._config(rank))
        self.model.eval()  # no dropout, as in the work
        classes, width = work.start["head/weight"].shape
        self.head = nn.Linear(width, classes)
        self.rank = 0
        self.to(self.settings["device"])

    def _config(self, rank: int) -> LoraConfig:
        return LoraConfig(r=rank, lora_alpha=self.settings["alpha"], target_modules=list(self.layers))

    def own(self, rank: int) -> State:
        """Return the parameters of a vehicle of ``rank``, by the names that the global adapter has."""
        found: State = {}
        for name in self.layers:
            layer = self.model.base_model.model.get_submodule(name)
            found[f"A/{name}"] = layer.lora_A[str(rank)].weight
            found[f"B/{name}"] = layer.lora_B[str(rank)].weight
        return found | {"head/weight": self.head.weight, "head/bias": self.head.bias}

    @torch.no_grad()
    def receive(self, state: State, rank: int) -> None:
        """Become a vehicle of ``rank`` that starts from the first rows of the global adapter."""
        if rank != self.rank:
            self.model.set_adapter(str(rank))
            self.rank = rank
        for name, value in self.own(rank).items():
            value.copy_(cut(name, state[name], rank))

    def optimiser(self) -> torch.optim.Optimizer:
        """Return AdamW anew, in its fused form."""
        own = self.own(self.rank)
        heads = [value for name, value in own.items() if name.startswith("head")]
        factors = [value for name, value in own.items() if not name.startswith("head")]
        return torch.optim.AdamW(
            [
                {"params": factors, "lr": self.settings["learning_rate"]},
                {"params": heads, "lr": self.settings["head_learning_rate"]},
            ],
            betas=tuple(self.settings["betas"]),
            eps=self.settings["eps"],
            weight_decay=self.settings["weight_decay"],
            fused=True,
        )

    def loss(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of a batch, padded to its longest text; masked if any is shorter."""
        real = tokens != 0
        longest = int(real.sum(1).max())
        tokens, real = tokens[:, :longest], real[:, :longest]
        half = self.settings["dtype"] == "bfloat16"
        with torch.autocast(tokens.device.type, torch.bfloat16) if half else nullcontext():
            if real.all():
                pooled = self.model(input_ids=tokens).last_hidden_state.mean(1)
            else:
                hidden = self.model(input_ids=tokens, attention_mask=real.long()).last_hidden_state
                share = (real / real.sum(1, keepdim=True)).to(hidden.dtype)
                pooled = torch.bmm(share[:, None], hidden)[:, 0]
        return nn.functional.cross_entropy(self.head(pooled.float()), labels)

    def train_on(self, tokens: Tensor, labels: Tensor) -> None:
        """Take one step for every batch of ``tokens`` (steps, batch, length)."""
        optimiser = self.optimiser()
        for batch, truth in zip(tokens, labels, strict=True):
            optimiser.zero_grad()
            self.loss(batch, truth).backward()
            optimiser.step()


def cut(name: str, value: Tensor, rank: int) -> Tensor:
    """Return the part of a tensor of the global adapter that a vehicle of ``rank`` has."""
    if name.startswith("A/"):
        return value[:rank]
    return value[:, :rank] if name.startswith("B/") else value


@torch.no_grad()
def add_to(total: State, own: State, weight: float) -> None:
    """Add a vehicle's parameters, zero beyond its rank, to a weighted sum."""
    for name, value in own.items():
        rank = value.shape[1 if name.startswith("B/") else 0]
        cut(name, total[name], rank).add_(value.to(total[name].device), alpha=weight)


class Clock:
    """Seconds of every round: on the wall, and of the processors.

    Args:
        worked: Processor seconds until now; this process's own if not given.
    """

    def __init__(self, worked: Callable[[], float] = time.process_time) -> None:
        self.worked = worked
        self.cpu_s: list[float] = []
        self.wall_s: list[float] = []
        self._began: tuple[float, float] | None = None

    def begin(self) -> None:
        """Begin a round."""
        self._began = (self.worked(), time.perf_counter())

    def end(self) -> None:
        """End it."""
        assert self._began is not None
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        wall = time.perf_counter() - self._began[1]
        self.cpu_s.append(self.worked() - self._began[0])
        self.wall_s.append(wall)


def write(folder: str | Path, state: State, clock: Clock, **notes: Any) -> None:
    """Leave ``aggregate.safetensors`` and ``seconds.json``."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in state.items()},
        out / "aggregate.safetensors",
    )
    (out / "seconds.json").write_text(
        json.dumps({"cpu_s": clock.cpu_s, "wall_s": clock.wall_s, **notes}) + "\n", "utf-8"
    )
