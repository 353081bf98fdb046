"""The files of a run directory: their names."""

from __future__ import annotations

from pathlib import Path

from fleetlora.records.schemas import OPTIONAL_TABLES, TABLES

__all__ = [
    "CHECKPOINTS",
    "CONFIG",
    "HEAD_ONLY",
    "LOG",
    "MAP",
    "REPORT",
    "RESULT",
    "TASK_NAME",
    "TASK_NAME_CHARACTERS",
    "run_files",
    "table_file",
]

CONFIG = "config.toml"
RESULT = "result.json"
LOG = "log.txt"
REPORT = "report.html"
MAP = "figures/map.json"
CHECKPOINTS = "checkpoints"

#: Folder inside that of the checkpoints, for those of the head-only run.
HEAD_ONLY = "head-only"

#: What a task may be called; its adapter's folder is called so, and must not lead elsewhere.
TASK_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
TASK_NAME_CHARACTERS = 64

#: What a run writes below its directory, as patterns.
_PATTERNS = (
    CONFIG,
    RESULT,
    LOG,
    REPORT,
    *(f"{table}.parquet" for table in (*TABLES, *OPTIONAL_TABLES)),
    MAP,
    "figures/*.svg",
    "figures/*.png",
    f"{CHECKPOINTS}/round-*.safetensors",
    f"{CHECKPOINTS}/{HEAD_ONLY}/round-*.safetensors",
    "adapters/*/adapter_config.json",
    "adapters/*/adapter_model.safetensors",
    "adapters/*/head.safetensors",
)


def table_file(table: str) -> str:
    """Return the file name of a table."""
    return f"{table}.parquet"


def run_files(directory: Path) -> list[Path]:
    """Return the files below ``directory`` that belong to a run, sorted."""
    return sorted(path for pattern in _PATTERNS for path in directory.glob(pattern))
