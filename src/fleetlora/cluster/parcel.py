"""Files on their way between machines that share no disk: the inputs of a run, and what it leaves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fleetlora.config import Experiment
from fleetlora.errors import InputError
from fleetlora.files import replacing
from fleetlora.records import CHECKPOINTS, HEAD_ONLY
from fleetlora.records.files import RESULT, run_files

__all__ = ["Parcel", "deliver", "local_inputs", "pack_input", "pack_run", "unpack"]

#: Contents by relative name; a single file has the name of the file.
Parcel = dict[str, bytes]

#: Most bytes of one parcel: it lies whole in the memory of sender and receiver.
LIMIT_BYTES = 2 * 2**30

_ASSET = "asset:"


def local_inputs(experiment: Experiment) -> list[str]:
    """Return the experiment's values that name files or folders of this machine, as they are written.

    A value is taken for a path where it exists here and looks like one: it has a separator or a suffix, or
    its key is ``path``. Assets and ids of the hub are each machine's own affair.

    Raises:
        InputError: One cannot travel.
    """
    found = dict.fromkeys(
        value for key, value in _leaves(experiment.model_dump(mode="json")) if _is_here(key, value)
    )
    for value in found:
        if value.endswith(".sumocfg"):
            raise InputError(
                "a SUMO scenario names files beside it, which are not sent to other machines",
                where=value,
                mend="convert it with `fleetlora traces convert`, and give that file with source 'tracks'",
            )
    return list(found)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    elif isinstance(value, str):
        yield key, value


def _is_here(key: str, value: str) -> bool:
    words = any(letter.isalnum() for letter in value)  # "." and "/" are separators of numbers and columns
    if not words or value.startswith(_ASSET) or len(value) > 4096 or "\0" in value:
        return False
    path = Path(value).expanduser()
    return (key == "path" or "/" in value or os.sep in value or bool(path.suffix)) and path.exists()


def pack_input(value: str) -> Parcel:
    """Return a file, or all files below a folder.

    Raises:
        InputError: It cannot be read, or is larger than a parcel may be; names it.
    """
    path = Path(value).expanduser()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    base = path.parent if path.is_file() else path
    mend = "use a smaller file, or an asset, which every machine fetches itself"
    return _pack(files, base, value, mend)


def pack_run(directory: Path) -> Parcel:
    """Return the files of a run, whole or not.

    Raises:
        InputError: They are larger than a parcel may be.
    """
    return _pack(run_files(directory), directory, str(directory), "play it with --executor local")


def _pack(files: Iterable[Path], base: Path, where: str, mend: str) -> Parcel:
    parcel: Parcel = {}
    size = 0
    for file in files:
        try:
            size += file.stat().st_size
            if size > LIMIT_BYTES:
                limit = f"{LIMIT_BYTES / 2**30:g} GiB"
                raise InputError(f"is more than {limit}, the most that is sent", where=where, mend=mend)
            parcel[file.relative_to(base).as_posix()] = file.read_bytes()
        except OSError as error:
            raise InputError(
                f"cannot be read: {error.strerror}", where=str(file), mend="see its rights"
            ) from None
    return parcel


def unpack(parcel: Mapping[str, bytes], folder: Path) -> None:
    """Write a parcel's files below ``folder``."""
    for name, content in parcel.items():
        with replacing(folder / name) as part:
            part.write_bytes(content)


def deliver(parcel: Mapping[str, bytes], directory: Path) -> None:
    """Put a run that was played elsewhere into its directory; ``result.json``, which makes it whole, last.

    Args:
        parcel: The run's files.
        directory: Its directory; files of an earlier state of it are replaced or removed.
    """
    (directory / RESULT).unlink(missing_ok=True)
    for name in sorted(parcel, key=lambda name: name == RESULT):
        unpack({name: parcel[name]}, directory)
    for old in run_files(directory):
        if old.relative_to(directory).as_posix() not in parcel:
            old.unlink()
    for left in (directory / CHECKPOINTS / HEAD_ONLY, directory / CHECKPOINTS):
        if left.is_dir() and not any(left.iterdir()):
            left.rmdir()
