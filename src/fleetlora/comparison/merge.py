"""Comparisons of parts: methods that were played at another time, or on another machine, in one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fleetlora.comparison.document import Entry, concluded, require_equal_seeds
from fleetlora.comparison.hosts import by_host, host_of, hosts_of, parts_of
from fleetlora.comparison.terms import differences
from fleetlora.errors import ConfigError, InputError

__all__ = ["by_host", "host_of", "merge_documents"]

#: What parts must share beside their terms.
_SHARED = ("tasks", "vehicles", "rsus", "seeds", "learner")


def merge_documents(
    parts: Sequence[Mapping[str, Any]], methods: Sequence[str], target: float | None = None
) -> dict[str, Any]:
    """Return the comparison of methods whose runs stand in several documents, as if played in one.

    A method that several parts hold is taken from the first of them. Which machine and versions played which
    methods stands under ``parts``.

    Args:
        parts: Contents of ``comparison.json`` each.
        methods: The methods to compare, the reference first.
        target: Mean accuracy whose first reach is timed; if not given it is chosen from the runs.

    Raises:
        InputError: No part holds a method.
        ConfigError: The parts are of other terms, tasks, seeds or tunings; names the key and both values.
    """
    homes = {method: _home(parts, method) for method in methods}
    used = [part for part in parts if any(part is home for home in homes.values())]
    for part in used[1:]:
        _require_shared(used[0], part)
    entries = [Entry.read(run) for m in methods for run in homes[m]["runs"] if run["method"] == m]
    require_equal_seeds(entries)
    tuned = used[0]["tuned"]
    if tuned is not None:
        tuned = {**tuned, "overrides": {m: part["tuned"]["overrides"][m] for m, part in homes.items()}}
    hosts = parts_of((method, host) for method, part in homes.items() for host in hosts_of(part, method))
    about = {
        **used[0],
        "method_terms": {m: part["method_terms"][m] for m, part in homes.items()},
        "trains_adapters": {m: part["trains_adapters"][m] for m, part in homes.items()},
        "tuned": tuned,
        "host": hosts[0]["host"],
        "parts": hosts,
    }
    return concluded(about, entries, target)


def _home(parts: Sequence[Mapping[str, Any]], method: str) -> Mapping[str, Any]:
    found = next((part for part in parts if method in part["methods"]), None)
    if found is None:
        raise InputError(f"no comparison holds {method!r}", where="methods", mend="play it, or leave it out")
    return found


def _require_shared(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    found = differences(_shared(one), _shared(other))
    if found:
        raise ConfigError(
            f"the comparisons are not on equal terms: {found[0].one!r} in one, {found[0].other!r} in another",
            where=found[0].key,
            mend="merge comparisons of the same data, world, rounds, joules, seeds and tuning",
        )


def _shared(part: Mapping[str, Any]) -> dict[str, Any]:
    tuned = part["tuned"] or {}
    chosen_on = {f"tuned.{key}": tuned.get(key) for key in ("name", "seeds")}
    return {**part["terms"], **{key: part.get(key) for key in _SHARED}, **chosen_on}
