from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fleetlora.errors import InputError
from fleetlora.tasks.classes import class_codes
from fleetlora.tasks.raw import RawSplit, RawTask


def task(train: list[Any], test: list[Any], classes: tuple[str, ...] | None = None) -> RawTask:
    def split(labels: list[Any]) -> RawSplit:
        return RawSplit(np.asarray(labels), texts=["x"] * len(labels), where=lambda row: f"data:{row + 1}")

    return RawTask(split(train), split(test), classes, "data")


def test_names_are_sorted_and_numbers_are_sorted_as_numbers() -> None:
    names, train, test = class_codes(task(["b", "a", "b"], ["a", "b"]))
    assert (names, train.tolist(), test.tolist()) == (("a", "b"), [1, 0, 1], [0, 1])
    assert class_codes(task([10, 9, 10], [9, 10]))[0] == ("9", "10")


def test_numbers_in_one_file_and_names_in_the_other_agree_as_names() -> None:
    names, train, test = class_codes(task([1, 2], ["2", "1"]))
    assert (names, train.tolist(), test.tolist()) == (("1", "2"), [0, 1], [1, 0])


def test_declared_classes_give_the_order() -> None:
    assert class_codes(task([1, 0], [0, 1], ("zebra", "ape")))[0] == ("zebra", "ape")
    names, train, _ = class_codes(task(["ape", "zebra"], ["ape", "zebra"], ("zebra", "ape")))
    assert (names, train.tolist()) == (("zebra", "ape"), [1, 0])


@pytest.mark.parametrize(
    ("raw", "problem", "where"),
    [
        (task(["a", "b"], ["a"]), "test set has no row of class 'b'", "data"),
        (task(["a", "b", "c", "d"], ["a", "b"]), "'c' and 1 more", "data"),
        (task(["a", "b"], ["a", "bb", "b"]), "'bb' does not occur in the training rows", "data:2"),
        (task(["a", "a"], ["a"]), "only one class", "data"),
        (task([], ["a"]), "no training rows", "data"),
        (task(["a", "b"], []), "no test rows", "data"),
        (task([0, 1], [0, 1], ("x", "x ")), "'x' occurs twice", "data"),
        (task([0, 2], [0, 1], ("x", "y")), "'2' is not one of the 2 declared", "data:2"),
        (task([0, 1], [-1, -1], ("x", "y")), "'-1' is not one of the 2 declared", "data:1"),
        (task(["x", "z"], ["x", "y"], ("x", "y")), "'z' is not one of the 2 declared", "data:2"),
        (task([0, 1], [0, 1], ("x", "y", "z")), "training set has no row of class 'z'", "data"),
    ],
)
def test_classes_that_do_not_fit_are_refused(raw: RawTask, problem: str, where: str) -> None:
    with pytest.raises(InputError) as caught:
        class_codes(raw)
    assert problem in caught.value.problem
    assert caught.value.where == where
    assert caught.value.mend


def test_missing_classes_may_be_allowed() -> None:
    assert class_codes(task(["a", "b"], ["a"]), allow_missing=True)[0] == ("a", "b")
    assert class_codes(task([0, 1], [0], ("x", "y", "z")), allow_missing=True)[0] == ("x", "y", "z")
    with pytest.raises(InputError, match="does not occur"):
        class_codes(task(["a", "b"], ["c"]), allow_missing=True)
