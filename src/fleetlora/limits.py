"""How much a reader takes from a file, in one place, so that no file can exhaust memory or time.

Every limit is far above what real inputs need. A file above one is refused before it is read or unpacked,
with an error that names the file and the limit. ``docs/reliability.md`` lists them.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError

__all__ = [
    "ARCHIVE_BYTES",
    "ARCHIVE_FILES",
    "CONFIG_BYTES",
    "DEPTH",
    "DOCUMENT_BYTES",
    "GZIP_DAMAGE",
    "IMAGE_PIXELS",
    "NAME_CHARACTERS",
    "TABLE_VALUES",
    "TEXT_BYTES",
    "UNPACKED_RATIO",
    "WEIGHTS_BYTES",
    "Unzipped",
    "check_ratio",
    "check_size",
    "names_array",
    "too_large",
]

#: A configuration, TOML.
CONFIG_BYTES = 1 << 20
#: A JSON document: a result, a comparison, a map, a tokenizer's or an adapter's settings.
DOCUMENT_BYTES = 256 << 20
#: Levels of tables and lists in JSON and TOML.
DEPTH = 64
#: Text that is read into memory, unpacked: traces, texts of a task, SUMO's files.
TEXT_BYTES = 8 << 30
#: Weights, adapters, checkpoints and cached tokens: a safetensors file.
WEIGHTS_BYTES = 16 << 30
#: Values a binary table or array declares, all columns that are read together.
TABLE_VALUES = 1 << 30
#: Members of an archive, and what they unpack to together.
ARCHIVE_FILES = 2_000
ARCHIVE_BYTES = 1 << 30
#: How many times its packed size a file may unpack to, beyond the first :data:`_FREE_BYTES`.
UNPACKED_RATIO = 200
#: Pixels of one image.
IMAGE_PIXELS = 64_000_000
#: The name of a vehicle, a class, an RSU; names become arrays as wide as the longest.
NAME_CHARACTERS = 1_000

_FREE_BYTES = 16 << 20
_BLOCK = 1 << 20


def too_large(
    problem: str, where: str | Path, mend: str = "is it the right file? split or shorten it"
) -> InputError:
    """Return the error for something above a limit."""
    return InputError(f"too large: {problem}", where=str(where), mend=mend)


def check_size(path: Path, most: int) -> None:
    """Refuse a file of more than ``most`` bytes; one that is not there is left to whoever opens it.

    Raises:
        InputError: It is larger.
    """
    try:
        size = path.stat().st_size
    except OSError:
        return
    if size > most:
        raise too_large(f"{size} bytes, at most {most} are read", path)


def check_ratio(packed: int, unpacked: int, where: str | Path, most: int = TEXT_BYTES) -> None:
    """Refuse what unpacks to too much, or to far more than its packed size.

    Raises:
        InputError: It does.
    """
    if unpacked > most:
        raise too_large(f"it unpacks to more than {most} bytes", where)
    if unpacked > max(_FREE_BYTES, UNPACKED_RATIO * packed):
        raise too_large(
            f"{packed} bytes unpack to more than {UNPACKED_RATIO} times as many, as no honest file does",
            where,
        )


class Unzipped(gzip.GzipFile):
    """A gzip file for reading that refuses to unpack to too much.

    Args:
        path: The file.
        most: Bytes it may unpack to.
    """

    def __init__(self, path: Path, most: int = TEXT_BYTES) -> None:
        super().__init__(path, "rb")
        self._path, self._packed, self._most = path, path.stat().st_size, most

    def read(self, size: int | None = -1) -> bytes:
        """Return up to ``size`` bytes, all of them if negative.

        Raises:
            InputError: It unpacks to too much.
            OSError: It is no gzip file, or damaged; as ``EOFError`` and ``zlib.error`` say, too.
        """
        if size is not None and size >= 0:
            block: bytes = super().read(size)
            check_ratio(self._packed, self.tell(), self._path, self._most)
            return block
        blocks = []
        while block := self.read(_BLOCK):
            blocks.append(block)
        return b"".join(blocks)

    def read1(self, size: int = -1) -> bytes:
        """Return some bytes, at most ``size`` of them; raises as :meth:`read` does."""
        return self.read(_BLOCK if size < 0 else min(size, _BLOCK))

    def readline(self, size: int | None = -1) -> bytes:
        """Return a line, or its first ``size`` bytes; raises as :meth:`read` does."""
        room = min(self._most, max(_FREE_BYTES, UNPACKED_RATIO * self._packed)) - self.tell() + 1
        line: bytes = super().readline(room if size is None or size < 0 else min(size, room))
        check_ratio(self._packed, self.tell(), self._path, self._most)
        return line


#: What a damaged gzip file raises.
GZIP_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)


def names_array(names: Sequence[Any], what: str, where: str | Path) -> NDArray[np.str_]:
    """Return names as an array, which is as wide as the longest of them.

    Args:
        names: (n,) text.
        what: What they name, in the singular.
        where: The file.

    Raises:
        InputError: One is too long, or holds a NUL, which would be lost at an end.
    """
    for name in names:
        if len(name) > NAME_CHARACTERS or "\0" in name:
            problem = (
                "holds a NUL" if "\0" in name else f"has {len(name)} characters, at most {NAME_CHARACTERS}"
            )
            raise InputError(f"the {what} {name[:40]!r}… {problem}", where=str(where), mend="rename it")
    return np.asarray(names, dtype=np.str_) if len(names) else np.empty(0, dtype="<U1")
