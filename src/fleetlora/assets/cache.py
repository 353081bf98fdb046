"""The per-user cache: where it lies, how it is written to, and what its errors mean to a person.

Everything in it can be made again, so it may be deleted at any time. Folders appear in it complete or not at
all: they are built under a temporary name beside their place and then renamed.
"""

from __future__ import annotations

import errno
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fleetlora.errors import InputError

__all__ = ["cache_dir", "cache_errors", "derived_dir", "make_folder"]

CACHE_VARIABLE = "FLEETLORA_CACHE"
_MOVE = f"point the environment variable {CACHE_VARIABLE} at a folder"


def cache_dir() -> Path:
    """Return the cache folder: ``FLEETLORA_CACHE``, or the platform's per-user cache (it may not exist)."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("fleetlora", appauthor=False)


def derived_dir(kind: str) -> Path:
    """Return, and make, the cache folder of things computed from inputs, such as ``"sumo"`` or ``"tokens"``.

    Raises:
        InputError: The cache cannot be written.
    """
    folder = cache_dir() / "derived" / kind
    with cache_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def cache_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` met while writing below ``path`` into an error that names it and the mend.

    Raises:
        InputError: The disk is full, the folder is read-only, or writing failed otherwise.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            problem, mend = "the disk is full", f"free some space, or {_MOVE} on another disk"
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            problem, mend = "the cache cannot be written (read-only)", f"{_MOVE} you can write to"
        else:
            problem, mend = f"the cache cannot be written ({error})", f"{_MOVE} you can write to"
        raise InputError(problem, where=str(path), mend=mend) from error


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)


def make_folder(target: Path, ready: Callable[[], bool], make: Callable[[Path, Path], None]) -> None:
    """Make a folder of the cache unless it is there; of several processes at once, one makes it.

    Args:
        target: The folder. What stands there and is not ready is replaced.
        ready: Says whether ``target`` is there and whole.
        make: Fills the folder it is given first; the second is for scratch files, which are thrown away.

    Raises:
        InputError: The cache cannot be written; ``target`` is then as it was, and nothing else is left.
    """
    if ready():
        return
    with cache_errors(target), _locked(target.with_name(f".{target.name}.lock")):
        if not ready():
            with _building(target) as folder:
                scratch = folder / "scratch"
                scratch.mkdir()
                make(folder / "new", scratch)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` against other threads and processes; the system frees it if we die."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        _lock(handle.fileno())
        yield


@contextmanager
def _building(target: Path) -> Iterator[Path]:
    """Give a temporary folder whose ``new`` becomes ``target`` when the block ends without an error.

    The lock of ``target`` is held, so whatever an earlier, killed process left half-built can be removed.
    """
    prefix = f".{target.name}."
    for left_over in target.parent.glob(f"{glob.escape(prefix)}*.tmp"):
        shutil.rmtree(left_over, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".tmp", dir=target.parent))
    try:
        fresh = folder / "new"
        fresh.mkdir()
        yield folder
        if target.exists():
            os.replace(target, folder / "old")
        os.replace(fresh, target)
        _sync_folder(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    if sys.platform != "win32":  # a folder cannot be opened there
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
