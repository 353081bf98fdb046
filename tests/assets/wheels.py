"""Tiny wheels made on the spot, and a download step that takes them from a folder."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from fleetlora.assets import Asset

FILES = {
    "tiny/data/a.txt": b"first\n",
    "tiny/data/deep/b.txt": b"second\n",
    "tiny/code.py": b"raise SystemExit('never imported')\n",
}


def make_wheel(
    folder: Path, files: dict[str, bytes] = FILES, filename: str = "tiny-1.0-py3-none-any.whl"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / filename
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_asset(wheel: Path, name: str = "tiny", members: tuple[str, ...] = ("tiny/data/*",)) -> Asset:
    content = wheel.read_bytes()
    return Asset(
        name=name,
        distribution="tiny",
        version="1.0",
        filename=wheel.name,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        members=members,
        strip="tiny/data/",
        licence="MIT",
        source="made by the test",
        description="two small files",
    )


@dataclass
class FromFolder:
    """A download step that copies wheels from a folder and remembers what it was asked for."""

    folder: Path
    asked: list[str] = field(default_factory=list)

    def __call__(self, asset: Asset, into: Path) -> Path:
        self.asked.append(asset.name)
        return Path(shutil.copy(self.folder / asset.filename, into))
