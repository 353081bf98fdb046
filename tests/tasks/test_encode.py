from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fleetlora.errors import ConfigError, InputError
from fleetlora.tasks import Encoding, ImageExamples, RawSplit, RawTask, TextExamples, encode_task
from tests.tasks.makers import images, save_image_backbone

pytestmark = pytest.mark.usefixtures("cache")


def texts(n: int, text: str = "go left") -> RawSplit:
    return RawSplit(
        np.asarray(["b", "a"] * (n // 2)),
        texts=[f"{text} {'now ' * (i % 5)}" for i in range(n)],
        group=np.asarray([f"driver {i % 3}" for i in range(n)]),
        where=lambda row: f"data.csv:{row + 2}",
    )


def test_texts_become_examples_with_labels_lengths_and_groups(text_backbone: Path) -> None:
    data = encode_task("signs", RawTask(texts(10), texts(4)), text_backbone, Encoding(max_tokens=8))
    assert (data.name, data.classes, data.n_classes) == ("signs", ("a", "b"), 2)
    assert isinstance(data.train, TextExamples)
    assert len(data.train) == 10
    assert data.train.labels.tolist() == [1, 0] * 5
    assert data.train.lengths.tolist() == [4, 5, 6, 7, 8] * 2
    assert data.train.group is not None
    assert data.train.group.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert data.test.batch(np.asarray([0, 3]))["input_ids"].shape == (2, 7)


def test_a_subset_keeps_both_classes_and_depends_on_the_seed(text_backbone: Path) -> None:
    raw = RawTask(texts(200), texts(40))
    limits = Encoding(max_train=20, max_test=7)
    one, two, other = (encode_task("t", raw, text_backbone, limits, seed=seed) for seed in (1, 1, 2))
    assert np.bincount(one.train.labels).tolist() == [10, 10]
    assert sorted(np.bincount(one.test.labels)) == [3, 4]
    assert np.array_equal(one.train.lengths, two.train.lengths)
    assert not np.array_equal(one.train.lengths, other.train.lengths)


def test_a_subset_smaller_than_the_classes_is_refused(text_backbone: Path) -> None:
    with pytest.raises(ConfigError, match="at least 2") as caught:
        encode_task("t", RawTask(texts(10), texts(4)), text_backbone, Encoding(max_test=1))
    assert caught.value.where == "tasks.t.encoding.max_test"


@pytest.mark.parametrize("text", ["", "  \n", "\ud800 broken"])
def test_a_text_that_says_nothing_is_named(text_backbone: Path, text: str) -> None:
    bad = RawSplit(np.asarray(["a", "b"]), texts=["go", text], where=lambda row: f"data.csv:{row + 2}")
    with pytest.raises(InputError) as caught:
        encode_task("t", RawTask(bad, texts(4)), text_backbone)
    assert caught.value.where == "data.csv:3"


def test_a_text_without_any_token_is_named(text_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fleetlora.tasks import encode, tokens

    nothing = tokens.Tokens(np.asarray([1], np.int32), np.asarray([0, 1, 1]), 0)
    monkeypatch.setattr(encode, "tokenise", lambda *_: nothing)
    bare = RawSplit(np.asarray(["a", "b"]), texts=["x", "\u200b"], where=lambda row: f"data.csv:{row + 2}")
    with pytest.raises(InputError, match=r"data\.csv:3: the backbone sees no token"):
        encode_task("t", RawTask(bare, bare), text_backbone)


def test_arrays_keep_their_size_until_a_batch_is_made(tmp_path: Path) -> None:
    folder = save_image_backbone(tmp_path / "vit", image_size=16)
    split = RawSplit(np.asarray([0, 1, 0, 1]), images=images(4, 8, 8))
    data = encode_task("signs", RawTask(split, split, ("stop", "go")), folder, Encoding(max_train=2))
    assert isinstance(data.train, ImageExamples)
    assert data.train.pixels.shape == (2, 8, 8, 3)
    assert data.test.batch(np.arange(3))["pixel_values"].shape == (3, 3, 16, 16)


def test_files_are_fitted_once_when_read(tmp_path: Path) -> None:
    from PIL import Image

    folder = save_image_backbone(
        tmp_path / "vit", {"size": {"shortest_edge": 12}, "crop_size": 8, "do_center_crop": True}
    )
    files: list[Path | bytes] = []
    for number, pixels in enumerate(images(2, 30, 20)):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    split = RawSplit(np.asarray(["a", "b"]), images=files)
    data = encode_task("signs", RawTask(split, split), folder)
    assert isinstance(data.train, ImageExamples)
    assert data.train.pixels.shape == (2, 8, 8, 3)
    assert data.train.batch(np.arange(2))["pixel_values"].shape == (2, 3, 8, 8)


@pytest.mark.parametrize("name", ["no/such/folder", "/nowhere"])
def test_a_backbone_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(InputError, match="no such directory") as caught:
        encode_task("t", RawTask(texts(4), texts(4)), name)
    assert "asset:minilm" in str(caught.value.mend)


def test_a_model_id_is_asked_of_the_hub(monkeypatch: pytest.MonkeyPatch, text_backbone: Path) -> None:
    import huggingface_hub

    asked = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        if name == "owner/absent":
            raise OSError("no such model\nmore")
        return str(text_backbone)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    data = encode_task("t", RawTask(texts(4), texts(4)), "owner/model")
    assert len(data.train) == 4
    assert asked[0][0] == "owner/model"
    assert not any(
        "bin" in pattern or "safetensors" in pattern or "*.py" in pattern for pattern in asked[0][1]
    )
    with pytest.raises(InputError, match="the hub: no such model"):
        encode_task("t", RawTask(texts(4), texts(4)), "owner/absent")
