"""Writing files so that none is ever half there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fleetlora.errors import InputError

__all__ = ["force", "refusing", "replacing", "write_text"]


@contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary file beside ``path`` that takes its place when the block ends well.

    Folders that are missing are made.

    Args:
        path: The file to write.
        durable: Wait until the disk has it, so that not even a power cut brings back what was there before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        if durable:
            force(part)
        os.replace(part, path)
        if durable:
            force(path.parent)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


@contextmanager
def refusing(where: Path, mend: str) -> Iterator[None]:
    """Turn what the disk refuses inside the block (full, read-only, gone) into an error with its mend.

    Raises:
        InputError: Something could not be written.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror or error}", where=str(where), mend=mend) from error


def force(path: Path) -> None:
    """Wait until a file's contents, or a folder's entries, are on the disk."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):
        return  # Windows cannot open folders, and forces their entries by itself
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str, durable: bool = False) -> None:
    """Write ``text`` to ``path`` as a whole or not at all; see :func:`replacing`."""
    with replacing(path, durable) as part:
        part.write_text(text, encoding="utf-8")
