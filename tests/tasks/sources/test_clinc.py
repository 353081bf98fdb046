from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleetlora.errors import ConfigError, InputError
from fleetlora.tasks.sources import Clinc150

GOOD: dict[str, Any] = {
    "train": [["go", "move"], ["halt", "stop"]],
    "val": [["start", "move"]],
    "test": [["run", "move"], ["wait", "stop"]],
}


def load(folder: Path, content: Any, **options: Any) -> Any:
    path = folder / "data.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return Clinc150(path=str(path), **options).load()


def test_splits_can_be_joined_and_rows_keep_their_place(tmp_path: Path) -> None:
    raw = load(tmp_path, GOOD, train=("train", "val"))
    assert raw.train.texts == ["go", "halt", "start"]
    assert raw.train.labels.tolist() == ["move", "stop", "move"]
    assert raw.train.where(2).endswith("data.json: val[0]")
    assert len(raw.test) == 2


def test_a_split_on_both_sides_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'test' is also trained on"):
        load(tmp_path, GOOD, train=("train", "test"))


@pytest.mark.parametrize(
    ("content", "where", "problem"),
    [
        ('{"train":\n [["a", "b"],\n}', "data.json:3", "broken JSON"),
        ([["a", "b"]], "data.json", "not an object of splits"),
        ("[" * 100_000, "data.json", "nested"),
        ({**GOOD, "test": {}}, "data.json: test", "no list of rows"),
        ({**GOOD, "test": []}, "data.json: test", "no list of rows"),
        ({**GOOD, "test": [["a", "b"], ["a"]]}, "data.json: test[1]", "not a pair"),
        ({**GOOD, "test": [["a", 3]]}, "data.json: test[0]", "not a pair"),
        ({**GOOD, "test": [["a", " "]]}, "data.json: test[0]", "not a pair"),
        ({"train": GOOD["train"], "tests": []}, "data.json", "no split 'test'"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: Any, where: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, content)
    assert problem in caught.value.problem
    assert str(caught.value.where).endswith(where)
