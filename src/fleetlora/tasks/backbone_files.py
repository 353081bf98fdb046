"""The small files beside a backbone's weights: its configuration, tokenizer and image preprocessor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fleetlora import documents
from fleetlora.errors import InputError, MissingDependencyError, first_line

__all__ = ["backbone_dir", "read_json"]


def backbone_dir(backbone: str | Path) -> Path:
    """Return the local directory of a backbone: an asset, a directory, or a model id of the hub.

    Raises:
        InputError: It is none of these, or the hub does not answer.
        MissingDependencyError: A model id without the libraries to fetch it.
    """
    from fleetlora.assets import resolve

    folder = Path(resolve(backbone))
    if folder.is_dir():
        return folder
    mend = "give a directory with config.json, an asset such as asset:minilm, or an id such as owner/name"
    if folder.exists() or len(folder.parts) > 2 or folder.is_absolute():
        raise InputError("no such directory", where=str(backbone), mend=mend)
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingDependencyError(
            "no such directory, and a model of the hub needs the training libraries",
            where=str(backbone),
            mend="pip install 'fleetlora[train]'",
        ) from error
    try:
        return Path(snapshot_download(str(backbone), allow_patterns=["*.json", "*.txt", "*.model"]))
    except Exception as error:  # of many kinds: no such id, no network, no access
        reason = first_line(error)
        raise InputError(
            f"no such directory, and the hub: {reason}", where=str(backbone), mend=mend
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, empty where there is no such file.

    Raises:
        InputError: The file is broken.
    """
    if not path.is_file():
        return {}
    found = documents.read_json(path, "download the backbone again")
    if not isinstance(found, dict):
        raise InputError("not a JSON object", where=str(path), mend="download the backbone again")
    return found
