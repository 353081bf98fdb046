"""Equal terms: runs that are compared may differ in what their methods are made of, and in nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetlora.documents import flat, is_tables
from fleetlora.errors import ConfigError

__all__ = [
    "IDLE",
    "OWN",
    "Difference",
    "checksum_of",
    "differences",
    "method_terms",
    "more",
    "orders",
    "require_equal_terms",
    "require_one_learner",
    "require_one_method_each",
    "settles_nothing",
    "shared_terms",
]

#: Keys, or sections, that make up a method.
OWN = (
    "method",
    "policy",
    "aggregation",
    "departure",
    "round.deadline_s",  # whom a round waits for
    "training.rate_factor",
    "training.own_classes",
    "training.train_adapter",
)

#: Keys that decide nothing about how a run comes out, or what a comparison shows of it.
IDLE = ("name", "backbone.cache_mib", "backbone.device", "evaluation.head_only", "checkpoint")

#: The keys of a section that is otherwise the method's own.
_SHARED_BUDGET = ("budget.total_j", "budget.shares")

#: What stands for a key that is not there.
ABSENT = "nothing"


@dataclass(frozen=True)
class Difference:
    """One key in which two configurations differ."""

    key: str
    one: Any
    other: Any


def orders(config: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the names of devices and tasks in their order, which hides in flat ones.

    Which vehicle has which device hangs on it.
    """
    return {
        key: [item.get("name", index) for index, item in enumerate(value)]
        for key, value in config.items()
        if is_tables(value)
    }


def shared_terms(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be equal between all runs of a comparison: data, world, rounds, joules."""
    return {key: value for key, value in flat(config).items() if key != "seed" and not _is_free(key)}


def method_terms(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a configuration's method is made of."""
    return {key: value for key, value in flat(config).items() if _is_free(key) and not settles_nothing(key)}


def settles_nothing(key: str) -> bool:
    """Tell whether a key decides nothing about how a run comes out."""
    return _within(key, IDLE)


def _is_free(key: str) -> bool:
    if _within(key, ("budget",)):
        return not _within(key, _SHARED_BUDGET)
    return _within(key, (*OWN, *IDLE))


def _within(key: str, places: Sequence[str]) -> bool:
    return any(key == place or key.startswith(f"{place}.") for place in places)


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """Return the keys of two flat configurations whose values differ, a missing one counting as a value."""
    keys = dict.fromkeys([*one, *other])
    return [
        Difference(key, one.get(key, ABSENT), other.get(key, ABSENT))
        for key in keys
        if one.get(key, ABSENT) != other.get(key, ABSENT)
    ]


def more(found: Sequence[Difference]) -> str:
    """Return how many keys differ beside the first, in words; nothing if none does."""
    return f" (and {len(found) - 1} more keys)" if len(found) > 1 else ""


def require_equal_terms(runs: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Check that runs differ in their methods and seeds alone.

    Args:
        runs: Name and configuration of each.

    Raises:
        ConfigError: Two of them differ in another key; names the key, both runs and both values.
    """
    if not runs:
        return
    (first, config), *others = runs
    terms = {**shared_terms(config), **orders(config)}
    for name, other in others:
        _require_same(
            (first, terms),
            (name, {**shared_terms(other), **orders(other)}),
            "the runs are not on equal terms",
            "compare runs of the same data, world, rounds and joules",
        )


def require_one_method_each(runs: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
    """Check that all runs of a method, which are averaged, are made of the same.

    Args:
        runs: Method, name and configuration of each.

    Raises:
        ConfigError: Two of a method differ; names the method, the key, both runs and both values.
    """
    begun: dict[str, tuple[str, dict[str, Any]]] = {}
    for method, name, config in runs:
        terms = method_terms(config)
        first, began = begun.setdefault(method, (name, terms))
        _require_same(
            (first, began),
            (name, terms),
            f"the runs of {method} are not of one method",
            "compare runs that were played with the same values, or give each a method of its own",
        )


def _require_same(
    one: tuple[str, Mapping[str, Any]], other: tuple[str, Mapping[str, Any]], problem: str, mend: str
) -> None:
    """Check that two flat configurations are the same.

    Args:
        one: Its name and what it holds.
        other: The same of the other.
        problem: What is wrong where they differ.
        mend: What to do then.

    Raises:
        ConfigError: They differ; names the first key and both values.
    """
    found = differences(one[1], other[1])
    if found:
        first = found[0]
        raise ConfigError(
            f"{problem}: {first.one!r} in {one[0]}, {first.other!r} in {other[0]}{more(found)}",
            where=first.key,
            mend=mend,
        )


def checksum_of(result: Mapping[str, Any]) -> str | None:
    """Return the checksum of the curve that stood in for training in a run; None if it was trained."""
    learner = result.get("learner")
    return str(learner.get("sha256")) if isinstance(learner, Mapping) else None


def require_one_learner(runs: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Check that all runs were trained, or that one and the same curve stood in for training in all.

    Args:
        runs: Name and result of each.

    Raises:
        ConfigError: Two of them differ in it; names both.
    """

    def learned(result: Mapping[str, Any]) -> str:
        checksum = checksum_of(result)
        return "was trained" if checksum is None else f"was played with the curve of sha256 {checksum[:12]}…"

    for name, result in runs[1:]:
        first, begun = runs[0]
        if checksum_of(result) != checksum_of(begun):
            raise ConfigError(
                f"{first} {learned(begun)}, {name} {learned(result)}",
                where="learner",
                mend="compare trained runs with trained ones, or play all with one curve",
            )
