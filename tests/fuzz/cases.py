"""From bytes that a fuzzer thinks up to a folder of files that a reader meets.

A case is a folder that its reader takes. The fuzzer's bytes say which file of which case to spoil, and how:
replaced by the bytes, patched here and there, cut off, or wrapped into a format whose checksums, lengths or
compression a blind change would always break.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"
FOUND = Path(__file__).parent / "found"

REPLACE, PATCH, CUT, WRAP = range(4)

#: Turns a fuzzer's bytes into the contents of a file, given the sound contents.
Wrap = Callable[[bytes, bytes], bytes]


@dataclass(frozen=True)
class Reader:
    """Something that reads files.

    Attributes:
        name: Its name; its seeds lie in ``seeds/NAME``.
        read: Reads the folder of a case and uses what came out as its callers do.
        share: How many executions it gets, next to the others.
        wraps: How files whose names end so are wrapped.
        begins: For each wrapped ending, bytes to begin fuzzing with.
    """

    name: str
    read: Callable[[Path], object]
    share: float = 1.0
    wraps: dict[str, Wrap] = field(default_factory=dict)
    begins: dict[str, tuple[bytes, ...]] = field(default_factory=dict)


class Bench:
    """The cases of one reader, laid out in a folder of its own, one file spoilt at a time.

    Args:
        reader: The reader.
        folder: An empty folder, best one in memory.
    """

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder = reader, folder
        cases = sorted(path for path in (SEEDS / reader.name).iterdir() if path.is_dir())
        self.cases = [shutil.copytree(case, folder / case.name) for case in cases]
        self.files = [sorted(path for path in case.rglob("*") if path.is_file()) for case in self.cases]
        self.sound = {path: path.read_bytes() for files in self.files for path in files}

    def beginnings(self) -> Iterator[bytes]:
        """Yield the inputs to begin with: every file as it is, untouched, cut, and what is to be wrapped."""
        for c, files in enumerate(self.files):
            for f, path in enumerate(files):
                yield bytes([c, f, REPLACE]) + self.sound[path]
                yield bytes([c, f, PATCH])
                yield bytes([c, f, CUT, 0, 40])
                for ending, several in self.reader.begins.items():
                    if path.name.endswith(ending):
                        yield from (bytes([c, f, WRAP]) + begin for begin in several)

    def meet(self, data: bytes) -> None:
        """Let the reader meet what ``data`` says; everything is sound again afterwards."""
        c, f, mode, rest = *(data[i] if len(data) > i else 0 for i in range(3)), data[3:]
        case = self.cases[c % len(self.cases)]
        files = self.files[c % len(self.cases)]
        path = files[f % len(files)]
        path.write_bytes(self._spoilt(path, mode % 4, rest))
        try:
            self.reader.read(case)
        finally:
            path.write_bytes(self.sound[path])

    def _spoilt(self, path: Path, mode: int, rest: bytes) -> bytes:
        sound = self.sound[path]
        wrap = next((w for ending, w in self.reader.wraps.items() if path.name.endswith(ending)), None)
        if mode == WRAP and wrap is not None:
            return wrap(rest, sound)
        if mode == PATCH and sound:
            spoilt = bytearray(sound)
            for at in range(0, len(rest) - 2, 3):
                spoilt[int.from_bytes(rest[at : at + 2], "big") % len(sound)] = rest[at + 2]
            return bytes(spoilt)
        if mode == CUT:
            return sound[: int.from_bytes(rest[:2], "big") % (len(sound) + 1)] + rest[2:]
        return rest
