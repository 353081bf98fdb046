"""Writing files so that none is ever half there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["replacing", "write_text"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside ``path`` that takes its place when the block ends well.

    Folders that are missing are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")
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
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
