"""What this machine has and lacks, and how to get what is missing."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from typing import Any

__all__ = ["Finding", "examine", "versions"]

#: Memory that the demo takes, and room on the disk for the presets' inputs (0.2 GiB) and some runs.
MEMORY_GIB, DISK_GIB = 2, 2

#: What each extra brings: the distributions to look for.
EXTRAS: dict[str, tuple[str, ...]] = {
    "train": ("torch", "transformers", "peft", "safetensors", "pillow"),
    "sumo": ("eclipse-sumo", "libsumo", "sumolib"),
    "report": ("plotly", "matplotlib"),
    "datasets": ("datasets",),
    "fuzz": ("atheris",),
    "bench": ("mabwiser",),
    "privacy": ("dp-accounting",),
    "ray": ("ray",),
}
CORE = ("fleetlora", "numpy", "scipy", "pyarrow", "polars", "pydantic", "typer", "rich", "pyproj")


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        what: What was looked at.
        found: What was found, empty if nothing.
        good: Whether that will do.
        mend: What to do if it will not.
    """

    what: str
    found: str
    good: bool = True
    mend: str = ""


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def versions() -> dict[str, Any]:
    """Return the machine and the versions of what computes, for ``result.json`` and benchmarks."""
    names = ("fleetlora", "numpy", "scipy", "torch", "transformers", "peft", "libsumo")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "versions": {name: found for name in names if (found := _version(name))},
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux; the platform's own word is all there is
    return platform.processor()


def _gpu() -> Finding:
    if not _version("torch"):
        return Finding("GPU", "unknown without torch")
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", "none; runs on the CPU")
    names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return Finding("GPU", f"{names}; used with --set backbone.device=cuda")


def _room(what: str, free_gib: float, wanted_gib: int, mend: str) -> Finding:
    found = f"{free_gib:.1f} GiB, {wanted_gib} GiB will do"
    return Finding(what, found, free_gib >= wanted_gib, mend)


def _memory() -> Finding:
    free = _available_gib()
    if free is None:
        return Finding("free memory", "unknown")
    return _room("free memory", free, MEMORY_GIB, "close other programs, or lower backbone.cache_mib")


def _available_gib() -> float | None:
    """Return the memory that programs could have: also what the system lends to its caches, where it says."""
    try:
        with open("/proc/meminfo", encoding="utf-8") as lines:
            kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
        return kib / 2**20
    except (OSError, StopIteration):
        pass  # not Linux
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (ValueError, OSError):
        return None


def _packages() -> list[Finding]:
    findings = [Finding(name, _version(name), bool(_version(name)), "pip install fleetlora") for name in CORE]
    for extra, names in EXTRAS.items():
        for name in names:
            found = _version(name)
            findings.append(Finding(name, found, bool(found), f"pip install 'fleetlora[{extra}]'"))
    return findings


def _cache() -> list[Finding]:
    from fleetlora.assets import cache_dir, status

    folder = cache_dir()
    there = next(p for p in (folder, *folder.parents) if p.exists())
    writable = os.access(there, os.W_OK)
    free = shutil.disk_usage(there).free / 2**30
    findings = [
        Finding("cache", str(folder), writable, "set FLEETLORA_CACHE to a folder you may write to"),
        _room("free disk", free, DISK_GIB, "free some space, or set FLEETLORA_CACHE"),
    ]
    for entry in status():
        name = entry.asset.name
        findings.append(
            Finding(f"asset {name}", entry.state, entry.state == "ready", f"fleetlora assets fetch {name}")
        )
    return findings


def examine() -> list[Finding]:
    """Return everything worth knowing before the first run."""
    return [
        Finding("Python", platform.python_version()),
        Finding("platform", platform.platform()),
        Finding("cores", str(os.cpu_count())),
        _memory(),
        _gpu(),
        *_packages(),
        *_cache(),
    ]
