"""Where the runs of a comparison were played: machines and versions, and the methods of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["by_host", "host_of", "hosts_of", "parts_of", "without_seconds"]


def by_host(hosts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return which methods were played on which machine and with which versions.

    Args:
        hosts: Machine and versions by method.
    """
    return parts_of(hosts.items())


def parts_of(hosts: Iterable[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return the same where runs of one method may have several hosts; it then stands beside each.

    Args:
        hosts: Method, and machine and versions, of each run.
    """
    found: list[dict[str, Any]] = []
    for method, host in hosts:
        same = next((one for one in found if one["host"] == host), None)
        if same is None:
            found.append({"methods": [method], "host": host})
        elif method not in same["methods"]:
            same["methods"].append(method)
    return found


def host_of(part: Mapping[str, Any], method: str) -> Mapping[str, Any]:
    """Return the machine and versions that a method of a document was played with, the first of several."""
    return hosts_of(part, method)[0]


def hosts_of(part: Mapping[str, Any], method: str) -> list[Mapping[str, Any]]:
    """Return all machines and versions that runs of a method of a document were played with."""
    found = [one["host"] for one in part.get("parts", ()) if method in one["methods"]]
    return found or [part["host"]]


def without_seconds(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the host of a run without what differs from run to run on one machine."""
    return {key: value for key, value in host.items() if not key.endswith("seconds")}
