"""Settings as TOML for a person to read: every key with what it means, and the keys that are not set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from fleetlora.config import to_toml
from fleetlora.sections import ComponentSection
from fleetlora.settings import Settings
from fleetlora.wanted import meaning

__all__ = ["commented_toml"]

#: Lines as tomli_w writes them: the head of a table, and a key; whatever else a value takes is indented.
_HEAD = re.compile(r"\[(\[?)([\w.-]+)\]\]?")
_KEY = re.compile(r"([\w-]+) = ")


def commented_toml(settings: Settings) -> str:
    """Return the TOML text of settings with comments; it loads as the text without them does."""
    return "".join(f"{line}\n" for line in _lines(settings))


def _lines(settings: Settings) -> Iterator[str]:
    yield from _unset(settings)
    entries: Counter[str] = Counter()
    node: Any = settings
    for line in to_toml(settings).splitlines():
        if head := _HEAD.fullmatch(line):
            entries[head[2]] += bool(head[1])
            node = _found(settings, head[2], entries)
            yield line
            yield from _unset(node)
        elif (key := _KEY.match(line)) and (means := _means(node, key[1])):
            yield f"{line}  # {means}"
        else:
            yield line


def _found(settings: Settings, head: str, entries: Counter[str]) -> Any:
    """Return the section that the head of a table names; of a list of tables, the newest entry."""
    node: Any = settings
    names = head.split(".")
    for depth, name in enumerate(names, 1):
        node = _values(node).get(name)
        if isinstance(node, tuple):
            node = node[entries[".".join(names[:depth])] - 1]
    return node


def _values(node: Any) -> dict[str, Any]:
    """Return the values of a section by their keys, those of its component among them."""
    if isinstance(node, ComponentSection):
        return {**dict(node.options), **{key: getattr(node, key) for key in node.own_keys() - {node.key}}}
    return dict(node) if isinstance(node, Settings) else {}


def _means(node: Any, key: str) -> str:
    if isinstance(node, ComponentSection):
        if key == node.key:
            return f"one of {', '.join(node.registry)}"
        if key not in node.own_keys():
            node = node.options
    field = type(node).model_fields.get(key) if isinstance(node, Settings) else None
    return "" if field is None else meaning(field)


def _unset(node: Any) -> Iterator[str]:
    for key, value in _values(node).items():
        if value is None:
            yield f"# {key} is not set: {_means(node, key)}"
