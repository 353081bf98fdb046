"""Checkpoints: the state of a run after a round, from which it can go on as if it had never stopped.

A checkpoint is one safetensors file: arrays as tensors, everything else as JSON in its metadata, with a
checksum over both. It is written beside its place, forced to the disk and renamed, so that a crash leaves the
old ones; the last two are kept, so that a damaged one costs only the rounds since the one before.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleetlora.documents import parse_json
from fleetlora.errors import FleetLoraError, InputError
from fleetlora.files import refusing, replacing
from fleetlora.limits import WEIGHTS_BYTES, check_size
from fleetlora.settings import Settings, quantity

__all__ = ["Checkpoint", "CheckpointSettings", "Checkpoints"]

#: Number of the layout of a checkpoint; one of another layout is not read.
SCHEMA = 2

_KEPT = 2
_PATTERN = "round-*.safetensors"
_KEY = "fleetlora"

#: What stands for an array, and for a float that JSON does not know, in the JSON part.
_ARRAY, _FLOAT = "$array", "$float"


class CheckpointSettings(Settings):
    """When a run leaves a checkpoint. Nothing in its results depends on it."""

    every: int = quantity(1, "rounds", "a checkpoint is due every so many rounds; 0 is never", ge=0)
    share: float = quantity(
        0.04, "1", "one that is due waits while checkpoints have taken more of the run's time than this", gt=0
    )


@dataclass(frozen=True)
class Checkpoint:
    """The state after some rounds.

    Attributes:
        rounds: How many rounds were over.
        state: Nested dictionaries and lists of plain values and arrays.
    """

    rounds: int
    state: Mapping[str, Any]


class Checkpoints:
    """The checkpoints of one run, in a folder of their own.

    Args:
        folder: The folder; made by the first :meth:`save`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._paths())

    def save(self, rounds: int, state: Mapping[str, Any]) -> Path:
        """Write the state after ``rounds`` rounds, and remove all checkpoints but the last two.

        Raises:
            InputError: The disk is full or cannot be written; earlier checkpoints stay.
        """
        path = self.folder / f"round-{rounds:08d}.safetensors"
        mend = f"make room, then go on with `fleetlora run --resume {self.folder.parent}`"
        with refusing(path, mend), replacing(path, durable=True) as part:
            _write(part, rounds, state)
        for old in self._paths()[:-_KEPT]:
            old.unlink(missing_ok=True)
        return path

    def newest(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, ``None`` if there is none.

        Args:
            warn: Is told of every damaged one that is passed over.

        Raises:
            InputError: It is whole, but of a layout that this version does not read.
        """
        for path in reversed(self._paths()):
            try:
                return _read(path)
            except _Damaged as damage:
                warn(f"{path}: damaged: {damage}; the checkpoint before it is used")
        return None

    def remove(self) -> None:
        """Remove all checkpoints, and the folder if nothing else is in it."""
        for path in [*self._paths(), *self.folder.glob(f".{_PATTERN}.*.part")]:
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(_PATTERN))


def _write(path: Path, rounds: int, state: Mapping[str, Any]) -> None:
    from safetensors.numpy import save

    arrays: dict[str, np.ndarray] = {}
    plain = json.dumps(
        {"schema": SCHEMA, "rounds": rounds, "state": _taken_apart(state, arrays)}, allow_nan=False
    )
    path.write_bytes(save(arrays, {_KEY: plain, "sha256": _checksum(plain, arrays)}))


def _read(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    check_size(path, WEIGHTS_BYTES)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _Damaged(str(error)) from error
    plain = metadata.get(_KEY, "")
    if metadata.get("sha256") != _checksum(plain, arrays):
        raise _Damaged("its checksum is wrong")
    try:
        document = parse_json(plain, str(path), "run again")
        layout, rounds, state = (document[key] for key in ("schema", "rounds", "state"))
        if layout == SCHEMA and isinstance(rounds, int) and isinstance(state, dict):
            return Checkpoint(rounds, _put_together(state, arrays))
    except (InputError, ValueError, KeyError, TypeError) as error:  # its checksum says that it is whole
        raise _Damaged(f"it makes no sense: {error!r}") from error
    if layout == SCHEMA:
        raise _Damaged("it makes no sense")
    raise InputError(
        f"is a checkpoint of layout {layout!r}, this fleetlora reads {SCHEMA}",
        where=str(path),
        mend="go on with the version that wrote it, or run again",
    )


class _Damaged(Exception):
    """A checkpoint is not what was written."""


def _checksum(plain: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(plain.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _taken_apart(value: Any, arrays: dict[str, np.ndarray], path: str = "") -> Any:
    """Return ``value`` as JSON can hold it; its arrays go to ``arrays`` under their place in it."""
    if isinstance(value, np.ndarray):
        arrays[path] = np.ascontiguousarray(value)
        return {_ARRAY: path}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise FleetLoraError("keys of a state must be text", where=path)
        return {key: _taken_apart(item, arrays, f"{path}/{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_taken_apart(item, arrays, f"{path}/{number}") for number, item in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise FleetLoraError(f"a checkpoint cannot hold a {type(value).__name__}", where=path)


def _put_together(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_put_together(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {_ARRAY}:
        return arrays[value[_ARRAY]]
    if set(value) == {_FLOAT}:
        return float(value[_FLOAT])
    return {key: _put_together(item, arrays) for key, item in value.items()}
