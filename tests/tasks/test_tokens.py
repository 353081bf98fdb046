from __future__ import annotations

import contextlib
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from fleetlora.errors import ConfigError, InputError
from fleetlora.tasks import tokens
from fleetlora.tasks.tokens import tokenise
from tests.tasks.makers import WORDS, save_text_backbone

pytestmark = pytest.mark.usefixtures("cache")


def rows(found: tokens.Tokens) -> list[list[int]]:
    return [part.tolist() for part in np.split(found.ids, found.offsets[1:-1])]


def test_tokens_are_those_of_the_backbones_own_tokenizer(text_backbone: Path) -> None:
    found = tokenise(["the car stops", "Red LIGHT, now?", "zx"], text_backbone, 8)
    names = (text_backbone / "vocab.txt").read_text("utf-8").split("\n")
    assert [[names[i] for i in row] for row in rows(found)] == [
        ["[CLS]", "the", "car", "stops", "[SEP]"],
        ["[CLS]", "red", "light", "[UNK]", "now", "[UNK]", "[SEP]"],
        ["[CLS]", "z", "##x", "[SEP]"],
    ]
    assert (found.ids.dtype, found.offsets.dtype, found.pad_id) == (np.int32, np.int64, 0)


@pytest.mark.parametrize("limit", [3, 8, 33, 128])
def test_reading_only_the_words_that_count_changes_no_token(text_backbone: Path, limit: int) -> None:
    from transformers import AutoTokenizer

    dice = random.Random(0)
    odd = [*WORDS, "\u200b", "\x07", "zebra", "x,y.z", "…", "日本語", "\u00ad", "İ"]
    gaps = [" ", "  ", "\n", "\t ", "\u00a0", "\u3000"]
    texts = [
        "".join(dice.choice(odd) + dice.choice(gaps) for _ in range(dice.randrange(1, 400))) + "go"
        for _ in range(60)
    ]
    texts.append("\u200b " * 500 + "the car")  # words without tokens: the cut text alone would not do
    whole = AutoTokenizer.from_pretrained(text_backbone)(texts, truncation=True, max_length=limit)[
        "input_ids"
    ]
    assert rows(tokenise(texts, text_backbone, limit)) == whole


def test_a_tokenizer_that_cuts_from_the_left_sees_the_whole_text(tmp_path: Path) -> None:
    folder = save_text_backbone(tmp_path / "left")
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "truncation_side": "left"}), "utf-8")
    (row,) = rows(tokenise([" ".join(["go"] * 50 + ["stops"])], folder, 4))
    names = (folder / "vocab.txt").read_text("utf-8").split("\n")
    assert [names[i] for i in row] == ["[CLS]", "go", "stops", "[SEP]"]


def test_the_second_time_comes_from_the_cache(
    text_backbone: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tokenise(["go left", "go right now"], text_backbone, 8)
    (kept,) = (cache / "derived" / "tokens").iterdir()
    assert kept.suffix == ".safetensors"

    def refuse(*_: object) -> None:
        raise AssertionError("tokenised again")

    monkeypatch.setattr(tokens, "load_tokenizer", refuse)
    second = tokenise(["go left", "go right now"], text_backbone, 8)
    assert rows(first) == rows(second)
    assert first.pad_id == second.pad_id


def test_other_texts_another_limit_or_another_tokenizer_are_tokenised_anew(
    text_backbone: Path, tmp_path: Path, cache: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(text_backbone, other)
    config = json.loads((other / "tokenizer_config.json").read_text("utf-8"))
    (other / "tokenizer_config.json").write_text(json.dumps({**config, "note": 1}), "utf-8")
    for texts, limit, folder in (
        (["ab", "c"], 8, text_backbone),
        (["a", "bc"], 8, text_backbone),  # the same letters, otherwise cut
        (["ab", "c"], 7, text_backbone),
        (["ab", "c"], 8, other),
    ):
        tokenise(texts, folder, limit)
    assert len(list((cache / "derived" / "tokens").iterdir())) == 4


@pytest.mark.parametrize("damage", [b"", b"rubbish", None])
def test_a_damaged_cache_file_is_made_again(text_backbone: Path, cache: Path, damage: bytes | None) -> None:
    first = tokenise(["go left"], text_backbone, 8)
    (kept,) = (cache / "derived" / "tokens").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert rows(tokenise(["go left"], text_backbone, 8)) == rows(first)
    assert kept.read_bytes() == whole
    assert len(list(kept.parent.iterdir())) == 1


def test_a_failed_write_leaves_nothing_behind(
    text_backbone: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_from: object, _to: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fleetlora.files.os.replace", full)
    with pytest.raises(InputError, match="disk is full"):
        tokenise(["go"], text_backbone, 8)
    assert list((cache / "derived" / "tokens").iterdir()) == []


def test_more_tokens_than_the_backbone_takes_are_refused(text_backbone: Path) -> None:
    with pytest.raises(ConfigError, match="at most 128") as caught:
        tokenise(["go"], text_backbone, 129)
    assert caught.value.where == "encoding.max_tokens"


def test_a_limit_without_room_for_a_word_is_refused(text_backbone: Path) -> None:
    with pytest.raises(ConfigError, match="at least 3"):
        tokenise(["go"], text_backbone, 2)


@pytest.mark.parametrize("content", [None, "{broken", '{"model": 3}'])
def test_a_folder_without_a_usable_tokenizer_is_refused(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', "utf-8")
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content, "utf-8")
    with pytest.raises(InputError, match="no usable tokenizer") as caught:
        tokenise(["go"], tmp_path, 8)
    assert caught.value.where == str(tmp_path)


def test_a_tokenizer_that_brings_its_own_code_is_not_run(tmp_path: Path) -> None:
    folder = save_text_backbone(tmp_path / "own")
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    config |= {"auto_map": {"AutoTokenizer": ["own.Mine", "own.Mine"]}, "tokenizer_class": "Mine"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine: pass\n", "utf-8")
    with contextlib.suppress(InputError):  # the library may or may not know a class of its own to use
        tokenise(["go"], folder, 8)
    assert not (tmp_path / "ran").exists()
