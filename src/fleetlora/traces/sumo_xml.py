"""What an XML file of a SUMO scenario reads and writes, and a copy of it that writes nowhere.

Networks, routes and additional files may all hold detectors, include other files, and give a vehicle or a
traffic light a file of its own to write, so all are looked through in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO, cast
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from fleetlora.errors import InputError
from fleetlora.limits import GZIP_DAMAGE, TEXT_BYTES, Unzipped, check_size
from fleetlora.traces.textfile import is_gzip

__all__ = ["Contents", "is_file", "look_through", "write_silent"]

#: Elements whose ``file`` is an input; everywhere else it is an output.
_READERS = ("rerouter", "variableSpeedSign", "calibrator")
_WRITES = ("file", "dest", "output")
#: Keys of parameters that name an output: ``device.ssm.file`` of a vehicle, ``file`` of a traffic light.
_WRITING_KEY = re.compile(r"(.*\.)?(file|output)")
_NOWHERE = "NUL"  # SUMO's name for it, on every system


@dataclass(frozen=True)
class Contents:
    """What a file refers to.

    Attributes:
        reads: Files it pulls in, in order.
        writes: Whether SUMO would write a file because of it.
    """

    reads: tuple[Path, ...]
    writes: bool


def look_through(path: Path) -> Contents:
    """Return what an XML file refers to, after a look at all of it; SUMO crashes on some that are cut off.

    Raises:
        InputError: It is not well-formed, declares a document type, or pulls in a file that is not there.
    """
    reads: dict[Path, None] = {}
    writes = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal writes
        inner = _read_by(tag, attributes)
        if inner is not None:
            found = (path.parent / inner).absolute()
            if not is_file(found):
                raise InputError(
                    f"<{tag}> reads {inner[:200]!r}, which does not exist",
                    where=str(path),
                    mend="restore the file, or take the element out of a copy of the scenario",
                )
            reads[found] = None
        writes = writes or bool(_silent(tag, attributes))

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    _parse(path, parser)
    return Contents(tuple(reads), writes)


def write_silent(path: Path, copy: Path, moved: Mapping[Path, Path]) -> None:
    """Write a copy that is to SUMO what the file is, but has nothing to write.

    Args:
        path: The file.
        copy: Where the copy goes; what it reads is named by its full path.
        moved: For every file that it pulls in, the one to pull in instead.
    """
    with copy.open("w", encoding="utf-8") as sink:
        sink.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        _parse(path, _copier(path, sink, moved))


def is_file(path: Path) -> bool:
    """Return whether a path that a file names is one; a name too long for any file is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _copier(path: Path, sink: TextIO, moved: Mapping[Path, Path]) -> expat.XMLParserType:
    def start(tag: str, attributes: dict[str, str]) -> None:
        for name in ("file", "href", "imgFile"):
            inner = attributes.get(name)
            if inner and is_file(path.parent / inner):
                there = (path.parent / inner).absolute()
                attributes[name] = str(moved.get(there, there))
        attributes |= _silent(tag, attributes)
        sink.write(f"<{tag}{''.join(f' {name}={quoteattr(text)}' for name, text in attributes.items())}>")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: sink.write(f"</{tag}>")
    parser.CharacterDataHandler = lambda text: sink.write(escape(text))
    return parser


def _read_by(tag: str, attributes: Mapping[str, str]) -> str | None:
    """Return the file that an element pulls in, as it names it."""
    if tag == "include":
        return attributes.get("href", "")
    return (attributes.get("file") or None) if tag in _READERS else None


def _silent(tag: str, attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes to change so that an element writes nowhere."""
    if tag == "param":
        return {"value": _NOWHERE} if _WRITING_KEY.fullmatch(attributes.get("key", "").strip()) else {}
    return {
        name: _NOWHERE for name in _WRITES if name in attributes and not (name == "file" and tag in _READERS)
    }


def _parse(path: Path, parser: expat.XMLParserType) -> None:
    parser.StartDoctypeDeclHandler = lambda *_: _refuse_type(path)
    with _opened(path) as stream:
        parser.ParseFile(stream)


def _refuse_type(path: Path) -> None:
    raise InputError(
        "declares a document type, which may pull in anything",
        where=str(path),
        mend="take the line <!DOCTYPE ...> out; SUMO needs none",
    )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    check_size(path, TEXT_BYTES)
    try:
        with Unzipped(path) if is_gzip(path) else path.open("rb") as stream:
            yield cast("BinaryIO", stream)
    except (expat.ExpatError, ValueError, LookupError, *GZIP_DAMAGE) as error:
        line = f":{error.lineno}" if isinstance(error, expat.ExpatError) else ""
        raise InputError(f"damaged XML: {error}", where=f"{path}{line}", mend="restore the file") from error
