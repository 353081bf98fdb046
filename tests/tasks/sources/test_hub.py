from __future__ import annotations

import io
import json
import sys
import types
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fleetlora.errors import ConfigError, InputError, MissingDependencyError
from fleetlora.tasks.sources import HfDataset
from tests.tasks.makers import images

ROWS = pa.table({"text": ["a", "b", "c", "d"], "label": [0, 1, 0, 1]})


def with_names(table: pa.Table, *names: str) -> pa.Table:
    features = {"label": {"names": list(names), "_type": "ClassLabel"}}
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


@pytest.mark.parametrize(
    "layout",
    [
        ("train.parquet", "test.parquet"),
        ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
        ("train/0000.parquet", "test/0000.parquet"),
    ],
)
def test_a_local_directory_is_read_without_hub_or_library(
    tmp_path: Path, layout: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # importing it fails
    for name in layout:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(with_names(ROWS, "go", "stop"), tmp_path / name)
    (tmp_path / "dataset_info.json").write_text("{}")
    raw = HfDataset(dataset=str(tmp_path)).load()
    assert (raw.train.texts, raw.classes) == (["a", "b", "c", "d"], ("go", "stop"))
    assert len(raw.test) == 4


def test_shards_are_joined_in_order_and_formats_may_differ(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "train-1.parquet")
    (tmp_path / "train-2.csv").write_text("text,label\ne,0\n")
    (tmp_path / "validation.jsonl").write_text('{"text": "f", "label": 1}\n{"text": "g", "label": 0}\n')
    raw = HfDataset(dataset=str(tmp_path), test="validation").load()
    assert raw.train.texts == ["a", "b", "c", "d", "e"]
    assert raw.train.labels.tolist() == ["0", "1", "0", "1", "0"]
    assert raw.train.where(4).endswith("train-2.csv:2")


@pytest.mark.parametrize(
    ("layout", "test"),
    [
        (("train_test_split/train.csv", "train_test_split/test.csv"), "test"),
        (("my-test-train.csv", "my-test-test.csv"), "test"),
        (("test/my-train/0.csv", "train/my-test/0.csv"), "test"),
        (("train/my-tests/0.csv", "test/my-trains/0.csv"), "test"),
        (("my-train.csv", "my-train-validation.csv", "my-train-test.csv"), "validation"),
        (("2019/train.csv", "2020/train.csv"), "2020/train"),
        (("train_sft-0.csv", "train_sft_test-0.csv"), "train_sft_test"),
    ],
)
def test_the_split_that_a_path_names_last_is_the_files(
    tmp_path: Path, layout: tuple[str, ...], test: str
) -> None:
    for name in layout:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"text,label\n{name},0\n{name},1\n")
    raw = HfDataset(dataset=str(tmp_path), test=test).load()
    assert (raw.train.texts, raw.test.texts) == ([layout[0]] * 2, [layout[1]] * 2)


def test_a_file_whose_name_ends_with_another_split_is_named(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "train_test.parquet")
    with pytest.raises(InputError, match="'test' last, which counts") as caught:
        HfDataset(dataset=str(tmp_path)).load()
    assert caught.value.where == str(tmp_path / "train_test.parquet")


@pytest.mark.parametrize("train", ["test", "Test", "train+test"])
def test_a_split_on_both_sides_is_refused_unless_a_share_of_it_is_set_aside(
    tmp_path: Path, train: str
) -> None:
    pq.write_table(ROWS, tmp_path / "test.parquet")
    with pytest.raises(ConfigError, match="'test' is also trained on"):
        HfDataset(dataset=str(tmp_path), train=train).load()
    raw = HfDataset(dataset=str(tmp_path), train="test", test_share=0.5).load()
    assert (len(raw.train), len(raw.test)) == (2, 2)


def test_a_saved_dataset_of_arrow_files_is_read(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "state.json").write_text("{}")
        with (
            pa.OSFile(str(tmp_path / split / "data-00000-of-00001.arrow"), "wb") as file,
            pa.ipc.new_stream(file, ROWS.schema) as writer,
        ):
            writer.write_table(ROWS)
    assert len(HfDataset(dataset=str(tmp_path)).load().train) == 4


def test_a_subset_is_a_folder_and_a_test_share_replaces_the_test_split(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    pq.write_table(ROWS, tmp_path / "small" / "train.parquet")
    pq.write_table(ROWS.slice(0, 1), tmp_path / "train.parquet")
    raw = HfDataset(dataset=str(tmp_path), subset="small", test_share=0.5).load()
    assert (len(raw.train), len(raw.test)) == (2, 2)


def test_images_are_taken_as_they_are_stored(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(images(1)[0]).save(stream, "PNG")
    row = {"img": {"bytes": stream.getvalue(), "path": None}, "label": 1}
    for split in ("train", "test"):
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / f"{split}.parquet")
    raw = HfDataset(dataset=str(tmp_path), image="img").load()
    assert raw.train.images == [stream.getvalue()]
    assert raw.train.texts is None


def test_a_dataset_script_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match="a dataset script is never run"):
        HfDataset(dataset=str(tmp_path)).load()
    assert not (tmp_path / "ran").exists()


def test_a_split_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "train.parquet")
    pq.write_table(ROWS, tmp_path / "tests.parquet")
    with pytest.raises(InputError, match="did you mean 'tests'"):
        HfDataset(dataset=str(tmp_path)).load()
    with pytest.raises(ConfigError, match="test_share"):
        HfDataset(dataset=str(tmp_path), test=None).load()


def test_an_id_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"fleetlora\[datasets\]"):
        HfDataset(dataset="owner/name").load()


def test_an_id_is_asked_of_the_hub_by_subset_split_and_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Loaded:
        def with_format(self, name: str) -> dict[slice, pa.Table]:
            assert name == "arrow"
            return Whole()

    class Whole(dict[slice, pa.Table]):
        def __getitem__(self, _: slice) -> pa.Table:
            return with_names(ROWS, "go", "stop")

    def load_dataset(name: str, subset: str | None, *, split: str, revision: str | None) -> Loaded:
        asked.append((name, subset, split, revision))
        if name == "owner/absent":
            raise ConnectionError("cannot reach the hub\nlong story")
        return Loaded()

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    raw = HfDataset(dataset="owner/name", subset="plus", revision="v1").load()
    assert asked == [("owner/name", "plus", "train", "v1"), ("owner/name", "plus", "test", "v1")]
    assert raw.classes == ("go", "stop")
    with pytest.raises(InputError, match="cannot reach the hub") as caught:
        HfDataset(dataset="owner/absent").load()
    assert caught.value.where == "owner/absent"


def test_the_real_library_gives_what_the_files_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets", reason="the extra 'datasets' is not installed")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    pq.write_table(with_names(ROWS, "go", "stop"), tmp_path / "train.parquet")
    source = HfDataset(dataset=str(tmp_path))
    (table,) = source._hub(tmp_path, "train")
    assert table.columns == {"text": ["a", "b", "c", "d"], "label": [0, 1, 0, 1]}
