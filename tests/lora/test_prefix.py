"""Prefix outputs are the same numbers however, whenever and beside whatever they are computed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fleetlora.errors import InputError
from fleetlora.lora import Backbone, Examples, PrefixCache
from tests.lora.conftest import Texts, make_texts

WHOLE = 1 << 30


@pytest.fixture(params=["text", "image"])
def case(
    request: pytest.FixtureRequest, bert: Backbone, vit: Backbone, texts: Texts
) -> tuple[Backbone, Examples]:
    if request.param == "text":
        return bert, texts
    return vit, request.getfixturevalue("images")


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_hidden_states_are_the_encoders_own(case: tuple[Backbone, Examples], depth: int) -> None:
    backbone, examples = case
    rows = np.array([5, 2, 9, 2])
    hidden, mask = PrefixCache().store(backbone, examples, depth).hidden(rows)
    direct = backbone.prefix(examples.batch(rows), depth)
    assert hidden.shape == direct.shape
    real = torch.ones(hidden.shape[:2], dtype=torch.bool) if mask is None else mask
    torch.testing.assert_close(hidden[real], direct[real], atol=1e-5, rtol=1e-5)


def test_kept_and_recomputed_outputs_are_bit_equal(case: tuple[Backbone, Examples]) -> None:
    backbone, examples = case
    kept, fresh = PrefixCache(WHOLE), PrefixCache(0)
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 7, 30):
        rows = rng.integers(0, len(examples.labels), size)
        ours, mask = kept.store(backbone, examples, 1).hidden(rows)
        theirs, other = fresh.store(backbone, examples, 1).hidden(rows)
        assert torch.equal(ours, theirs)
        assert (mask is None) == (other is None)
    assert kept.store(backbone, examples, 1).keeps_all
    assert not fresh.store(backbone, examples, 1).keeps_all


def test_the_order_in_which_examples_are_first_seen_changes_nothing(bert: Backbone, texts: Texts) -> None:
    every = np.arange(len(texts.labels))
    at_once, _ = PrefixCache().store(bert, texts, 2).hidden(every)
    one_by_one = PrefixCache().store(bert, texts, 2)
    for row in every[::-1]:
        one_by_one.hidden(np.array([row]))
    assert torch.equal(one_by_one.hidden(every)[0], at_once)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_groups_of_a_length_are_all_of_one_size_so_company_changes_nothing(
    bert: Backbone, texts: Texts, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[int, ...]] = set()
    prefix = bert.prefix

    def noted(batch: dict[str, np.ndarray], depth: int) -> torch.Tensor:
        seen.add(batch["input_ids"].shape)
        return prefix(batch, depth)

    monkeypatch.setattr(bert, "prefix", noted)
    length = int(np.bincount(texts.lengths).argmax())
    alike = np.flatnonzero(texts.lengths == length)
    assert len(alike) > 2
    for count in (1, 2, len(alike)):
        PrefixCache().store(bert, texts, 1, dtype).hidden(alike[:count])
    assert seen == {(math.ceil(128 / length), length)}


def test_features_of_the_whole_encoder_are_pooled(case: tuple[Backbone, Examples]) -> None:
    backbone, examples = case
    rows = np.array([4, 0, 4, 7])
    store = PrefixCache().store(backbone, examples, backbone.n_layers)
    direct = backbone.features(examples.batch(rows))
    torch.testing.assert_close(store.features(rows), direct, atol=1e-5, rtol=1e-5)
    assert store.used_bytes == len(examples.labels) * backbone.width * 4


def test_a_data_set_that_does_not_fit_is_not_kept(bert: Backbone, texts: Texts) -> None:
    needed = int(texts.lengths.sum()) * bert.width * 4
    assert PrefixCache(needed).store(bert, texts, 1).keeps_all
    assert not PrefixCache(needed - 1).store(bert, texts, 1).keeps_all


def test_data_sets_share_one_budget(bert: Backbone, texts: Texts) -> None:
    needed = int(texts.lengths.sum()) * bert.width * 4
    cache = PrefixCache(needed + 100)
    assert cache.store(bert, texts, 1).keeps_all
    assert cache.room_bytes == 100
    assert not cache.store(bert, make_texts(seed=1), 1).keeps_all
    assert cache.store(bert, texts, 1) is cache.store(bert, texts, 1)


def test_what_a_cohort_needs_is_held_while_it_trains(bert: Backbone, texts: Texts) -> None:
    rows = np.array([3, 3, 8, 1])
    cache = PrefixCache(int(texts.lengths[[1, 3, 8]].sum()) * bert.width * 4)
    store = cache.store(bert, texts, 1)
    with store.holding(rows):
        assert cache.room_bytes == 0
        held = store.hidden(rows)[0]
    assert cache.room_bytes == cache.limit_bytes
    assert torch.equal(store.hidden(rows)[0], held)


def test_texts_longer_than_the_backbone_takes_are_refused(bert: Backbone) -> None:
    with pytest.raises(InputError, match=r"the backbone takes 1 to 24\n.*max_tokens"):
        PrefixCache().store(bert, make_texts(longest=30), 1)


def test_texts_without_tokens_are_refused(bert: Backbone, texts: Texts) -> None:
    with pytest.raises(InputError, match="texts have 0 to"):
        PrefixCache().store(bert, replace(texts, lengths=texts.lengths * 0), 1)


def test_examples_that_pad_further_than_they_should_are_refused(bert: Backbone, texts: Texts) -> None:
    class Padded(Texts):
        def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
            return {k: np.pad(v, ((0, 0), (0, 2))) for k, v in super().batch(rows).items()}

    wide = Padded(texts.labels, texts.lengths, texts.tokens)
    with pytest.raises(InputError, match="pad to the longest"):
        PrefixCache().store(bert, wide, 1).hidden(np.array([0]))
