"""The whole configuration of a run, and where its numbers come from, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fleetlora.documents import is_tables
from fleetlora.report.markup import element, table
from fleetlora.report.words import span

if TYPE_CHECKING:
    from fleetlora.records import Run

__all__ = ["provenance_html", "settings_html"]


def settings_html(config: Mapping[str, Any]) -> str:
    """Return one foldable table per section of the configuration."""
    top = {key: value for key, value in config.items() if not _is_section(value)}
    sections = {key: value for key, value in config.items() if _is_section(value)}
    parts = [_section("experiment", top)] if top else []
    return "".join([*parts, *(_section(name, value) for name, value in sections.items())])


def provenance_html(run: Run) -> str:
    """Return the table that says what produced the run."""
    result, host = run.result, run.result.get("host") or {}
    versions = host.get("versions") or {}
    rows = [
        ("method", run.identity.method),
        ("preset", run.identity.preset),
        ("seed", str(run.identity.seed)),
        ("state", "complete" if run.complete else "interrupted"),
        ("digest of all results", str(result.get("digest", "–"))),
        ("layout of the files", str(result.get("schema", "–"))),
    ]
    seconds = {
        key: value
        for key, value in host.items()
        if key.endswith("seconds") and isinstance(value, int | float)
    }
    if whole := seconds.get("seconds"):
        rows.append(("time on the host", span(whole)))
        rows += [
            (f"of that for {key.removesuffix('_seconds')}", f"{100 * value / whole:.1f} %")
            for key, value in seconds.items()
            if key != "seconds"
        ]
    rows += [(f"{key}", str(value)) for key, value in host.items() if key not in ("versions", *seconds)]
    rows += [(f"version of {name}", str(version)) for name, version in versions.items()]
    return table((), rows, "facts")


def _is_section(value: Any) -> bool:
    return isinstance(value, Mapping) or is_tables(value)


def _section(name: str, value: Any) -> str:
    rows = [(key or name, text) for key, text in _flat("", value)]
    return f"<details>{element('summary', name)}{table((), rows, 'facts')}</details>"


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield (dotted key, value as text) of everything below ``value``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), item)
    elif is_tables(value):
        for index, item in enumerate(value):
            yield from _flat(f"{prefix}[{item.get('name', index)}]", item)
    else:
        yield prefix, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(_text(item) for item in value) if isinstance(value, list) else str(value)
