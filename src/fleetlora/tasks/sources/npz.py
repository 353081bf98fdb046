"""Images in a NumPy archive: ``x_train, y_train, x_test, y_test``, or ``x, y`` with ``is_test``.

Archives are opened with pickle refused: an array of Python objects can run code when it is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fleetlora.errors import InputError
from fleetlora.limits import TEXT_BYTES, check_ratio, names_array
from fleetlora.registry import suggest
from fleetlora.settings import quantity
from fleetlora.tasks.columns import SplitOptions
from fleetlora.tasks.raw import TASK_SOURCES, Labels, RawSplit, RawTask

__all__ = ["Npz"]

Array = npt.NDArray[Any]


@TASK_SOURCES.register("npz")
class Npz(SplitOptions):
    """Images (uint8) and labels in one ``.npz`` file."""

    path: str = quantity(..., "path", "the archive")
    classes: tuple[str, ...] | None = Field(None, description="names of the classes 0, 1, … in that order")
    group: str | None = quantity(
        None, "array", "origin of each row: the array of this name, or with _train and _test behind it"
    )

    def load(self) -> RawTask:
        """Read the arrays.

        Raises:
            InputError: The archive is broken, or an array is missing, pickled, or of the wrong shape or type.
            ConfigError: No test set and no test share, or both.
        """
        from fleetlora.assets import resolve

        with _opened(resolve(self.path)) as archive:
            return self._task(archive)

    def _task(self, archive: _Archive) -> RawTask:
        if "x_train" in archive.names or "x" not in archive.names:
            train, test = (self._split(archive, f"_{side}") for side in ("train", "test"))
            return self.divide(train, test, self.path, self.classes)
        rows = self._split(archive, "")
        if "is_test" not in archive.names:
            return self.divide(rows, None, self.path, self.classes)
        is_test = archive.read("is_test", len(rows)).astype(bool)
        train, test = rows.take(np.flatnonzero(~is_test)), rows.take(np.flatnonzero(is_test))
        return self.divide(train, test, self.path, self.classes)

    def _split(self, archive: _Archive, suffix: str) -> RawSplit:
        images = archive.images(f"x{suffix}")
        labels = archive.labels(f"y{suffix}", len(images))
        group = None
        if self.group is not None and suffix != "_test":  # only training rows are partitioned
            name = self.group if self.group in archive.names else f"{self.group}{suffix}"
            group = archive.read(name, len(images))
        return RawSplit(
            labels=labels,
            images=images,
            group=group,
            where=lambda row: f"{archive.path}: x{suffix}[{row}]",
        )


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    """Open an archive, pickle refused, and close it at the end of the block."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError(
            error.strerror or "cannot be read", where=str(path), mend="correct the path"
        ) from error
    mend = "write it with numpy.savez_compressed"
    with stream:
        try:
            found = np.load(stream, allow_pickle=False)
        except Exception as error:  # zip and NumPy each raise errors of their own for what they cannot read
            raise InputError("not a .npz archive", where=str(path), mend=mend) from error
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise InputError("a single array", where=str(path), mend=mend)
        yield _Archive(path, found)


class _Archive:
    """The arrays of a ``.npz`` file, read one by one."""

    def __init__(self, path: Path, file: np.lib.npyio.NpzFile) -> None:
        self.path = path
        self.file = file
        self.names = list(file.files)

    def read(self, name: str, rows: int | None = None) -> Array:
        """Return an array, checked to have ``rows`` rows."""
        where = f"{self.path}: {name}"
        if name not in self.names:
            raise InputError(f"no array {name!r}", where=str(self.path), mend=suggest(name, self.names))
        self._check_declared(name, where)
        try:
            array: Array = self.file[name]
        except Exception as error:  # zip, deflate and NumPy each raise errors of their own for damage
            if "allow_pickle" in str(error):
                raise InputError(
                    "holds Python objects, which only pickle can read and which is refused",
                    where=where,
                    mend="store plain numbers: uint8 images, integer or string labels",
                ) from error
            raise InputError("is damaged", where=where, mend="write or download the file again") from error
        if not isinstance(array, np.ndarray):
            raise InputError("is no array", where=where, mend="write it with numpy.savez_compressed")
        if rows is not None and array.shape != (rows,):
            raise InputError(
                f"has shape {array.shape}, not ({rows},)", where=where, mend="one value per image"
            )
        return array

    def _check_declared(self, name: str, where: str) -> None:
        """Refuse an array that unpacks to too much, or declares more than it holds."""
        archive = self.file.zip
        if archive is None:  # closed; what reads from it says so
            return
        try:
            member = archive.getinfo(f"{name}.npy" if f"{name}.npy" in archive.namelist() else name)
            check_ratio(member.compress_size, member.file_size, where, TEXT_BYTES)
            with archive.open(member) as stream:
                header = np.lib.format.read_magic(stream)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }.get(header)
                if read is None:  # of a version of its own, or no array; what reads it says so
                    return
                shape, _, dtype = read(stream)
        except InputError:
            raise
        except Exception:  # what reads the whole of it says what is wrong
            return
        if math.prod(map(int, shape)) * dtype.itemsize > member.file_size:
            raise InputError(
                f"declares the shape {shape}, more than it holds", where=where, mend="write the file again"
            )

    def images(self, name: str) -> npt.NDArray[np.uint8]:
        """Return (N, H, W, 3) uint8 images; grey ones get three equal channels."""
        array = self.read(name)
        where = f"{self.path}: {name}"
        if array.dtype != np.uint8:
            raise InputError(
                f"is {array.dtype}, not uint8", where=where, mend="store pixels 0 to 255 as uint8"
            )
        if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
            array = array.transpose(0, 2, 3, 1)
        if array.ndim == 3:
            array = array[..., None]
        if array.ndim != 4 or array.shape[3] not in (1, 3) or 0 in array.shape:
            raise InputError(
                f"has shape {array.shape}", where=where, mend="store images as (N, H, W, 3) or (N, H, W)"
            )
        return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:3], 3)))

    def labels(self, name: str, rows: int) -> Labels:
        """Return the class of each row, int64 or str."""
        array = self.read(name, rows)
        if array.dtype.kind == "U":
            return names_array(array.tolist(), "class", f"{self.path}: {name}")
        if array.dtype.kind in "iub":
            return array.astype(np.int64)
        raise InputError(
            f"is {array.dtype}, not classes", where=f"{self.path}: {name}", mend="store integers or strings"
        )
