"""What a curve is a curve of: the part of an experiment that decides how updates become accuracy.

The base must be the same in every run that a curve is fitted to, and in every experiment that uses it. The
recipe, the aggregation rule, the step size and whether vehicles train their own classes alone, may differ: a
curve holds a factor and an end for each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

__all__ = ["base_of", "first_difference", "recipe_of", "rule_of"]

#: Keys of ``training`` that do not belong to the base: a feature of the curve, and the recipe's own.
_FREE = ("steps", "rate_factor", "own_classes")

#: Keys of a task that name a file or folder of its data; lists under them name splits.
_FILES = ("path", "train", "test")

#: A key that bases may differ in: the arithmetic moves an accuracy by less than a curve is wrong by.
_ARITHMETIC = "training.dtype"


def base_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the base of a configuration by dotted keys: the model, what is adapted, how, and on which data.

    A file of texts or images is known by its name, wherever it lies.

    Args:
        config: A whole configuration, as ``config.toml`` of a run holds it or as it is dumped.
    """
    config = _told(config)
    base: dict[str, Any] = {"backbone.path": config["backbone"]["path"]}
    base |= {f"lora.{key}": value for key, value in config["lora"].items() if key != "ranks"}
    base |= {f"training.{key}": value for key, value in config["training"].items() if key not in _FREE}
    base["evaluation.tail"] = config["evaluation"]["tail"]
    for task in config["tasks"]:
        about = {key: value for key, value in task.items() if key not in ("name", "partition")}
        about |= {key: PurePath(about[key]).name for key in _FILES if isinstance(about.get(key), str)}
        base |= {f"tasks.{task['name']}.{key}": value for key, value in about.items()}
    return base


def first_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Return the first key, in the alphabet, whose value two bases do not share, with both values."""
    for key in sorted({*one, *other} - {_ARITHMETIC}):
        if one.get(key) != other.get(key):
            return key, one.get(key), other.get(key)
    return None


def recipe_of(config: Mapping[str, Any]) -> str:
    """Return the key of a configuration's recipe: JSON of what makes it up."""
    config = _told(config)
    training = config["training"]
    recipe = {"aggregation": config["aggregation"], "rate_factor": training["rate_factor"]}
    if training.get("own_classes"):  # older curves know of no such thing
        recipe["own_classes"] = True
    return json.dumps(recipe, sort_keys=True)


def rule_of(recipe: str) -> Any:
    """Return the aggregation rule, with its options, of a recipe's key: what an update's bytes depend on."""
    return json.loads(recipe)["aggregation"]


def _told(value: Any) -> Any:
    """Return ``value`` without keys of None, which a file cannot hold, and with lists for tuples."""
    if isinstance(value, Mapping):
        return {key: _told(item) for key, item in value.items() if item is not None}
    return [_told(item) for item in value] if isinstance(value, list | tuple) else value
