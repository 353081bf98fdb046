"""What a SUMO configuration refers to, and how to run it without it writing a single file of its own.

Scenarios come with outputs switched on (trip infos, detectors, logs) that SUMO would write beside its inputs.
So a scenario is never run from its own configuration: the options that matter are kept, with absolute paths,
outputs are left out, what could write in another way is refused, and files whose contents write get a copy
that writes nowhere.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from fleetlora.errors import InputError
from fleetlora.limits import DOCUMENT_BYTES, check_size
from fleetlora.traces.sumo_columns import sumo_seconds
from fleetlora.traces.sumo_options import FILES, own_name
from fleetlora.traces.sumo_xml import Contents, is_file, look_through, write_silent

__all__ = ["Scenario", "read_scenario", "silenced"]

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Scenario:
    """A SUMO configuration, read but not run.

    Attributes:
        config: The configuration file.
        options: SUMO's options by long name, without outputs; paths are absolute.
        files: The files that options name, by option.
        contents: Every file it reads, in order, and what is in it.
    """

    config: Path
    options: Mapping[str, str]
    files: Mapping[str, tuple[Path, ...]]
    contents: Mapping[Path, Contents]

    @property
    def net(self) -> Path:
        """The network file."""
        return self.files["net-file"][0]

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file it reads, in order."""
        return tuple(self.contents)

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
        InputError: It is not XML, has an option that is not known to write nothing, or names no network; or a
            file that it names does not exist, or is not well-formed XML.
    """
    options = dict(_options(config))
    if "net-file" not in options:
        raise InputError(
            "names no network (net-file)", where=str(config), mend="give a SUMO configuration, *.sumocfg"
        )
    files = {name: _files(config, name, options[name]) for name in sorted(options) if name in FILES}
    options |= {name: ",".join(map(str, paths)) for name, paths in files.items()}
    return Scenario(config, options, files, _contents([path for name in files for path in files[name]]))


def _contents(named: list[Path]) -> dict[Path, Contents]:
    """Return what is in files and in those that they pull in, however deep."""
    found: dict[Path, Contents] = {}
    waiting = list(reversed(named))
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = look_through(path)
            waiting.extend(reversed(found[path].reads))
    return found


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
        name = None if value is None else _own_name(config, element.tag)
        if name is not None and value is not None:
            yield name, _expanded(config, name, value)


def _own_name(config: Path, option: str) -> str | None:
    """Return the name by which SUMO lists an option, ``None`` for one that is left out."""
    try:
        return own_name(option)
    except KeyError as error:
        raise InputError(
            f"has the option {option!r}, which is unknown, or loads what may write files",
            where=str(config),
            mend="take the option out of a copy of the configuration",
        ) from error


def _expanded(config: Path, option: str, value: str) -> str:
    """Replace ``${NAME}`` by the environment's value, as SUMO does."""
    text = _VARIABLE.sub(lambda match: os.environ.get(match[1], match[0]), value).strip()
    if "${" in text:
        raise InputError(
            f"{option} names a variable that is not set: {text[:200]!r}",
            where=str(config),
            mend="set it in the environment, or write out the path",
        )
    return text


def _files(config: Path, option: str, value: str) -> tuple[Path, ...]:
    """Return the files an option names."""
    paths = [Path(config.parent, part.strip()).absolute() for part in value.split(",") if part.strip()]
    missing = [path for path in paths if not is_file(path)]
    if missing or (option == "net-file" and not paths):
        raise InputError(
            f"{option} names {missing[0] if missing else 'no file'}, which does not exist",
            where=str(config),
            mend="restore the file, or correct the configuration",
        )
    return tuple(paths)


def silenced(scenario: Scenario, scratch: Path) -> dict[Path, Path]:
    """Return, for every file that would write one or pulls another in, a copy that writes nowhere.

    Args:
        scenario: The scenario.
        scratch: Where the copies go.
    """
    loud = [path for path, contents in scenario.contents.items() if contents.writes or contents.reads]
    copies = {path: scratch / f"{i}_silent.xml" for i, path in enumerate(loud)}
    for path, copy in copies.items():
        write_silent(path, copy, copies)
    return copies
