"""Configuration sections that name a registered component and carry its options beside the name.

``[traces] source = "table"`` and ``path = "cabs.csv.gz"`` stand in one table of the file: the section's own
keys are validated by the section, all others by the component that the name stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import ValidationError, model_serializer, model_validator

from fleetlora.errors import ConfigError
from fleetlora.registry import Registry, suggest
from fleetlora.settings import Settings

__all__ = ["ComponentSection", "explain", "rule_of"]


Rule = TypeVar("Rule")


def rule_of(registry: Registry[type[Rule]], section: str, name: str, options: Mapping[str, Any]) -> Rule:
    """Return the component that a section's keys ``rule`` and ``rule_options`` stand for.

    Args:
        registry: Where it is registered.
        section: Name of the section.
        name: Value of ``rule``.
        options: Value of ``rule_options``.

    Raises:
        ConfigError: There is no such component, or it has no such option.
    """
    kind = registry.get(name, where=f"{section}.rule")
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([section, "rule_options", *map(str, first["loc"])])
        raise ConfigError(first["msg"], where=where, mend=f"see the rule {name!r}") from None


class ComponentSection(Settings):
    """A section one key of which, ``key``, names a component of ``registry``.

    A subclass sets the class variables and declares its own further fields. A component is either a
    :class:`~fleetlora.settings.Settings` subclass, which is its own options, or a class with ``Options``.

    Attributes:
        options: The component's validated options.
        default: The component of a section that names none, if there is one.
    """

    registry: ClassVar[Registry[Any]]
    key: ClassVar[str]
    section: ClassVar[str]
    default: ClassVar[str | None] = None

    component: str
    options: Any = None

    @classmethod
    def own_keys(cls) -> set[str]:
        """Return the keys that the section itself knows, as they stand in the file."""
        return (set(cls.model_fields) - {"component", "options"}) | {cls.key}

    @model_validator(mode="before")
    @classmethod
    def _split(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or isinstance(data.get("options"), Settings):
            return data
        own = {k: v for k, v in data.items() if k in cls.own_keys() and k != cls.key}
        name = data.get(cls.key, cls.default)
        where = f"{cls.section}.{cls.key}"
        if name is None:
            known = ", ".join(cls.registry.names())
            raise ConfigError("missing", where=where, mend=f"choose one of: {known}")
        found = cls.registry.get(str(name), where=where)
        kind: type[Settings] = getattr(found, "Options", found)
        rest = {k: v for k, v in data.items() if k not in cls.own_keys()}
        unknown = sorted(set(rest) - set(kind.model_fields))
        if unknown:
            known_keys = sorted(cls.own_keys() | set(kind.model_fields))
            raise ConfigError(
                f"unknown key (for {cls.key} = {name!r})",
                where=f"{cls.section}.{unknown[0]}",
                mend=suggest(unknown[0], known_keys),
            )
        try:
            options = kind(**rest)
        except ValidationError as error:
            raise explain(error, kind, (cls.section,)) from None
        return {**own, "component": str(name), "options": options}

    @model_serializer(mode="wrap")
    def _join(self, handler: Any) -> dict[str, Any]:
        own = handler(self)
        own.pop("options", None)
        name = own.pop("component")
        return {self.key: name, **self.options.model_dump(mode="json"), **own}


def _fields_at(model: type[Any], path: Iterable[str | int]) -> list[str]:
    """Return the keys known in the section that ``path`` leads to."""
    for step in path:
        if isinstance(step, int):
            continue
        field = getattr(model, "model_fields", {}).get(step)
        inner = _models_in(field.annotation) if field is not None else []
        if not inner:
            return []
        model = inner[0]
    if issubclass(model, ComponentSection):
        return sorted(model.own_keys())
    return sorted(getattr(model, "model_fields", {}))


def _models_in(annotation: Any) -> list[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [m for part in getattr(annotation, "__args__", ()) for m in _models_in(part)]


def explain(
    error: ValidationError, model: type[Settings], prefix: tuple[str, ...] = (), file: str | None = None
) -> ConfigError:
    """Return the first problem that pydantic found as an error for a person.

    Args:
        error: What pydantic raised.
        model: The model that refused the values; its fields feed the suggestions.
        prefix: Where the model stands in the file.
        file: The file, if there is one.
    """
    first = error.errors()[0]
    path = first["loc"]
    key = ".".join(str(step) for step in (*prefix, *path))
    where = f"{file}: {key}" if file else key
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        mend = suggest(str(path[-1]), _fields_at(model, path[:-1]))
        return ConfigError(f"unknown key{more}", where=where, mend=mend)
    if first["type"] == "missing":
        return ConfigError(f"missing{more}", where=where, mend="give it a value")
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    told = repr(given)
    told = told if len(told) <= 80 else f"{told[:80]}…"
    shown = "" if isinstance(given, (Mapping, Settings)) else f", got {told}"
    return ConfigError(f"{message}{shown}{more}", where=where, mend="correct the value")
