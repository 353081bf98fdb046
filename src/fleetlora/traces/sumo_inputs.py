"""What a SUMO configuration refers to, and how to run it without it writing a single file of its own.

Scenarios come with outputs switched on (trip infos, detectors, logs) that SUMO would write beside its inputs.
So a scenario is never run from its own configuration: the options that matter are kept, with absolute paths,
outputs are left out, and additional files whose detectors write get a copy that writes nowhere.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast
from xml.etree import ElementTree
from xml.parsers import expat

from fleetlora.errors import InputError
from fleetlora.limits import DOCUMENT_BYTES, GZIP_DAMAGE, TEXT_BYTES, Unzipped, check_size
from fleetlora.traces.sumo_columns import sumo_seconds
from fleetlora.traces.textfile import is_gzip

__all__ = ["Scenario", "check_inputs", "read_scenario", "silenced"]

_ALIASES = {
    "n": "net-file",
    "net": "net-file",
    "r": "route-files",
    "routes": "route-files",
    "a": "additional-files",
    "additional": "additional-files",
    "b": "begin",
    "e": "end",
}
_INPUTS = ("net-file", "route-files", "additional-files")
#: Options left out: outputs and logs, the graphical interface, remote control, a seed taken from the clock.
_LEFT_OUT = re.compile(
    r".*[-.]output(\..*)?|output[-.].*|.*log|netstate-dump(\..*)?|save-state\..*|verbose|random"
    r"|(person-)?device\.fcd\..*|device\..*\.file|gui-.*|start|quit-on-end|delay|breakpoints|remote-port|num-clients"
)
#: Elements of additional files whose ``file`` is an input; everywhere else it is an output.
_READERS = ("rerouter", "variableSpeedSign", "calibrator", "include")
_WRITES = ("file", "dest", "output")
_INCLUDE = re.compile(rb"<include\s[^>]*?href\s*=\s*[\"']([^\"']+)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Scenario:
    """A SUMO configuration, read but not run.

    Attributes:
        config: The configuration file.
        options: SUMO's options by long name, without outputs; paths are absolute.
        net: The network file.
        additional: The additional files, in order.
        inputs: Every file it reads, in order.
    """

    config: Path
    options: Mapping[str, str]
    net: Path
    additional: tuple[Path, ...]
    inputs: tuple[Path, ...]

    def seconds(self, option: str, default: float) -> float:
        """Return an option that is a time, in seconds.

        Raises:
            InputError: It is no time.
        """
        text = self.options.get(option, "")
        try:
            return sumo_seconds(text) if text else default
        except ValueError as error:
            raise InputError(
                f"{option} is {text!r}, which is no time", where=str(self.config), mend="give seconds"
            ) from error

    def digest(self) -> str:
        """Return a hex hash of the options and of the content of every input, wherever they lie."""
        whole = hashlib.sha256()
        own = str(self.config.parent.absolute())
        for option, value in sorted(self.options.items()):
            whole.update(f"{option}={value.replace(own, '.')}\0".encode())
        for path in self.inputs:
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        return whole.hexdigest()


def read_scenario(config: Path) -> Scenario:
    """Read a configuration (``.sumocfg``) and find its files.

    Raises:
        InputError: It is not XML, names no network, or a file that it names does not exist.
    """
    options = {name: value for name, value in _options(config) if not _LEFT_OUT.fullmatch(name)}
    if "net-file" not in options:
        raise InputError(
            "names no network (net-file)", where=str(config), mend="give a SUMO configuration, *.sumocfg"
        )
    files: dict[str, list[Path]] = {}
    for name, value in options.items():
        found = _files(config, name, value)
        if found:
            files[name] = found
            options[name] = ",".join(map(str, found))
    named = [path for name in sorted(files) for path in files[name]]
    additional = tuple(files.get("additional-files", ()))
    read = dict.fromkeys(named)
    for path in named:
        read.update(dict.fromkeys(_included(path)))
    for path in additional:
        read.update(dict.fromkeys(_read_by(path)))
    return Scenario(config, options, files["net-file"][0], additional, tuple(read))


def _options(config: Path) -> Iterator[tuple[str, str]]:
    check_size(config, DOCUMENT_BYTES)
    mend = "give a *.sumocfg; outputs that SUMO wrote are read as source 'sumo-fcd'"
    try:
        tree = ElementTree.parse(config)
    except ElementTree.ParseError as error:
        reason, where = expat.ErrorString(error.code), f"{config}:{error.position[0]}"
        raise InputError(f"not a SUMO configuration: {reason}", where=where, mend=mend) from error
    except (ValueError, LookupError) as error:  # it states an encoding that there is not
        raise InputError(f"not a SUMO configuration: {error}", where=str(config), mend=mend) from error
    for element in tree.iter():
        value = element.get("value", element.get("v"))
        if value is not None:
            yield _ALIASES.get(element.tag, element.tag), _expanded(value)


def _expanded(value: str) -> str:
    """Replace ``${NAME}`` by the environment's value, as SUMO does."""
    return _VARIABLE.sub(lambda match: os.environ.get(match[1], match[0]), value).strip()


def _files(config: Path, option: str, value: str) -> list[Path]:
    """Return the files an option names, empty for an option that names none."""
    paths = [Path(config.parent, part.strip()).absolute() for part in value.split(",") if part.strip()]
    missing = [path for path in paths if not _is_file(path)]
    if option in _INPUTS and missing and "${" not in value:
        raise InputError(
            f"{option} names {missing[0]}, which does not exist",
            where=str(config),
            mend="restore the file, or correct the configuration",
        )
    return [] if missing else paths


def _is_file(path: Path) -> bool:
    """Return whether a path that a file names is one; a name too long for any file is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _content(path: Path) -> bytes:
    check_size(path, TEXT_BYTES)
    try:
        with Unzipped(path) if is_gzip(path) else path.open("rb") as file:
            return file.read()
    except GZIP_DAMAGE as error:
        raise _damaged(path, error) from error


def _included(path: Path) -> list[Path]:
    """Return the files that a file pulls in by ``<include href=...>``, however deep."""
    found: dict[Path, None] = {}
    waiting = [path]
    while waiting:
        here = waiting.pop()
        for href in _INCLUDE.findall(_content(here)):
            inner = here.parent / href.decode(errors="replace")
            if _is_file(inner) and inner not in found:
                found[inner] = None
                waiting.append(inner)
    return list(found)


def check_inputs(scenario: Scenario) -> None:
    """Check that every XML file a scenario reads is whole; SUMO crashes on some that are cut off.

    Raises:
        InputError: One is not well-formed; the message names file and line.
    """
    for path in scenario.inputs:
        try:
            with Unzipped(path) if is_gzip(path) else path.open("rb") as file:
                stream = cast("BinaryIO", file)
                if stream.read(256).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
                    stream.seek(0)
                    expat.ParserCreate().ParseFile(stream)
        except (expat.ExpatError, ValueError, LookupError, *GZIP_DAMAGE) as error:
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    line = f":{error.lineno}" if isinstance(error, expat.ExpatError) else ""
    line = f":{error.position[0]}" if isinstance(error, ElementTree.ParseError) else line
    return InputError(f"damaged XML: {error}", where=f"{path}{line}", mend="restore the file")


def _elements(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(_content(path))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise _damaged(path, error) from error


def _read_by(additional: Path) -> list[Path]:
    """Return the files that the elements of an additional file read."""
    paths = [
        additional.parent / element.get("file", "")
        for element in _elements(additional).iter()
        if element.tag in _READERS and element.get("file")
    ]
    return [path for path in paths if _is_file(path)]


def silenced(scenario: Scenario, scratch: Path) -> list[Path]:
    """Return the additional files to run with: copies in ``scratch`` of those that would write files.

    Args:
        scenario: The scenario.
        scratch: Where the copies go.
    """
    return [_silenced(path, scratch / f"{i}_{path.name}") for i, path in enumerate(scenario.additional)]


def _silenced(path: Path, copy: Path) -> Path:
    root = _elements(path)
    changed = False
    for element in root.iter():
        for attribute in _WRITES:
            writes = element.get(attribute) is not None and not (
                attribute == "file" and element.tag in _READERS
            )
            if writes:
                element.set(attribute, "NUL")  # SUMO's name for nowhere, on every system
                changed = True
    if not changed:
        return path
    for element in root.iter():  # the copy lies elsewhere, so what it reads needs its full path
        for attribute in ("file", "href", "imgFile"):
            inner = element.get(attribute)
            if inner and _is_file(path.parent / inner):
                element.set(attribute, str((path.parent / inner).absolute()))
    copy = copy.with_name(copy.name.removesuffix(".gz"))
    ElementTree.ElementTree(root).write(copy, encoding="utf-8", xml_declaration=True)
    return copy
