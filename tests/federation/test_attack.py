"""The data of bad vehicles whose labels are flipped: which they are, and one object as long as it is used."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np

from fleetlora.federation.attack import Attack, AttackSettings
from fleetlora.tasks import Shards, TaskData
from tests.lora.conftest import make_texts


def flipped(data: TaskData, seed: int) -> TaskData:
    """Return the data that a run of its own makes of ``data``, half of the fleet of two being bad."""
    shards = Shards(np.array([0, 5, 10]), np.arange(10), np.zeros(3, np.int64), np.empty(0, np.int64))
    return Attack(AttackSettings(kind="label-flip", share=0.5), 2, seed).data(data, shards)[0]


def test_runs_on_the_same_data_share_the_flipped_ones() -> None:
    train, other = make_texts(10), make_texts(10)
    data = TaskData("signs", tuple("abcde"), train, train)
    one, two = flipped(data, 0), flipped(data, 1)
    assert one.train is two.train
    assert one.train is not flipped(TaskData("signs", tuple("abcdef"), train, train), 0).train
    assert one.train is not flipped(TaskData("signs", tuple("abcde"), other, other), 0).train


def test_flipped_data_go_when_nobody_uses_them() -> None:
    train = make_texts(10)
    gone = weakref.ref(flipped(TaskData("signs", tuple("abcde"), train, train), 0).train)
    gc.collect()
    assert gone() is None


def test_the_bad_vehicles_labels_are_flipped_and_neither_their_texts_nor_the_others_labels() -> None:
    texts, test = replace(make_texts(10), labels=np.arange(10) % 5), make_texts(10)
    honest = Shards(
        np.array([0, 4, 7]), np.array([0, 1, 2, 3, 5, 6, 7]), np.array([0, 1, 3]), np.array([4, 8, 9])
    )
    attack = Attack(AttackSettings(kind="label-flip", share=0.5), 2, 0)
    attack.bad[:] = [False, True]
    data, shards = attack.data(TaskData("signs", tuple("abcde"), texts, test), honest)
    rows = [shards.train(0), shards.holdout(0), shards.train(1), shards.holdout(1)]
    # the good one's 0 1 2 3 and 4 stay; the bad one's 0 1 2 and 3 4 are told as 4 − c
    told = [data.train.labels[some].tolist() for some in rows]
    assert told == [[0, 1, 2, 3], [4], [4, 3, 2], [1, 0]]
    were = [honest.train(0), honest.holdout(0), honest.train(1), honest.holdout(1)]
    for mine, theirs in zip(rows, were, strict=True):
        np.testing.assert_array_equal(data.train.lengths[mine], texts.lengths[theirs])
        batch = texts.batch(theirs)
        for name, values in data.train.batch(mine).items():
            np.testing.assert_array_equal(values, batch[name])
    assert data.test is test
