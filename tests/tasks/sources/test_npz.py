from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleetlora.errors import ConfigError, InputError
from fleetlora.tasks import RawTask
from fleetlora.tasks.sources import Npz
from tests.tasks.makers import images


def load(folder: Path, arrays: dict[str, Any], **options: Any) -> RawTask:
    np.savez(folder / "data.npz", **arrays)
    return Npz(path=str(folder / "data.npz"), **options).load()


GOOD = {
    "x_train": images(6),
    "y_train": np.arange(6) % 2,
    "x_test": images(2, seed=1),
    "y_test": np.arange(2),
}


def test_train_and_test_arrays_and_the_groups_of_the_training_rows(tmp_path: Path) -> None:
    raw = load(tmp_path, {**GOOD, "track_train": np.arange(6) // 3}, group="track", classes=("go", "stop"))
    assert isinstance(raw.train.images, np.ndarray)
    assert np.array_equal(raw.train.images, GOOD["x_train"])
    assert raw.train.labels.tolist() == [0, 1] * 3
    assert raw.train.group is not None
    assert raw.train.group.tolist() == [0, 0, 0, 1, 1, 1]
    assert (raw.test.group, raw.classes) == (None, ("go", "stop"))


def test_one_array_with_a_mark_for_test_rows(tmp_path: Path) -> None:
    marks = np.asarray([False, True, False, True, False, False])
    raw = load(
        tmp_path, {"x": images(6), "y": np.arange(6), "is_test": marks, "group": np.arange(6)}, group="group"
    )
    assert raw.train.labels.tolist() == [0, 2, 4, 5]
    assert raw.test.labels.tolist() == [1, 3]
    assert raw.test.where(1).endswith("x[3]")


def test_one_array_without_marks_needs_a_test_share(tmp_path: Path) -> None:
    rows = {"x": images(20), "y": np.asarray(["go", "stop"] * 10)}
    assert len(load(tmp_path, rows, test_share=0.2).test) == 4
    with pytest.raises(ConfigError, match="test_share"):
        load(tmp_path, rows)


@pytest.mark.parametrize("shape", [(6, 8, 8), (6, 8, 8, 1), (6, 1, 8, 8)])
def test_grey_images_get_three_equal_channels(tmp_path: Path, shape: tuple[int, ...]) -> None:
    grey = images(6)[..., 0].reshape(shape)
    found = load(tmp_path, {**GOOD, "x_train": grey}).train.images
    assert isinstance(found, np.ndarray)
    assert found.shape == (6, 8, 8, 3)
    assert np.array_equal(found[..., 2], grey.reshape(6, 8, 8))


def test_channels_may_come_first(tmp_path: Path) -> None:
    found = load(tmp_path, {**GOOD, "x_train": images(6).transpose(0, 3, 1, 2)}).train.images
    assert np.array_equal(np.asarray(found), GOOD["x_train"])


@pytest.mark.parametrize(
    ("change", "where", "problem"),
    [
        ({"y_train": np.asarray([{}] * 6, dtype=object)}, "y_train", "pickle"),
        ({"x_train": images(6) / 255}, "x_train", "float64, not uint8"),
        ({"x_train": images(6)[0, 0]}, "x_train", "shape (8, 3)"),
        ({"x_train": np.zeros((0, 8, 8, 3), np.uint8)}, "x_train", "shape (0, 8, 8, 3)"),
        ({"x_train": np.zeros((6, 8, 8, 4), np.uint8)}, "x_train", "shape (6, 8, 8, 4)"),
        ({"y_train": np.arange(5)}, "y_train", "shape (5,), not (6,)"),
        ({"y_train": np.full(6, np.nan)}, "y_train", "float64, not classes"),
    ],
)
def test_arrays_that_cannot_be_used_are_named(
    tmp_path: Path, change: dict[str, Any], where: str, problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, {**GOOD, **change})
    assert problem in caught.value.problem
    assert str(caught.value.where).endswith(f"data.npz: {where}")
    assert caught.value.mend


def test_a_missing_array_suggests_the_nearest(tmp_path: Path) -> None:
    without = {name: array for name, array in GOOD.items() if name != "y_test"}
    with pytest.raises(InputError, match="no array 'y_test'"):
        load(tmp_path, without)
    with pytest.raises(InputError, match="did you mean 'track_train'"):
        load(tmp_path, {**GOOD, "track_train": np.arange(6)}, group="trak")


@pytest.mark.parametrize("content", [b"", b"rubbish" * 20, b"PK\x03\x04" + b"\0" * 40])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"not a \.npz archive"):
        Npz(path=str(tmp_path / "data.npz")).load()


def test_a_single_array_an_absent_file_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", images(2))
    with pytest.raises(InputError, match="a single array"):
        Npz(path=str(tmp_path / "one.npy")).load()
    with pytest.raises(InputError, match="No such file"):
        Npz(path=str(tmp_path / "absent.npz")).load()
    np.savez(tmp_path / "bad.npz", **GOOD)
    data = bytearray((tmp_path / "bad.npz").read_bytes())
    data[400:440] = b"\xff" * 40  # inside the first array
    (tmp_path / "bad.npz").write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        Npz(path=str(tmp_path / "bad.npz")).load()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_whatever_byte_is_damaged_the_error_is_for_a_person(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "good.npz", **GOOD)
    good = (tmp_path / "good.npz").read_bytes()
    dice = np.random.default_rng(0)
    path = tmp_path / "bad.npz"
    for _ in range(300):
        data = bytearray(good)
        for at in dice.integers(0, len(data), 4):
            data[at] ^= int(dice.integers(1, 256))
        path.write_bytes(data)
        with contextlib.suppress(InputError):
            Npz(path=str(path)).load()


def test_a_member_that_is_no_array_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **{name: array for name, array in GOOD.items() if name != "y_test"})
    with zipfile.ZipFile(tmp_path / "data.npz", "a") as archive:
        archive.writestr("y_test", "0 1")
    with pytest.raises(InputError, match="is no array"):
        Npz(path=str(tmp_path / "data.npz")).load()
