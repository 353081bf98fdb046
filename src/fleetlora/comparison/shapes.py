"""The shape of a comparison's documents, as far as whoever reads them relies on it."""

from __future__ import annotations

from pathlib import Path
from typing import (
    Any,
    Literal,
    NotRequired,  # pydantic does not take typing's before Python 3.12
)

from typing_extensions import TypedDict

from fleetlora.documents import check_shape
from fleetlora.errors import InputError

__all__ = ["check_comparison", "check_tuned"]


class _Target(TypedDict):
    accuracy: float
    why: str


class _Measure(TypedDict):
    key: str
    title: str
    unit: str
    better: str | None


class _Estimate(TypedDict):
    value: float | None
    low: float | None
    high: float | None
    t_low: NotRequired[float | None]
    t_high: NotRequired[float | None]


class _Differences(TypedDict):
    accuracy_points: _Estimate
    latency_percent: _Estimate
    energy_percent: _Estimate


class _Fronts(TypedDict):
    latency_s: list[str]
    energy_j: list[str]


class _Rival(TypedDict):
    rival: str
    unit: str
    difference: _Estimate


class _Curve(TypedDict):
    t_s: list[float]
    joules: list[float]
    accuracy: list[float]


class _Run(TypedDict):
    method: str
    seed: int
    path: str
    digest: str
    measures: dict[str, float | None]
    curve: _Curve


class _TunedBy(TypedDict):
    name: str
    seeds: list[int]
    same_tracks: bool


class _Host(TypedDict):
    versions: dict[str, Any]


class _Part(TypedDict):
    methods: list[str]
    host: _Host


class _Comparison(TypedDict):
    schema: int
    name: str
    vehicles: int
    rsus: int
    tasks: list[str]
    methods: list[str]
    reference: str
    seeds: list[int]
    target: _Target
    measures: list[_Measure]
    results: dict[str, dict[str, _Estimate]]
    differences: dict[str, _Differences]
    best_rival: dict[Literal["accuracy", "latency_s", "energy_j"], _Rival]
    best_homolora: str | None
    fronts: _Fronts
    terms: dict[str, Any]
    method_terms: dict[str, dict[str, Any]]
    trains_adapters: dict[str, bool]
    tuned: _TunedBy | None
    runs: list[_Run]
    host: _Host
    parts: NotRequired[list[_Part]]


class _Chosen(TypedDict):
    overrides: list[str]
    scores: NotRequired[list[Any]]


class _Traces(TypedDict):
    start_s: NotRequired[float]
    duration_s: NotRequired[float]


class _Seen(TypedDict):
    seeds: list[int]
    traces: _Traces


class _Tuned(_Seen):
    schema: int
    name: str
    before: NotRequired[list[_Seen]]
    methods: dict[str, _Chosen]


#: Measures that the tables and the report show.
_SHOWN = (
    *("accuracy", "latency_s", "total_s", "time_to_target_s", "energy_j", "energy_to_target_j", "wasted_j"),
    *("overdraw_j", "delivered_share", "mean_rank", "handoffs"),
)


def check_comparison(document: Any, path: Path, mend: str) -> None:
    """Check that a document is that of a comparison, and that its parts speak of the same methods.

    Raises:
        InputError: It is not; names the key.
    """
    check_shape(_Comparison, document, path, mend)
    methods, tasks = set(document["methods"]), document["tasks"]
    keys = {measure["key"] for measure in document["measures"]}
    named = {document["reference"], document["best_homolora"] or document["reference"]}
    named |= {run["method"] for run in document["runs"]}
    named |= {one["rival"] for one in document["best_rival"].values()}
    named |= {method for front in document["fronts"].values() for method in front}
    same = all(set(document[part]) == methods for part in ("results", "method_terms", "trains_adapters"))
    same = same and set(document["differences"]) == methods - {document["reference"]} and named <= methods
    measured = {*_SHOWN, *(f"accuracy.{task}" for task in tasks)} <= keys
    measured = measured and all(set(one) >= keys for one in document["results"].values())
    if not (same and measured):
        said = "damaged: its parts speak of different methods or measures"
        raise InputError(said, where=str(path), mend=mend)


def check_tuned(document: Any, path: Path, mend: str) -> None:
    """Check that a document is one that tuning wrote.

    Raises:
        InputError: It is not; names the key.
    """
    check_shape(_Tuned, document, path, mend)
    if not document["methods"] or document["schema"] < 1:
        raise InputError("is not what tuning wrote", where=str(path), mend=mend)
