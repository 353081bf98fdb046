"""Images in folders: ``train/<class>/*.png`` and ``test/<class>/*.png``, or ``<class>/*.png`` alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fleetlora.errors import InputError
from fleetlora.settings import quantity
from fleetlora.tasks.columns import SplitOptions, refuse_common_files
from fleetlora.tasks.raw import TASK_SOURCES, RawSplit, RawTask

__all__ = ["ImageFolder"]

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif"})
#: Folders that hold the classes of one side, whatever a user calls them, and are no classes.
_SIDES = frozenset({"train", "training", "test", "testing"})


@TASK_SOURCES.register("image-folder")
class ImageFolder(SplitOptions):
    """One folder per class, below ``train`` and ``test`` folders where there are such."""

    path: str = quantity(..., "path", "the outer folder")
    train: str = quantity("train", "folder", "folder of the training classes, where it exists")
    test: str = quantity("test", "folder", "folder of the test classes, where it exists")

    def load(self) -> RawTask:
        """List the images; they are opened when the task is encoded.

        Raises:
            InputError: No folder, no class folders, a class folder without images, or a side's folder beside
                no training folder.
            ConfigError: Neither a test folder nor a test share, or both, or one folder on both sides.
        """
        from fleetlora.assets import resolve

        root = Path(resolve(self.path))
        if not root.is_dir():
            raise InputError("no such folder", where=str(root), mend="correct the path")
        train, test = root / self.train, root / self.test
        refuse_common_files(str(train), str(test))
        if not train.is_dir():
            self._refuse_sides(root)
            return self.divide(_read(root), None, self.path)
        return self.divide(_read(train), _read(test) if test.is_dir() else None, self.path)

    def _refuse_sides(self, root: Path) -> None:
        sides = _SIDES | {self.test.lower()}
        for entry in sorted(root.iterdir()):
            if entry.is_dir() and entry.name.lower() in sides:
                raise InputError(
                    f"a folder {entry.name!r} and none called {self.train!r}",
                    where=str(root),
                    mend="name the folders of the two sides with train and test; rename it if it is a class",
                )


def _read(folder: Path) -> RawSplit:
    labels: list[str] = []
    files: list[Path | bytes] = []
    for inner in sorted(entry for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."):
        found = sorted(p for p in inner.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
        if not found:
            mend = f"put images there ({', '.join(sorted(_SUFFIXES))}) or remove the folder"
            raise InputError("a class without images", where=str(inner), mend=mend)
        files += found
        labels += [inner.name] * len(found)
    if not files:
        raise InputError("no class folders", where=str(folder), mend="make one folder of images per class")
    return RawSplit(labels=np.asarray(labels, dtype=np.str_), images=files, where=lambda row: str(files[row]))
