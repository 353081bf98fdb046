"""From columns of plain values to a labelled split: labels, texts, images and groups, each checked."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fleetlora.errors import ConfigError, InputError
from fleetlora.limits import names_array
from fleetlora.rng import stream
from fleetlora.settings import Settings, quantity
from fleetlora.tasks.raw import Labels, RawSplit, RawTask
from fleetlora.tasks.subsets import cut_test_share
from fleetlora.tasks.tables import Table

__all__ = ["SplitOptions", "concatenate", "labels_of", "refuse_common", "refuse_common_files", "split_of"]


class SplitOptions(Settings):
    """The options of a source whose data may come without a test set."""

    test_share: float | None = quantity(
        None,
        "1",
        "share of each class set aside as the test set, where the data has none of its own",
        gt=0,
        lt=1,
    )
    test_seed: int = quantity(
        0, "1", "seed of that cut; the test set does not depend on the run's seed", ge=0
    )

    def divide(
        self,
        train: RawSplit,
        test: RawSplit | None,
        origin: str,
        classes: tuple[str, ...] | None = None,
    ) -> RawTask:
        """Return the task of ``train`` and ``test``, cutting ``train`` where there is no test set.

        Raises:
            ConfigError: Both a test set and a ``test_share`` were given, or neither.
        """
        if test is not None:
            if self.test_share is not None:
                raise ConfigError("the data has a test set", where="test_share", mend="drop test_share")
            return RawTask(train, test, classes, origin)
        if self.test_share is None:
            raise ConfigError(f"no test set for {origin}", where="test_share", mend="set test_share = 0.2")
        _, codes = np.unique(train.labels, return_inverse=True)
        rng = stream(self.test_seed, "tasks", "test-share")
        train_rows, test_rows = cut_test_share(codes, self.test_share, rng, train.group)
        return RawTask(train.take(train_rows), train.take(test_rows), classes, origin)


def refuse_common(train: Iterable[str], test: Iterable[str]) -> None:
    """Refuse rows that are on both sides.

    Args:
        train: Names of the splits to train on.
        test: Names of the splits to measure on.

    Raises:
        ConfigError: A name is among both.
    """
    common = sorted(set(train) & set(test))
    if common:
        raise _on_both_sides(common[0])


def refuse_common_files(train: str, test: str) -> None:
    """Refuse a file or folder that is on both sides, however its path is spelt.

    Raises:
        ConfigError: Both paths lead to one place.
    """
    if _place(train) == _place(test):
        raise _on_both_sides(test)


def _on_both_sides(name: str) -> ConfigError:
    return ConfigError(
        f"{name!r} is also trained on", where="test", mend="take it out of train or out of test"
    )


def _place(path: str) -> str:
    return path if path.startswith("asset:") else os.path.realpath(path)


def split_of(
    table: Table, *, label: str, text: str | None = None, image: str | None = None, group: str | None = None
) -> RawSplit:
    """Return the rows of a table as a split.

    Args:
        table: The columns read.
        label: Column of the class.
        text: Column of the text, or None for images.
        image: Column of the image (encoded bytes, or a path beside the file), or None for texts.
        group: Column of the origin of a row, or None.

    Raises:
        InputError: A value is missing or of the wrong kind; names the file and line.
    """
    columns = table.columns
    return RawSplit(
        labels=labels_of(columns[label], label, table),
        texts=None if text is None else _texts(columns[text], text, table),
        images=None if image is None else _images(columns[image], image, table),
        group=None if group is None else labels_of(columns[group], group, table),
        where=table.where,
    )


def labels_of(values: Sequence[Any], name: str, table: Table) -> Labels:
    """Return class labels as int64 (whole numbers) or str.

    Raises:
        InputError: A label is missing, not a number (NaN), a fraction, or neither text nor number.
    """
    whole = True
    for row, value in enumerate(values):
        if value is None or (isinstance(value, str) and not value.strip()):
            raise InputError(
                f"{name!r} is missing", where=table.where(row), mend="fill it in or remove the row"
            )
        if isinstance(value, float) and not value.is_integer():
            kind = "not a number (NaN)" if math.isnan(value) else f"{value:g}, not a class"
            raise InputError(
                f"{name!r} is {kind}", where=table.where(row), mend="give whole numbers or names"
            )
        if not isinstance(value, (str, int, float)) or (not isinstance(value, str) and abs(value) >= 2**63):
            raise InputError(
                f"{name!r} is {_shown(value)}, not a class",
                where=table.where(row),
                mend="give whole numbers or names",
            )
        whole = whole and not isinstance(value, str)
    if whole:
        return np.asarray([int(value) for value in values], dtype=np.int64)
    return names_array([str(value).strip() for value in values], f"value of {name!r}", table.path)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"the {type(value).__name__} {text if len(text) <= 40 else text[:40] + '…'}"


def _texts(values: Sequence[Any], name: str, table: Table) -> list[str]:
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, str):
            raise InputError(
                f"{name!r} is {_shown(value)}, not text",
                where=table.where(row),
                mend="name the column that holds the text",
            )
    return ["" if value is None else value for value in values]


def _images(values: Sequence[Any], name: str, table: Table) -> list[Path | bytes]:
    found: list[Path | bytes] = []
    for row, value in enumerate(values):
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, str) and value:
            value = table.path.parent / value
        if not isinstance(value, (bytes, Path)) or not value:
            raise InputError(
                f"{name!r} holds no image",
                where=table.where(row),
                mend="store the encoded bytes (PNG, JPEG) or a path beside the file",
            )
        found.append(value)
    return found


def concatenate(splits: Sequence[RawSplit]) -> RawSplit:
    """Return the rows of several splits of one kind as one split."""
    if len(splits) == 1:
        return splits[0]
    starts = np.cumsum([0, *map(len, splits)])

    def where(row: int) -> str:
        part = int(np.searchsorted(starts, row, side="right")) - 1
        return splits[part].where(row - int(starts[part]))

    groups = [split.group for split in splits]
    return RawSplit(
        labels=_joined([split.labels for split in splits]),
        texts=None if splits[0].texts is None else [text for split in splits for text in split.texts or ()],
        images=None if splits[0].images is None else [i for split in splits for i in split.images or ()],
        group=None
        if any(group is None for group in groups)
        else _joined([g for g in groups if g is not None]),
        where=where,
    )


def _joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    if len({part.dtype.kind for part in parts}) > 1:
        parts = [part.astype(np.str_) for part in parts]
    return np.concatenate(parts)
