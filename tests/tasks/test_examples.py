from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleetlora.tasks import ImageExamples, TextExamples
from fleetlora.tasks.pixels import PixelRules
from fleetlora.tasks.tokens import Tokens
from tests.tasks.makers import images

ragged = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=12)


def texts_of(rows: list[list[int]]) -> TextExamples:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    ids = np.asarray([i for row in rows for i in row], np.int32)
    return TextExamples(np.zeros(len(rows), np.int64), Tokens(ids, offsets, pad_id=0))


@given(ragged, st.data())
def test_a_batch_is_padded_to_its_own_longest_and_masked(rows: list[list[int]], data: st.DataObject) -> None:
    examples = texts_of(rows)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    batch = examples.batch(np.asarray(chosen))
    longest = max(len(rows[row]) for row in chosen)
    assert set(batch) == {"input_ids", "attention_mask"}
    assert all(values.dtype == np.int64 for values in batch.values())
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (len(chosen), longest)
    for at, row in enumerate(chosen):
        length = examples.lengths[row]
        assert batch["input_ids"][at, :length].tolist() == rows[row]
        assert (batch["input_ids"][at, length:] == 0).all()
        assert batch["attention_mask"][at].tolist() == [1] * length + [0] * (longest - length)


def test_padding_uses_the_tokenizers_own_token() -> None:
    examples = TextExamples(
        np.zeros(2, np.int64), Tokens(np.asarray([5, 6, 7], np.int32), np.asarray([0, 1, 3]), 9)
    )
    assert examples.batch(np.asarray([0, 1]))["input_ids"].tolist() == [[5, 9], [6, 7]]
    assert examples.lengths.dtype == np.int32


def test_an_empty_batch_is_empty() -> None:
    assert texts_of([[1, 2]]).batch(np.empty(0, np.int64))["input_ids"].shape == (0, 0)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_a_batch_of_images_is_the_stack_of_its_rows(chosen: list[int]) -> None:
    rules = PixelRules(size=(6, 6))
    examples = ImageExamples(np.zeros(5, np.int64), images(5), rules)
    batch = examples.batch(np.asarray(chosen))["pixel_values"]
    alone = [examples.batch(np.asarray([row]))["pixel_values"][0] for row in chosen]
    assert batch.shape == (len(chosen), 3, 6, 6)
    assert batch.dtype == np.float32
    assert np.array_equal(batch, np.stack(alone))
    assert examples.lengths.tolist() == [1] * 5
