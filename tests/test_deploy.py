"""An adapter that a run leaves classifies as it did in the run's last test, or says why it cannot."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import fleetlora
from fleetlora.config import load_experiment
from fleetlora.errors import InputError
from fleetlora.export import export_adapters
from fleetlora.lora import (
    Backbone,
    CohortTrainer,
    LocalTraining,
    LoraSpec,
    head_info,
    init_adapter,
    load_peft,
    save_peft,
)
from fleetlora.tasks import RawSplit, RawTask, encode_task
from tests.lora.conftest import save_model, vit_config
from tests.lora.reference import quiet_peft, trained_like
from tests.records.make_sample import SAMPLES
from tests.tiny import save_backbone

PAGE = (Path(__file__).parents[1] / "docs" / "deploy.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
TASKS = ("signs", "turns")


@pytest.fixture(scope="module")
def done(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> fleetlora.Run:
    values = {**tiny, "evaluation": {"head_only": False}}
    values["tasks"] = [{**task, "encoding": {"max_tokens": 6}} for task in tiny["tasks"]]  # cuts some texts
    return fleetlora.run(values, tmp_path_factory.mktemp("runs") / "run", report=False)


@pytest.fixture
def signs(done: fleetlora.Run, tmp_path: Path) -> Path:
    """A copy of one adapter."""
    return Path(shutil.copytree(done.adapter_dir("signs"), tmp_path / "signs"))


@pytest.fixture(scope="module")
def test_rows(done: fleetlora.Run) -> RawSplit:
    return load_experiment(done.path / "config.toml").tasks[0].options.load().test


def share(predicted: list[str], labels: np.ndarray) -> float:
    return float(np.mean(np.array(predicted) == labels))


@pytest.mark.parametrize("task", TASKS)
def test_a_loaded_adapter_is_exactly_as_accurate_as_the_run_says(
    task: str, done: fleetlora.Run, test_rows: RawSplit
) -> None:
    loaded = fleetlora.load_adapter(done.adapter_dir(task))
    assert loaded.classes == ("go", "stop", "turn")
    predicted = loaded.predict(list(test_rows.texts or ()))
    assert share(predicted, test_rows.labels) == done.result["tasks"][task]["accuracy"]


def test_a_text_alone_is_classified_as_among_others(done: fleetlora.Run, test_rows: RawSplit) -> None:
    loaded, texts = fleetlora.load_adapter(done.adapter_dir("signs")), list(test_rows.texts or ())[:12]
    together = loaded.scores(texts)
    alone = np.concatenate([loaded.scores([text]) for text in texts])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)
    assert [loaded.classes[code] for code in together.argmax(axis=1)] == loaded.predict(texts)
    assert (loaded.predict([]), loaded.scores([]).shape) == ([], (0, 3))


def test_tasks_share_a_backbone_that_stays_as_it_was(done: fleetlora.Run, test_rows: RawSplit) -> None:
    signs = fleetlora.load_adapter(done.adapter_dir("signs"))
    turns = fleetlora.load_adapter(done.adapter_dir("turns"), signs.backbone)
    assert turns.backbone is signs.backbone
    before = {name: value.clone() for name, value in signs.backbone.model.named_parameters()}
    for task, loaded in zip(TASKS, (signs, turns), strict=True):
        accuracy = share(loaded.predict(list(test_rows.texts or ())), test_rows.labels)
        assert accuracy == done.result["tasks"][task]["accuracy"]
    assert all(torch.equal(value, before[name]) for name, value in signs.backbone.model.named_parameters())


def test_classifying_leaves_nothing_in_the_cache(
    signs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETLORA_CACHE", str(tmp_path / "cache"))
    fleetlora.load_adapter(signs).predict(["turn left now"])
    assert not (tmp_path / "cache").exists()


def test_a_head_alone_classifies_too(tiny: dict[str, Any], test_rows: RawSplit, tmp_path: Path) -> None:
    run = fleetlora.run({**tiny, "method": "head-only"}, tmp_path / "run", report=False)
    (only,) = (run.path / "adapters" / "signs").iterdir()
    predicted = fleetlora.load_adapter(only.parent).predict(list(test_rows.texts or ()))
    assert share(predicted, test_rows.labels) == run.result["tasks"]["signs"]["accuracy"]


def test_an_exported_adapter_works_where_the_backbone_lies_elsewhere(
    done: fleetlora.Run, tiny: dict[str, Any], test_rows: RawSplit, tmp_path: Path
) -> None:
    moved = shutil.copytree(tiny["backbone"]["path"], tmp_path / "models" / "bert")
    _, turns = export_adapters(done.path, tmp_path / "out")
    loaded = fleetlora.load_adapter(turns, backbone=moved)
    accuracy = share(loaded.predict(list(test_rows.texts or ())), test_rows.labels)
    assert accuracy == done.result["tasks"]["turns"]["accuracy"]


def test_an_adapter_of_images_is_as_accurate_as_tested(tmp_path: Path) -> None:
    folder, rng = save_model(vit_config(), tmp_path / "vit"), np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (40, 20, 24, 3), dtype=np.uint8), np.arange(40) % 5
    split = RawSplit(labels, images=pixels)
    data = encode_task("shapes", RawTask(split, split), folder)
    backbone, spec = Backbone.from_path(folder), LoraSpec(target_modules=("query", "value"))
    adapter = trained_like(init_adapter(backbone.layout(spec, 5), 2, 0), 1, size=0.3)
    save_peft(adapter, tmp_path / "shapes", folder, head_info(backbone, data.classes, data.max_tokens))
    loaded = fleetlora.load_adapter(tmp_path / "shapes")
    tested = CohortTrainer(backbone, spec, LocalTraining()).evaluate(data.test, adapter)
    assert share(loaded.predict(pixels), labels.astype(str)) == tested.accuracy > 0
    with pytest.raises(InputError, match="not the images that the adapter is for"):
        loaded.predict(["a text"])


def test_what_is_no_list_of_usable_texts_is_refused(signs: Path) -> None:
    loaded = fleetlora.load_adapter(signs)
    for wrong in ("one text", [b"bytes"], np.zeros((1, 8, 8, 3), np.uint8)):
        with pytest.raises(InputError, match="give a list of texts"):
            loaded.predict(wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="row 1: the text is empty"):
        loaded.predict(["go", " "])


# What cannot be loaded ------------------------------------------------------------------------------------


def test_a_directory_without_an_adapter_is_refused(done: fleetlora.Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such directory\n.*RUN/adapters/TASK"):
        fleetlora.load_adapter(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no adapter"):
        fleetlora.load_adapter(done.path)


def test_an_adapter_without_its_head_is_refused(signs: Path) -> None:
    (signs / "head.safetensors").unlink()
    with pytest.raises(InputError, match=r"head\.safetensors: no such file"):
        fleetlora.load_adapter(signs)


def test_a_changed_class_name_is_noticed(signs: Path) -> None:
    path = signs / "head.safetensors"
    content = path.read_bytes()
    assert content.count(b"stop") == 1
    path.write_bytes(content.replace(b"stop", b"shop"))
    with pytest.raises(InputError, match=r"head\.safetensors: damaged: its checksum is wrong"):
        fleetlora.load_adapter(signs)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"classes": ["go", "stop"]}, "3 rows, and names of 2 classes"),
        ({"pooling": "max"}, "damaged: pooling"),
        ({"normalised": True}, "damaged: normalised"),
    ],
    ids=str,
)
def test_notes_that_make_no_sense_are_refused(signs: Path, changes: dict[str, Any], problem: str) -> None:
    path = signs / "head.safetensors"
    with safe_open(path, "pt") as file:
        info = {**json.loads(file.metadata()["fleetlora.head"]), **changes}
    save_file(load_file(path), path, {"fleetlora.head": json.dumps(info), "alpha": "16.0"})
    with pytest.raises(InputError, match=problem):
        fleetlora.load_adapter(signs)


def test_an_export_over_another_leaves_nothing_of_it(
    done: fleetlora.Run, tiny: dict[str, Any], tmp_path: Path
) -> None:
    alone = fleetlora.run({**tiny, "method": "head-only"}, tmp_path / "run", report=False)
    signs, _ = export_adapters(done.path, tmp_path / "out")
    (signs / "README.md").write_text("mine")
    assert load_peft(signs).rank > 0
    export_adapters(alone.path, tmp_path / "out", overwrite=True)
    assert load_peft(signs).rank == 0
    assert {path.name for path in signs.iterdir()} == {"README.md", "head.safetensors"}


@pytest.mark.parametrize("copied", [0, 1, 2])
def test_an_export_that_is_interrupted_leaves_no_mixture(
    done: fleetlora.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: int
) -> None:
    (signs,) = export_adapters(done.path, tmp_path / "out", task="signs")
    left = iter(range(copied))

    def until_full(source: Path, part: Path) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        part.write_bytes(source.read_bytes())

    monkeypatch.setattr(shutil, "copyfile", until_full)
    with pytest.raises(InputError, match="No space left"):
        export_adapters(done.path, tmp_path / "out", task="signs", overwrite=True)
    with pytest.raises(InputError, match=r"head\.safetensors: no such file"):
        load_peft(signs)


def test_only_the_files_of_an_adapter_are_exported(done: fleetlora.Run, tmp_path: Path) -> None:
    run = Path(shutil.copytree(done.path, tmp_path / "run"))
    (run / "adapters" / "signs" / "setup.py").write_text("import os")
    (signs,) = export_adapters(run, tmp_path / "out", task="signs")
    assert {path.name for path in signs.iterdir()} == {
        path.name for path in done.adapter_dir("signs").iterdir()
    }


def test_an_adapter_is_not_exported_onto_itself(done: fleetlora.Run, tmp_path: Path) -> None:
    run = Path(shutil.copytree(done.path, tmp_path / "run"))
    with pytest.raises(InputError, match="is the adapter itself"):
        export_adapters(run, run / "adapters", overwrite=True)
    assert load_peft(run / "adapters" / "signs").rank > 0


@pytest.mark.parametrize("name", ["../signs", "/signs", "..", "a/b", "signs\n", "", "x" * 65])
def test_a_task_whose_name_leads_elsewhere_is_not_exported(
    done: fleetlora.Run, tmp_path: Path, name: str
) -> None:
    run = Path(shutil.copytree(done.path, tmp_path / "run"))
    result = json.loads((run / "result.json").read_text())
    result["tasks"] = {name: result["tasks"]["signs"]}
    (run / "result.json").write_text(json.dumps(result))
    with pytest.raises(InputError, match="is no name of a task"):
        export_adapters(run, tmp_path / "out")


def test_a_run_of_an_earlier_version_is_exported_and_its_head_refused(tmp_path: Path) -> None:
    (old,) = export_adapters(SAMPLES / "schema-1", tmp_path / "out")
    with pytest.raises(InputError, match="does not say which classes") as refused:
        fleetlora.load_adapter(old)
    assert "run the experiment again" in str(refused.value)


def test_another_backbone_of_the_same_shape_is_refused(signs: Path, tmp_path: Path) -> None:
    other = save_backbone(tmp_path / "other", seed=4)
    with pytest.raises(InputError, match="whose weights or pooling are others"):
        fleetlora.load_adapter(signs, other)


def test_a_backbone_of_another_shape_is_refused(signs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"layer encoder\.layer\.0.* the backbone's no linear layer"):
        fleetlora.load_adapter(signs, save_model(vit_config(), tmp_path / "vit"))


def test_a_backbone_that_is_gone_is_asked_for(tiny: dict[str, Any], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny["backbone"]["path"], tmp_path / "bert"))
    backbone = Backbone.from_path(folder)
    adapter = init_adapter(backbone.layout(LoraSpec(), 2), 1, 0)
    save_peft(adapter, tmp_path / "out", folder, head_info(backbone, ("a", "b"), 8))
    shutil.rmtree(folder)
    with pytest.raises(InputError, match=r"no such model directory\n.*load_adapter\(directory, backbone=…\)"):
        fleetlora.load_adapter(tmp_path / "out")


# What the page says ---------------------------------------------------------------------------------------


def played(block: str, done: fleetlora.Run, **names: str) -> str:
    """Run a block of the page on the run's adapter, with some of its text replaced; return what it prints."""
    for old, new in {"runs/demo/adapters/reuters": str(done.adapter_dir("signs")), **names}.items():
        assert old in block
        block = block.replace(old, new)
    said = StringIO()
    with quiet_peft(), redirect_stdout(said):
        exec(compile(block, "docs/deploy.md", "exec"), {"__name__": "page"})
    return said.getvalue()


def test_the_page_classifies_with_fleetlora(done: fleetlora.Run) -> None:
    said = played(BLOCKS[0], done)
    assert set(re.findall(r"'(\w+)'", said)) <= {"go", "stop", "turn"}


def test_plain_transformers_and_peft_as_the_page_shows_them_say_the_same(
    done: fleetlora.Run, test_rows: RawSplit
) -> None:
    texts = list(test_rows.texts or ())
    said = played(BLOCKS[1], done, **{'["Oil prices rose sharply."]': repr(texts)})
    plain = re.findall(r"'(\w+)'", said)
    assert plain == fleetlora.load_adapter(done.adapter_dir("signs")).predict(texts)
    assert share(plain, test_rows.labels) == done.result["tasks"]["signs"]["accuracy"]


def test_the_page_names_every_note_of_a_head(signs: Path) -> None:
    with safe_open(signs / "head.safetensors", "pt") as file:
        info = json.loads(file.metadata()["fleetlora.head"])
    assert all(f"`{name}`" in PAGE for name in info)
    assert (info["max_tokens"], info["pooling"], os.path.isdir(info["backbone"])) == (6, "mean", True)


def test_the_command_of_the_page_works(done: fleetlora.Run, call: Any, tmp_path: Path) -> None:
    assert "    fleetlora export runs/demo deployed\n" in PAGE
    assert call("export", done.path, tmp_path / "deployed").status == 0
    assert fleetlora.load_adapter(tmp_path / "deployed" / "turns").predict(["go"])
