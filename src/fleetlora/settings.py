"""The base of every configuration section, and fields that carry their unit and source."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Settings", "quantity"]


class Settings(BaseModel):
    """A frozen configuration section that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


def quantity(default: Any, unit: str, description: str, source: str = "", **limits: Any) -> Any:
    """Return a pydantic field that documents its unit and where its default comes from.

    Args:
        default: The default value; ``...`` makes the field required.
        unit: Unit of the value, ``"1"`` for a pure number.
        description: What it is.
        source: Standard, paper or measurement the default was taken from.
        **limits: Bounds as pydantic takes them (``gt``, ``ge``, ``lt``, ``le``).
    """
    extra: dict[str, Any] = {"unit": unit, "source": source}
    return Field(default, description=description, json_schema_extra=extra, **limits)
