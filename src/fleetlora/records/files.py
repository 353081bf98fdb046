"""The files of a run directory: their names, and writing them so that none is ever half there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fleetlora.records.schemas import TABLES

__all__ = ["CONFIG", "LOG", "MAP", "REPORT", "RESULT", "replacing", "run_files", "table_file", "write_text"]

CONFIG = "config.toml"
RESULT = "result.json"
LOG = "log.txt"
REPORT = "report.html"
MAP = "figures/map.json"

#: What a run writes below its directory, as patterns.
_PATTERNS = (
    CONFIG,
    RESULT,
    LOG,
    REPORT,
    *(f"{table}.parquet" for table in TABLES),
    MAP,
    "figures/*.svg",
    "figures/*.png",
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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file that takes the place of ``path`` when the block ends well."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        os.replace(part, path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
