"""Configuration of the rounds: who may join, how long, how often the cloud merges, what may be spent."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from fleetlora.federation.budgets import BUDGET_RULES, BudgetRule
from fleetlora.sections import rule_of
from fleetlora.settings import Settings, quantity

__all__ = [
    "AdmissionSettings",
    "BudgetSettings",
    "EvaluationSettings",
    "RewardSettings",
    "RoundSettings",
]

Floats = NDArray[np.float64]


class AdmissionSettings(Settings):
    """How many of the vehicles in contact an RSU lets into a round."""

    vehicles_per_task: int = quantity(2, "1", "most vehicles that one RSU admits for one task a round", ge=1)


class RoundSettings(Settings):
    """Length and number of rounds."""

    count: int = quantity(20, "1", "number of rounds; fewer if the tracks end first", ge=1)
    deadline_s: float = quantity(30.0, "s", "longest a round may last (Delta)", gt=0)
    period_s: float = quantity(0.0, "s", "rounds start at least this far apart; 0 is back to back", ge=0)
    sync_every: int = quantity(2, "1", "the cloud merges the RSUs' models every so many rounds (q)", ge=1)
    residence_cap_s: float = quantity(600.0, "s", "longest residence that is predicted", gt=0)
    pause_s: float = quantity(
        1.0, "s", "after a round in which every vehicle sat out; the deadline if none was there", gt=0
    )
    patience: float | None = quantity(
        None,
        "1",
        "a vehicle gives up an update that has taken this many times what it foresaw; none: at the deadline",
        gt=1,
    )
    patience_floor_s: float = quantity(2.0, "s", "a vehicle gives up no earlier than this", gt=0)

    def limit_s(self, foreseen_s: Floats) -> Floats:
        """Return after how long vehicles give up updates that they foresaw to take ``foreseen_s``."""
        if self.patience is None:
            return np.full_like(foreseen_s, self.deadline_s)
        return np.clip(
            self.patience * foreseen_s, min(self.patience_floor_s, self.deadline_s), self.deadline_s
        )


class RewardSettings(Settings):
    """What a vehicle counts as its gain: u = clip(gain − beta·latency/Delta, 0, 1)."""

    beta: float = quantity(0.2, "1", "weight of latency relative to the deadline", ge=0)


class BudgetSettings(Settings):
    """Joules that the tasks may spend; without a total nothing is capped."""

    total_j: float | None = quantity(None, "J", "joules of all tasks together", gt=0)
    rule: str = Field("equal", description="how the joules are divided anew whenever the cloud merges")
    rule_options: dict[str, Any] = Field(default_factory=dict, description="the rule's own options")
    shares: dict[str, float] = Field(
        default_factory=dict,
        description="a task's share in the total; the others divide the rest equally",
    )

    @field_validator("shares")
    @classmethod
    def _shares(cls, shares: dict[str, float]) -> dict[str, float]:
        if any(share < 0 for share in shares.values()) or sum(shares.values()) > 1 + 1e-9:
            raise ValueError("shares must not be negative and must sum to at most 1")
        return shares

    @model_validator(mode="after")
    def _rule(self) -> Self:
        self.dividing_rule()
        return self

    def dividing_rule(self) -> BudgetRule:
        """Return the rule that divides the joules anew.

        Raises:
            ConfigError: There is no such rule, or it has no such option.
        """
        return rule_of(BUDGET_RULES, "budget", self.rule, self.rule_options)

    def split(self, tasks: list[str]) -> dict[str, float]:
        """Return the joules of each task, infinite without a total."""
        if self.total_j is None:
            return dict.fromkeys(tasks, math.inf)
        return {task: self.total_j * part for task, part in zip(tasks, self.parts(tasks), strict=True)}

    def parts(self, tasks: list[str]) -> list[float]:
        """Return each task's share of the beginning."""
        others = [task for task in tasks if task not in self.shares]
        rest = 1.0 - sum(self.shares.values())
        equal = rest / len(others) if others else 0.0
        return [self.shares.get(task, equal) for task in tasks]


class EvaluationSettings(Settings):
    """When and on what the aggregated model is tested."""

    every: int = quantity(2, "syncs", "the aggregated model is tested every so many syncs", ge=1)
    every_s: float = quantity(
        0.0, "s", "and no sooner than so many virtual seconds after the last test", ge=0
    )
    samples: int | None = quantity(
        1000, "1", "test samples of these tests, a fixed seeded draw; the last one uses all", ge=1
    )
    tail: float = quantity(
        0.0,
        "1",
        "the model that is tested and saved is the mean of the cloud's over this last part of the syncs;"
        " 0: the last one",
        "Rakhlin et al. 2012, arXiv 1109.5647",
        ge=0,
        le=1,
    )
    head_only: bool = Field(
        True, description="also run the same rounds training the heads alone, for comparison"
    )
