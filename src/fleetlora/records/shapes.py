"""The shape of ``result.json``, as far as whoever reads it relies on it; more may be there."""

from __future__ import annotations

from typing import (
    Any,
    Literal,
    NotRequired,  # pydantic does not take typing's before Python 3.12
)

from typing_extensions import TypedDict

__all__ = ["IdentityShape", "ResultShape"]


class IdentityShape(TypedDict):
    """What a run is."""

    method: NotRequired[str]
    preset: NotRequired[str]
    seed: NotRequired[int]
    vehicles: NotRequired[int]
    rsus: NotRequired[int]


class _Task(TypedDict):
    accuracy: float | None
    accuracy_local: NotRequired[float | None]
    accuracy_head_only: NotRequired[float | None]
    budget_j: NotRequired[float | None]
    energy_j: float


class _Latency(TypedDict):
    mean_round: float | None
    total: float | None


class _Energy(TypedDict):
    total: float
    rsu: float


class _Updates(TypedDict):
    started: int
    arrived: int
    delivered: int
    early: int
    handed_off: int
    abandoned: int
    lost: int


class _Host(TypedDict):
    seconds: NotRequired[float]
    versions: NotRequired[dict[str, Any]]


class ResultShape(IdentityShape):
    """What a run came to."""

    schema: int
    status: Literal["complete", "interrupted"]
    rounds: int
    mean_accuracy: float | None
    tasks: dict[str, _Task]
    latency_s: _Latency
    energy_j: _Energy
    updates: _Updates
    handoffs: int
    overdraw_j: float
    digest: str
    host: NotRequired[_Host]
