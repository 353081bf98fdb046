"""Named extension points: built-in or third-party components looked up by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from fleetlora.errors import ConfigError, MissingDependencyError

__all__ = ["Registry", "suggest"]

T = TypeVar("T")


def suggest(name: str, known: list[str]) -> str:
    """Return a mend that names the nearest known spelling of ``name``."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(sorted(known))}"


class Registry(Generic[T]):
    """A table of components of one kind.

    Other packages add theirs either by calling :meth:`register` or by declaring an entry
    point in the group ``fleetlora.<kind>``, which is loaded the first time its name is asked for.

    Args:
        kind: What the registry holds, in the singular; it shows in errors and names the entry-point group
            (``fleetlora.trace_source`` for a trace source).
        modules: Modules that register the built-in components; imported when a name is first asked for, so
            that a registry of heavy components is itself cheap.
    """

    def __init__(self, kind: str, modules: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self._group = f"fleetlora.{kind.replace(' ', '_')}"
        self._modules = modules
        self._items: dict[str, T] = {}

    def _built_in(self) -> dict[str, T]:
        for module in self._modules:
            try:
                import_module(module)
            except ModuleNotFoundError as error:
                missing = (error.name or "").partition(".")[0]
                if missing == "fleetlora":
                    raise
                mend = "install the extra that brings it; `fleetlora doctor` names it"
                raise MissingDependencyError(f"a {self.kind} needs {missing}", mend=mend) from error
        self._modules = ()
        return self._items

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds a component under ``name``.

        Raises:
            ValueError: The name is taken by another component.
        """

        def add(item: T) -> T:
            if self._items.setdefault(name, item) is not item:
                raise ValueError(f"{self.kind} {name!r} is already registered")
            return item

        return add

    def get(self, name: str, *, where: str | None = None) -> T:
        """Return the component called ``name``.

        Raises:
            ConfigError: No such component; the message suggests the nearest name.
        """
        items = self._built_in()
        if name not in items:
            for entry in entry_points(group=self._group, name=name):
                items[name] = entry.load()
        if name not in items:
            known = suggest(name, self.names())
            mend = f"{known}; your own: an entry point of {self._group}, or register it and run from Python"
            raise ConfigError(f"unknown {self.kind} {name!r}", where=where, mend=mend)
        return items[name]

    def names(self) -> list[str]:
        """Return every known name, sorted, entry points included."""
        found = {entry.name for entry in entry_points(group=self._group)}
        return sorted(found | set(self._built_in()))

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())
