"""Reading JSON and TOML that somebody else may have written: bounded, with nothing that surprises later.

What comes back is nested at most :data:`~fleetlora.limits.DEPTH` levels deep, its texts can be written as
UTF-8 (no lone surrogates), and its numbers from JSON are finite.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetlora.errors import ConfigError, InputError
from fleetlora.limits import CONFIG_BYTES, DEPTH, DOCUMENT_BYTES, check_size

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = [
    "check_shape",
    "flat",
    "is_tables",
    "parse_json",
    "parse_toml",
    "read_json",
    "read_toml",
    "read_utf8",
    "refuse_newer",
]


def read_utf8(path: Path, most: int, mend: str) -> str:
    """Return the whole of a UTF-8 file, without the mark some editors put first.

    Raises:
        InputError: It cannot be read, is larger than ``most`` bytes, or is not UTF-8.
    """
    check_size(path, most)
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # a path with a NUL is a ValueError, and so is text that is none
        reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else None
        reason = reason or getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be read: {reason}", where=str(path), mend=mend) from error


def read_json(path: Path, mend: str) -> Any:
    """Return what a JSON file holds.

    Raises:
        InputError: It cannot be read, or :func:`parse_json` refuses it.
    """
    return parse_json(read_utf8(path, DOCUMENT_BYTES, mend), str(path), mend)


def parse_json(text: str, where: str, mend: str, line: int | None = None) -> Any:
    """Return what JSON text holds.

    Args:
        text: The text.
        where: The file.
        mend: What its owner can do if it is damaged.
        line: Line of the file that the text is, if it is not the whole file.

    Raises:
        InputError: It is not JSON, nested too deep, or holds a number or text that JSON should not.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        _check(value, finite=True)
    except json.JSONDecodeError as error:
        at = f"{where}:{(line or 1) + error.lineno - 1}"
        raise InputError(f"broken JSON: {error.msg}", where=at, mend=mend) from None
    except (ValueError, RecursionError) as error:
        at = where if line is None else f"{where}:{line}"
        raise InputError(f"broken JSON: {_reason(error)}", where=at, mend=mend) from None
    return value


def read_toml(path: Path, mend: str = "give a TOML file") -> tuple[str, dict[str, Any]]:
    """Return the text of a TOML file, and what it holds.

    Raises:
        InputError: It cannot be read.
        ConfigError: :func:`parse_toml` refuses it.
    """
    text = read_utf8(path, CONFIG_BYTES, mend)
    return text, parse_toml(text, str(path))


def parse_toml(text: str, where: str, mend: str = "correct the line") -> dict[str, Any]:
    """Return what TOML text holds.

    Raises:
        ConfigError: It is not TOML, or nested too deep.
    """
    try:
        values = tomllib.loads(text)
        _check(values, finite=False)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not TOML: {_reason(error)}", where=where, mend=mend) from None
    return values


def refuse_newer(number: Any, known: int, where: str | Path) -> None:
    """Refuse a file whose layout is newer than the newest that this version knows.

    Raises:
        InputError: ``number`` is larger than ``known``.
    """
    if isinstance(number, int) and number > known:
        raise InputError(
            f"written by a newer fleetlora (layout {number}, this one reads up to {known})",
            where=str(where),
            mend="update fleetlora: pip install --upgrade fleetlora",
        )


def check_shape(shape: Any, value: Any, where: str | Path, mend: str) -> None:
    """Check that a document has a shape; what the shape does not name may be there too.

    Args:
        shape: A ``TypedDict``.
        value: The document.
        where: Its file.
        mend: What its owner can do if it is damaged.

    Raises:
        InputError: It has another shape; names the first key that is wrong.
    """
    from pydantic import ValidationError

    try:
        _adapter(shape).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"])[:80]
        said = f"{key}: {first['msg']}" if key else first["msg"]
        raise InputError(f"damaged: {said}", where=str(where), mend=mend) from None


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(shape)


def _reason(error: Exception) -> str:
    return f"nested more than {DEPTH} levels deep" if isinstance(error, RecursionError) else str(error)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _check(value: Any, finite: bool) -> None:
    """Refuse what is nested too deep, a text that is no text, and a number that is not finite if so asked."""
    level, deeper = [value], 0
    while level:
        if deeper > DEPTH:
            raise RecursionError
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(one.keys())
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
            elif isinstance(one, str):
                if not one.isascii():
                    one.encode()
            elif finite and isinstance(one, float) and not math.isfinite(one):
                raise ValueError("a number is too large")
        level, deeper = below, deeper + 1


def flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return every plain value of a document but None by its dotted key.

    Tables in a list go by their names, or numbers where they have none.
    """
    return dict(_leaves("", document))


def is_tables(value: Any) -> bool:
    """Tell whether a value is a list of tables."""
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), item)
    elif is_tables(value):
        for index, item in enumerate(value):
            yield from _leaves(f"{prefix}.{item.get('name', index)}", item)
    elif value is not None:
        yield prefix, list(value) if isinstance(value, tuple) else value
