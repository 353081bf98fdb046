from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleetlora.errors import ConfigError, InputError
from fleetlora.tasks.columns import SplitOptions, concatenate, labels_of, split_of
from fleetlora.tasks.raw import RawSplit
from fleetlora.tasks.tables import Table


def table(**columns: list[Any]) -> Table:
    return Table(Path("data.csv"), columns, lambda row: row + 2)


def test_whole_numbers_stay_numbers_and_names_lose_outer_spaces() -> None:
    assert labels_of([1, 2.0, True], "label", table()).tolist() == [1, 2, 1]
    assert labels_of([" a", "b "], "label", table()).tolist() == ["a", "b"]
    assert labels_of([1, "b"], "label", table()).tolist() == ["1", "b"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "missing"),
        ("  ", "missing"),
        (float("nan"), "NaN"),
        (float("inf"), "inf"),
        (1.5, "1.5"),
        ([1], "list"),
        (2**70, "int"),
    ],
)
def test_a_value_that_is_no_class_is_named_by_line(value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=r"data\.csv:3") as caught:
        labels_of(["a", value], "label", table())
    assert problem in caught.value.problem


def test_a_number_in_the_text_column_is_refused() -> None:
    with pytest.raises(InputError, match="not text"):
        split_of(table(text=["x", 3.5], label=["a", "b"]), label="label", text="text")


def test_an_image_may_be_bytes_a_struct_or_a_path_beside_the_file() -> None:
    values = [b"png", {"bytes": b"jpg", "path": None}, {"bytes": None, "path": "c.png"}, "d.png"]
    split = split_of(table(image=values, label=[0, 1, 0, 1]), label="label", image="image")
    assert split.images == [b"png", b"jpg", Path("c.png"), Path("d.png")]


@pytest.mark.parametrize("value", [None, b"", "", {"bytes": None, "path": None}, 7])
def test_a_row_without_image_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"data\.csv:2"):
        split_of(table(image=[value], label=[0]), label="label", image="image")


def test_a_test_share_keeps_every_class_on_both_sides_and_ignores_the_runs_seed() -> None:
    split = RawSplit(np.repeat(np.arange(4), [2, 5, 10, 100]), texts=[str(i) for i in range(117)])
    task = SplitOptions(test_share=0.2).divide(split, None, "x")
    again = SplitOptions(test_share=0.2).divide(split, None, "x")
    other = SplitOptions(test_share=0.2, test_seed=1).divide(split, None, "x")
    assert np.bincount(task.test.labels).tolist() == [1, 1, 2, 20]
    assert np.bincount(task.train.labels).tolist() == [1, 4, 8, 80]
    assert task.test.texts == again.test.texts != other.test.texts


def test_a_test_set_and_a_test_share_exclude_each_other_and_one_is_needed() -> None:
    split = RawSplit(np.arange(2), texts=["a", "b"])
    with pytest.raises(ConfigError, match="test_share"):
        SplitOptions(test_share=0.2).divide(split, split, "x")
    with pytest.raises(ConfigError, match=r"test_share = 0\.2"):
        SplitOptions().divide(split, None, "x")


def test_joined_splits_keep_the_place_of_every_row_even_after_a_choice() -> None:
    first = RawSplit(np.asarray(["a", "b"]), texts=["1", "2"], where=lambda row: f"first:{row}")
    second = RawSplit(np.asarray([3, 4]), texts=["3", "4"], where=lambda row: f"second:{row}")
    both = concatenate([first, second])
    assert both.labels.tolist() == ["a", "b", "3", "4"]
    chosen = both.take(np.asarray([3, 0])).take(np.asarray([0]))
    assert (chosen.texts, chosen.where(0)) == (["4"], "second:1")
