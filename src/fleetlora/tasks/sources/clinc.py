"""CLINC150 as published: one JSON object whose keys are splits, each a list of [text, intent].

Larson et al., An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction, EMNLP 2019.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from fleetlora.documents import parse_json
from fleetlora.errors import InputError
from fleetlora.limits import names_array
from fleetlora.registry import suggest
from fleetlora.settings import Settings, quantity
from fleetlora.tasks.columns import refuse_common
from fleetlora.tasks.raw import TASK_SOURCES, RawSplit, RawTask
from fleetlora.tasks.tables import read_text

__all__ = ["Clinc150"]


@TASK_SOURCES.register("clinc150")
class Clinc150(Settings):
    """A JSON file of splits of [text, intent] pairs (CLINC150's ``data_full.json`` and its likes)."""

    path: str = quantity(..., "path", "the JSON file")
    train: tuple[str, ...] = Field(("train",), description="splits to train on", min_length=1)
    test: tuple[str, ...] = Field(("test",), description="splits to measure on", min_length=1)

    def load(self) -> RawTask:
        """Read the splits.

        Raises:
            InputError: The file is not of this form, or lacks a split.
            ConfigError: A split is on both sides.
        """
        from fleetlora.assets import resolve

        refuse_common(self.train, self.test)
        path = resolve(self.path)
        splits = _parse(path)
        return RawTask(_join(path, splits, self.train), _join(path, splits, self.test), origin=self.path)


def _parse(path: Path) -> dict[str, Any]:
    splits = parse_json(read_text(path), str(path), "download the file again")
    if not isinstance(splits, dict):
        raise InputError(
            "not an object of splits", where=str(path), mend='use {"train": [["text", "intent"], …], …}'
        )
    return splits


def _join(path: Path, splits: dict[str, Any], names: tuple[str, ...]) -> RawSplit:
    texts: list[str] = []
    labels: list[str] = []
    places: list[tuple[str, int]] = []
    for name in names:
        if name not in splits:
            raise InputError(f"no split {name!r}", where=str(path), mend=suggest(name, list(splits)))
        rows = splits[name]
        if not isinstance(rows, list) or not rows:
            raise InputError("no list of rows", where=f"{path}: {name}", mend='use [["text", "intent"], …]')
        for at, row in enumerate(rows):
            good = isinstance(row, list) and len(row) == 2 and all(isinstance(cell, str) for cell in row)
            if not good or not row[1].strip():
                where = f"{path}: {name}[{at}]"
                raise InputError("not a pair of text and intent", where=where, mend='use ["text", "intent"]')
            texts.append(row[0])
            labels.append(row[1])
            places.append((name, at))
    return RawSplit(
        labels=names_array(labels, "class", path),
        texts=texts,
        where=lambda row: f"{path}: {places[row][0]}[{places[row][1]}]",
    )
