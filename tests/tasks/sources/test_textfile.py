from __future__ import annotations

from pathlib import Path

import pytest

from fleetlora.errors import ConfigError, InputError
from fleetlora.tasks import TASK_SOURCES
from fleetlora.tasks.sources import TextFile


@pytest.fixture
def told(tmp_path: Path) -> Path:
    path = tmp_path / "told.csv"
    rows = [f"text {i},{'stop' if i % 2 else 'go'},driver{i // 4}\n" for i in range(40)]
    path.write_text("utterance,intent,driver\n" + "".join(rows), "utf-8")
    return path


def test_own_columns_and_two_files(told: Path) -> None:
    copy = told.with_name("test.csv")
    copy.write_text(told.read_text())
    raw = TextFile(train=str(told), test=str(copy), text="utterance", label="intent").load()
    assert (len(raw.train), len(raw.test), raw.train.group) == (40, 40, None)
    assert raw.train.texts is not None
    assert raw.train.texts[1] == "text 1"
    assert raw.train.labels[1] == "stop"


def test_a_share_is_set_aside_driver_by_driver(told: Path) -> None:
    raw = TextFile(train=str(told), test_share=0.25, text="utterance", label="intent", group="driver").load()
    assert raw.train.group is not None
    assert raw.test.group is not None
    assert not set(raw.train.group) & set(raw.test.group)
    assert len(raw.train) + len(raw.test) == 40
    assert 8 <= len(raw.test) <= 16


def test_a_misspelt_column_suggests_the_right_one(told: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'intent'"):
        TextFile(train=str(told), test_share=0.2, text="utterance", label="intnt").load()


def test_without_a_test_set_the_mend_is_named(told: Path) -> None:
    with pytest.raises(ConfigError, match=r"set test_share = 0\.2"):
        TextFile(train=str(told), text="utterance", label="intent").load()


def test_one_file_on_both_sides_is_refused(told: Path) -> None:
    spelt = f"{told.parent}/./{told.name}"
    for test in (str(told), spelt):
        with pytest.raises(ConfigError, match="is also trained on"):
            TextFile(train=str(told), test=test, text="utterance", label="intent").load()


def test_an_unknown_source_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'text-file'"):
        TASK_SOURCES.get("textfile", where="tasks.source")
