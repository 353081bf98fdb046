"""What a configuration field is and what it takes, in words."""

from __future__ import annotations

import json
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

__all__ = ["meaning", "wanted"]

_ONE = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts"}
_BOUNDS = {"gt": "above", "ge": "not below", "lt": "below", "le": "not above"}


def meaning(field: FieldInfo) -> str:
    """Return what the field is, with its unit: ``longest a round may last (s)``; empty if it does not say."""
    extra = field.json_schema_extra
    unit = str(extra.get("unit", "1")) if isinstance(extra, dict) else "1"
    numbers = {int, float} & set(_leaves(field.annotation))
    return f"{field.description or ''}{f' ({unit})' if numbers and unit != '1' else ''}"


def wanted(field: FieldInfo) -> str:
    """Return what values the field takes: ``a number above 0``."""
    bounds = [
        f"{word} {getattr(limit, name):.10g}"
        for limit in field.metadata
        for name, word in _BOUNDS.items()
        if getattr(limit, name, None) is not None
    ]
    words = f"{_kind(field.annotation)} {' and '.join(bounds)}".strip()
    if isinstance(field.default, tuple) and field.default and set(_leaves(field.annotation)) <= set(_MANY):
        return f"{words}, such as {json.dumps(field.default)}"
    return words


def _leaves(annotation: Any) -> list[Any]:
    """Return the plain types that an annotation is made of."""
    inner = [part for part in get_args(annotation) if part not in (NoneType, Ellipsis)]
    return [leaf for part in inner for leaf in _leaves(part)] if inner else [annotation]


def _kind(annotation: Any) -> str:
    inner = [part for part in get_args(annotation) if part not in (NoneType, Ellipsis)]
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_kind(part) for part in inner))
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in (tuple, list, dict):
        name = "table" if origin is dict else "list"
        held = _MANY.get(inner[-1]) if origin is dict or len(set(inner)) == 1 else None
        return f"a {name} of {held}" if held else f"a {name}"
    return _ONE.get(annotation, "a value")
