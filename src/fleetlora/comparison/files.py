"""A comparison's directory: its files, writing them, and reading them back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetlora.comparison.document import SCHEMA
from fleetlora.comparison.shapes import check_comparison
from fleetlora.documents import read_json, refuse_newer
from fleetlora.errors import InputError
from fleetlora.files import write_text

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "DOCUMENT",
    "Comparison",
    "check_directory",
    "is_comparison",
    "open_comparison",
    "write_comparison",
]

DOCUMENT = "comparison.json"

#: What else a comparison writes at the top of its directory.
_OTHERS = ("comparison.csv", "comparison.tex", "report.html")


@dataclass(frozen=True)
class Comparison:
    """A comparison as read from its directory.

    Attributes:
        path: The directory.
        document: Contents of ``comparison.json``.
    """

    path: Path
    document: Mapping[str, Any]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods, the reference first."""
        return tuple(self.document["methods"])

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(self.document["seeds"])

    @property
    def reference(self) -> str:
        """The method the others are compared with."""
        return str(self.document["reference"])

    @cached_property
    def runs(self) -> pl.DataFrame:
        """One row per run: method, seed, digest and every measure."""
        import polars as pl

        keys = [measure["key"] for measure in self.document["measures"]]
        rows = [
            {
                "method": run["method"],
                "seed": run["seed"],
                **{key: run["measures"].get(key) for key in keys},
                "digest": run["digest"],
            }
            for run in self.document["runs"]
        ]
        return pl.DataFrame(rows, infer_schema_length=None)


def write_comparison(path: Path, document: Mapping[str, Any]) -> Comparison:
    """Write ``comparison.json`` to the directory ``path``."""
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path / DOCUMENT, f"{text}\n")
    return Comparison(path, document)


def is_comparison(path: str | Path) -> bool:
    """Tell whether the directory ``path`` holds a comparison."""
    return (Path(path) / DOCUMENT).is_file()


def open_comparison(path: str | Path) -> Comparison:
    """Read the comparison in directory ``path``.

    Raises:
        InputError: There is none, it is damaged, or a newer fleetlora wrote it.
    """
    file = Path(path) / DOCUMENT
    if not file.is_file():
        raise InputError(
            "is not a comparison's directory",
            where=str(path),
            mend="give the directory that `fleetlora compare --out` wrote",
        )
    again = "run the same comparison again"
    document = read_json(file, again)
    schema = document.get("schema") if isinstance(document, dict) else None
    refuse_newer(schema, SCHEMA, file)
    check_comparison(document, file, again)
    return Comparison(Path(path), document)


def check_directory(path: Path) -> None:
    """Check, before long work, that a comparison may be written to ``path``.

    Raises:
        InputError: It is a file, holds a run, or holds files of a comparison's names that are none's.
    """
    if path.exists() and not path.is_dir():
        raise InputError("is a file", where=str(path), mend="choose a directory with --out")
    if is_comparison(path):
        return
    strange = next((name for name in ("result.json", *_OTHERS) if (path / name).exists()), None)
    if strange:
        raise InputError(
            f"holds {strange}, but no comparison", where=str(path), mend="choose another directory with --out"
        )
