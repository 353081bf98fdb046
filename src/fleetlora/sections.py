"""Configuration sections that name a registered component and carry its options beside the name.

``[traces] source = "table"`` and ``path = "cabs.csv.gz"`` stand in one table of the file: the section's own
keys are validated by the section, all others by the component that the name stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import ValidationError, model_serializer, model_validator
from pydantic.fields import FieldInfo

from fleetlora.errors import ConfigError
from fleetlora.registry import Registry, suggest
from fleetlora.settings import Settings
from fleetlora.wanted import meaning, wanted

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
        raise explain(error, kind, (section, "rule_options")) from None


class ComponentSection(Settings):
    """A section one key of which, ``key``, names a component of ``registry``.

    A subclass sets the class variables and declares its own further fields. A component is either a
    :class:`~fleetlora.settings.Settings` subclass, which is its own options, or a class with ``Options``.

    Attributes:
        options: The component's validated options.
        default: The component of a section that names none, if there is one.
        guide: The page of the documentation that tells of the section's components, if there is one.
    """

    registry: ClassVar[Registry[Any]]
    key: ClassVar[str]
    section: ClassVar[str]
    default: ClassVar[str | None] = None
    guide: ClassVar[str | None] = None

    component: str
    options: Any = None

    @classmethod
    def own_keys(cls) -> set[str]:
        """Return the keys that the section itself knows, as they stand in the file."""
        return (set(cls.model_fields) - {"component", "options"}) | {cls.key}

    @classmethod
    def place(cls, data: Mapping[str, Any]) -> str:
        """Return what the section that ``data`` stands for is called in errors."""
        return cls.section

    @model_validator(mode="before")
    @classmethod
    def _split(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or isinstance(data.get("options"), Settings):
            return data
        own = {k: v for k, v in data.items() if k in cls.own_keys() and k != cls.key}
        name = data.get(cls.key, cls.default)
        place = cls.place(data)
        where = f"{place}.{cls.key}"
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
                where=f"{place}.{unknown[0]}",
                mend=suggest(unknown[0], known_keys),
            )
        try:
            options = kind(**rest)
        except ValidationError as error:
            raise explain(error, kind, (place,), guide=cls.guide) from None
        return {**own, "component": str(name), "options": options}

    @model_serializer(mode="wrap")
    def _join(self, handler: Any) -> dict[str, Any]:
        own = handler(self)
        own.pop("options", None)
        name = own.pop("component")
        return {self.key: name, **self.options.model_dump(mode="json"), **own}


def explain(
    error: ValidationError,
    model: type[Any],
    prefix: tuple[str, ...] = (),
    file: str | None = None,
    values: Any = None,
    guide: str | None = None,
) -> ConfigError:
    """Return the first problem that pydantic found as an error for a person.

    Args:
        error: What pydantic raised.
        model: The model that refused the values; its fields feed the suggestions.
        prefix: Where the model stands in the file.
        file: The file, if there is one.
        values: The values that were refused; an entry of a list is called by the name it has there.
        guide: The page of the documentation that tells more.
    """
    first = error.errors()[0]
    path = first["loc"]
    key = ".".join([*prefix, *_names(path, values)])
    where = f"{file}: {key}" if file else key
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        mend = suggest(str(path[-1]), _keys(_leads_to(model, path[:-1])[0]))
        return ConfigError(f"unknown key{more}", where=where, mend=mend)
    within, field = _leads_to(model, path)
    keys = f"its keys: {', '.join(_keys(within))}"
    told = f": {meaning(field)}" if field is not None and field.description else ""
    if first["type"] == "missing":
        see = f" (see {guide})" if guide else ""
        mend = f"give it a table; {keys}" if field is None else f"give it a value, --set {key}=…{told}{see}"
        return ConfigError(f"missing{more}", where=where, mend=mend)
    message = first["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    given = first.get("input")
    shown = repr(given)
    shown = "" if isinstance(given, (Mapping, Settings)) else f", got {shown[:80]}{'…' * (len(shown) > 80)}"
    mend = keys if field is None else f"give {wanted(field)}{told}"
    return ConfigError(f"{message}{shown}{more}", where=where, mend=mend)


def _names(path: tuple[str | int, ...], values: Any) -> Iterator[str]:
    """Yield the steps of ``path``, an entry of a list by its name, as an override calls it."""
    for at, step in enumerate(path, 1):
        try:
            values = values[step]
        except (KeyError, IndexError, TypeError):
            values = None
        name = values.get("name") if isinstance(step, int) and isinstance(values, Mapping) else None
        named = isinstance(name, str) and name.isprintable() and path[at:] != ("name",)
        yield str(name) if named else str(step)


def _leads_to(model: Any, path: Iterable[str | int]) -> tuple[Any, FieldInfo | None]:
    """Return the section that ``path`` leads to or into, and the field there if it is no section."""
    field: FieldInfo | None = None
    for step in path:
        if isinstance(step, int):
            continue
        field = getattr(model, "model_fields", {}).get(step)
        if field is None:
            return model, None
        inner = _models_in(field.annotation)
        if not inner:
            return model, field
        model = inner[0]
    return model, None


def _keys(model: Any) -> list[str]:
    if issubclass(model, ComponentSection):
        return sorted(model.own_keys())
    return sorted(getattr(model, "model_fields", {}))


def _models_in(annotation: Any) -> list[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [m for part in getattr(annotation, "__args__", ()) for m in _models_in(part)]
