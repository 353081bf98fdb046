"""What a task source hands over: labelled rows as they lie in the data, before any backbone sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fleetlora.registry import Registry

__all__ = ["TASK_SOURCES", "RawSplit", "RawTask", "TaskSource"]

Labels = npt.NDArray[np.int64] | npt.NDArray[np.str_]
Images = npt.NDArray[np.uint8] | Sequence[Path | bytes]


def _by_number(row: int) -> str:
    return f"row {row}"


@dataclass(frozen=True, eq=False)
class RawSplit:
    """One side (train or test) of a task: N rows of text or of images.

    Args:
        labels: (N,) int64 or str, the class of each row.
        texts: N strings, or None where the rows are images.
        images: (N, H, W, 3) uint8, or N encoded images (a path or the file's bytes), or None.
        group: (N,) int64 or str; rows that share a value come from one origin (a track, a driver), or None.
        where: Names the place of a row in the data (``file:line``), for messages.
    """

    labels: Labels
    texts: Sequence[str] | None = None
    images: Images | None = None
    group: npt.NDArray[Any] | None = None
    where: Callable[[int], str] = _by_number

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.int64]) -> RawSplit:
        """Return the split that holds ``rows`` (n,) int64, in that order."""
        where = self.where
        images = self.images
        if images is not None:
            images = (
                images[rows] if isinstance(images, np.ndarray) else [images[row] for row in rows.tolist()]
            )
        return replace(
            self,
            labels=self.labels[rows],
            texts=None if self.texts is None else [self.texts[row] for row in rows.tolist()],
            images=images,
            group=None if self.group is None else self.group[rows],
            where=lambda row: where(int(rows[row])),
        )


@dataclass(frozen=True, eq=False)
class RawTask:
    """A task as read.

    Args:
        train: Rows that vehicles may hold.
        test: Rows that only measure.
        classes: Class names where the data declares them (integer labels then index them), else None.
        origin: What it was read from, for messages.
    """

    train: RawSplit
    test: RawSplit
    classes: tuple[str, ...] | None = None
    origin: str = "data"


class TaskSource(Protocol):
    """Where a task's rows come from: a ``Settings`` subclass registered in :data:`TASK_SOURCES`."""

    def load(self) -> RawTask:
        """Read the rows.

        Raises:
            InputError: The data is missing or broken; the message names the file and line.
        """
        ...


#: Every task source by the name a configuration's ``source`` key uses.
TASK_SOURCES: Registry[type[TaskSource]] = Registry("task source")
