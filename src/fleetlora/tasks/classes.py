"""The class table of a task: which classes there are, and whether train and test agree on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fleetlora.errors import InputError
from fleetlora.registry import suggest
from fleetlora.tasks.raw import Labels, RawSplit, RawTask

__all__ = ["class_codes"]

Codes = npt.NDArray[np.int64]


def class_codes(raw: RawTask, *, allow_missing: bool = False) -> tuple[tuple[str, ...], Codes, Codes]:
    """Return the classes of a task and the class index of each train and test row.

    The declared classes count where the data declares some; else those of the training rows, sorted.

    Args:
        raw: The task as read.
        allow_missing: Accept a test set (or, with declared classes, a training set) that lacks classes.

    Returns:
        Class names; (N,) int64 codes of the training rows; (M,) int64 codes of the test rows.

    Raises:
        InputError: Fewer than two classes, an empty side, a doubled class name, a label of the test rows
            that training does not know, or a class without rows.
    """
    for side, split in (("training", raw.train), ("test", raw.test)):
        if len(split) == 0:
            raise InputError(f"no {side} rows", where=raw.origin, mend="give at least one row per class")
    if raw.classes is None:
        classes, train, test = _learnt(raw)
    else:
        classes = raw.classes
        train, test = (_declared(split, classes, raw.origin) for split in (raw.train, raw.test))
    _refuse_doubles(classes, raw.origin)
    if len(classes) < 2:
        raise InputError(
            f"only one class, {classes[0]!r}", where=raw.origin, mend="give at least two classes"
        )
    if not allow_missing:
        _refuse_missing(classes, train, "training set", raw.origin)
        _refuse_missing(classes, test, "test set", raw.origin)
    return classes, train, test


def _learnt(raw: RawTask) -> tuple[tuple[str, ...], Codes, Codes]:
    known, test_labels = raw.train.labels, raw.test.labels
    if known.dtype.kind != test_labels.dtype.kind:
        known, test_labels = known.astype(np.str_), test_labels.astype(np.str_)
    values, train = np.unique(known, return_inverse=True)
    at = np.minimum(np.searchsorted(values, test_labels), len(values) - 1)
    strange = np.flatnonzero(values[at] != test_labels)
    if len(strange):
        row = int(strange[0])
        raise InputError(
            f"test label {str(test_labels[row])!r} does not occur in the training rows",
            where=raw.test.where(row),
            mend=suggest(str(test_labels[row]), [str(value) for value in values]),
        )
    return tuple(str(value) for value in values), train.astype(np.int64), at.astype(np.int64)


def _declared(split: RawSplit, classes: Sequence[str], origin: str) -> Codes:
    labels: Labels = split.labels
    if labels.dtype.kind == "i":
        codes = labels.astype(np.int64)
        strange = np.flatnonzero((codes < 0) | (codes >= len(classes)))
        mend = f"labels 0 to {len(classes) - 1} have names; a label of -1 means the rows are unlabelled"
    else:
        index = {name: code for code, name in enumerate(classes)}
        codes = np.asarray([index.get(str(label), -1) for label in labels], dtype=np.int64)
        strange = np.flatnonzero(codes < 0)
        mend = f"the declared classes of {origin}: {', '.join(classes[:20])}"
    if len(strange):
        row = int(strange[0])
        raise InputError(
            f"label {str(labels[row])!r} is not one of the {len(classes)} declared classes",
            where=split.where(row),
            mend=mend,
        )
    return codes


def _refuse_doubles(classes: Sequence[str], origin: str) -> None:
    counts = Counter(name.strip() for name in classes)
    doubled = [name for name, count in counts.items() if count > 1]
    if doubled:
        raise InputError(
            f"class name {doubled[0]!r} occurs twice (spaces around a name do not count)",
            where=origin,
            mend="rename one of them, or make them one class",
        )


def _refuse_missing(classes: Sequence[str], codes: Codes, side: str, origin: str) -> None:
    counts = np.bincount(codes, minlength=len(classes))
    missing = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"the {side} has no row of class {missing[0]!r}{more}",
            where=origin,
            mend="add rows of it, drop the class, or set encoding.allow_missing_classes = true",
        )
