"""Whether two configurations drive over some of the same tracks: one recording, and windows that overlap."""

from __future__ import annotations

import filecmp
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["share_tracks"]

#: Keys that choose a part of a recording or clean it, and do not make it another one.
_PARTS = ("start_s", "duration_s", "vehicles", "bad_rows")


def share_tracks(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two flat ``traces`` sections come from one recording and overlap in time.

    Vehicles and cleaning may differ. Files are told apart by their contents; by their names, if one of them
    is not at hand.
    """
    (start_s, end_s), (other_start_s, other_end_s) = _window_s(one), _window_s(other)
    return max(start_s, other_start_s) < min(end_s, other_end_s) and _same_recording(one, other)


def _window_s(traces: Mapping[str, Any]) -> tuple[float, float]:
    start_s = traces.get("start_s", 0.0)
    return start_s, start_s + traces.get("duration_s", math.inf)


def _same_recording(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if "path" in one and "path" in other:
        return _same_file(str(one["path"]), str(other["path"]))
    return _whole(one) == _whole(other)


def _whole(traces: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in traces.items() if k not in _PARTS and not k.startswith("cleaning.")}


def _same_file(one: str, other: str) -> bool:
    if one == other or one.startswith("asset:") or other.startswith("asset:"):
        return one == other
    here, there = Path(one), Path(other)
    if here.is_file() and there.is_file():
        return filecmp.cmp(here, there, shallow=False)
    if here.exists() and there.exists():
        return here.samefile(there)
    return here.name == there.name
