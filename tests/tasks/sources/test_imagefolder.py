from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fleetlora.errors import ConfigError, InputError
from fleetlora.tasks.sources import ImageFolder
from tests.tasks.makers import images


def save(folder: Path, n: int) -> None:
    folder.mkdir(parents=True)
    for number, pixels in enumerate(images(n)):
        Image.fromarray(pixels).save(folder / f"{number}.{'png' if number % 2 else 'JPG'}", "PNG")


def test_classes_are_the_names_of_the_folders(tmp_path: Path) -> None:
    for side, n in (("train", 3), ("test", 2)):
        save(tmp_path / side / "stop", n)
        save(tmp_path / side / "go", n)
    (tmp_path / "train" / "go" / "notes.txt").write_text("not an image")
    (tmp_path / "train" / ".hidden").mkdir()
    raw = ImageFolder(path=str(tmp_path)).load()
    assert raw.train.labels.tolist() == ["go"] * 3 + ["stop"] * 3
    assert raw.test.labels.tolist() == ["go"] * 2 + ["stop"] * 2
    assert raw.test.where(2) == str(tmp_path / "test" / "stop" / "0.JPG")


def test_class_folders_alone_or_without_test_need_a_test_share(tmp_path: Path) -> None:
    for folder in ("flat/stop", "flat/go", "half/train/stop", "half/train/go"):
        save(tmp_path / folder, 5)
    for outer in ("flat", "half"):
        raw = ImageFolder(path=str(tmp_path / outer), test_share=0.2).load()
        assert (len(raw.train), len(raw.test)) == (8, 2)
        with pytest.raises(ConfigError, match="test_share"):
            ImageFolder(path=str(tmp_path / outer)).load()


def test_an_absent_folder_an_empty_one_and_an_empty_class_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow" / "train" / "stop").mkdir(parents=True)
    for folder, problem in (
        ("absent", "no such folder"),
        ("empty", "no class folders"),
        ("hollow", "without images"),
    ):
        with pytest.raises(InputError, match=problem) as caught:
            ImageFolder(path=str(tmp_path / folder)).load()
        assert folder in str(caught.value.where)


def test_one_folder_on_both_sides_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "train" / "go", 2)
    with pytest.raises(ConfigError, match="train' is also trained on"):
        ImageFolder(path=str(tmp_path), test="train").load()


@pytest.mark.parametrize("names", [("training", "test"), ("Train", "Test"), ("Training", "Testing")])
def test_folders_of_two_sides_are_never_taken_for_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    for side in names:
        save(tmp_path / side / "stop", 2)
        save(tmp_path / side / "go", 2)
    with pytest.raises(InputError, match="and none called 'train'"):
        ImageFolder(path=str(tmp_path), test_share=0.5).load()
    train, test = names
    raw = ImageFolder(path=str(tmp_path), train=train, test=test).load()
    assert (len(raw.train), len(raw.test)) == (4, 4)
