"""What is adapted and how a vehicle trains it: the two settings sections of this room."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator, model_validator

from fleetlora.settings import Settings, quantity

__all__ = ["LocalTraining", "LoraSpec"]

Progress = TypeVar("Progress", float, NDArray[np.float64])


class LoraSpec(Settings):
    """Which linear layers of the backbone carry an adapter, and how strongly it acts.

    Args:
        target_modules: Last names of the adapted linear layers, as PEFT takes them. The words ``query``,
            ``key``, ``value``, ``attention.output.dense``, ``intermediate.dense`` and ``output.dense``
            also find a family's own spelling (``q_proj``, ``q_lin``, ``fc1`` …).
        layers: Encoder layers that are adapted, negatives counted from the top; ``None`` means all.
        alpha: LoRA's numerator; an adapter of rank r acts with the scale alpha/r.
    """

    target_modules: tuple[str, ...] = quantity(
        ("query", "value"), "1", "last names of the adapted linear layers", "Hu et al. 2021, arXiv 2106.09685"
    )
    layers: tuple[int, ...] | None = quantity(
        None, "1", "adapted encoder layers, negatives from the top; none given means all"
    )
    alpha: float = quantity(16.0, "1", "LoRA numerator: scale = alpha / rank", "PEFT's common setting", gt=0)

    @field_validator("target_modules")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(name.strip() for name in value):
            raise ValueError("name at least one linear layer, for example ['query', 'value']")
        return value

    def scale(self, rank: int) -> float:
        """Return s = alpha / rank."""
        return self.alpha / rank


class LocalTraining(Settings):
    """How a vehicle trains in one round: H steps of AdamW (Loshchilov & Hutter 2019) on its own samples."""

    steps: int = quantity(4, "steps", "local steps H of a full round", ge=1)
    batch_size: int = quantity(8, "samples", "samples of one local step", ge=1)
    learning_rate: float = quantity(2e-3, "1", "AdamW learning rate of the factors", gt=0)
    head_learning_rate: float = quantity(5e-3, "1", "AdamW learning rate of the head", gt=0)
    rate_factor: float = quantity(1.0, "1", "multiplies both learning rates: the step size, for tuning", gt=0)
    rate_end: float = quantity(
        1.0, "1", "step size when the run ends, relative to its start; linear in between", gt=0, le=1
    )
    weight_decay: float = quantity(0.0, "1", "decoupled weight decay of factors and head", ge=0)
    betas: tuple[float, float] = quantity((0.9, 0.999), "1", "AdamW moment decays", "torch.optim.AdamW")
    eps: float = quantity(1e-8, "1", "AdamW denominator term", "torch.optim.AdamW", gt=0)
    max_grad_norm: float | None = quantity(None, "1", "clip each vehicle's gradient to this norm", gt=0)
    own_classes: bool = quantity(
        False,
        "1",
        "train only the head's rows of those classes that a round's samples belong to; the others stay",
    )
    train_adapter: bool = quantity(True, "1", "false trains the head alone on the frozen backbone")
    dtype: Literal["float32", "bfloat16"] = quantity(
        "float32", "1", "arithmetic of the encoder; factors, head and optimiser stay float32"
    )

    def decay_at(self, progress: Progress) -> Progress:
        """Return the step size, relative to the start, when a share ``progress`` of the run is over.

        Args:
            progress: One share, or an array of them.
        """
        return 1.0 + (self.rate_end - 1.0) * progress

    @model_validator(mode="after")
    def _still_rows(self) -> LocalTraining:
        if self.own_classes and self.weight_decay:
            raise ValueError(
                "own_classes keeps rows as they are, which weight_decay would shrink; set it to 0"
            )
        return self

    @field_validator("betas")
    @classmethod
    def _decays(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= beta < 1 for beta in value):
            raise ValueError("both betas lie in [0, 1)")
        return value
