"""What a study leaves behind: ``regret.json`` and the figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleetlora.doctor import versions
from fleetlora.errors import InputError
from fleetlora.files import write_text
from fleetlora.regret.figure import draw_lab

__all__ = ["DOCUMENT", "check_folder", "write_lab"]

DOCUMENT = "regret.json"


def check_folder(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that already holds a study, before hours are spent on another.

    Raises:
        InputError: It holds one and ``overwrite`` is off, or it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError("is a file", where=str(folder), mend="choose another --out")
    if (folder / DOCUMENT).exists() and not overwrite:
        raise InputError(
            "already holds a study", where=str(folder), mend="choose another --out, or --overwrite"
        )


def write_lab(study: Mapping[str, Any], folder: Path, figures: bool = True) -> dict[str, Any]:
    """Write ``regret.json`` and, if asked for, ``figures/*.svg,*.png``; return what the document holds.

    Raises:
        MissingDependencyError: matplotlib is not installed; the document is written nevertheless.
    """
    document = {**study, "host": versions()}
    write_text(folder / DOCUMENT, json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    if figures:
        draw_lab(study, folder / "figures")
    return document
