"""Adapter bytes by hand, and ranks that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlora.errors import ConfigError
from fleetlora.lora import AdapterLayout, Backbone, LoraSpec, adapter_bytes, init_adapter

MINILM = AdapterLayout({f"layer.{i}.{n}": (384, 384) for i in (3, 4, 5) for n in "qv"}, 384, 20, 16.0)


def test_bytes_are_the_sum_over_layers_the_head_and_a_header() -> None:
    # 6 layers of 384 x 384 at rank 8: 6·8·768 = 36,864 parameters; head 20·385 = 7,700; 4 bytes each; 1,024.
    assert adapter_bytes(MINILM, 8) == (36_864 + 7_700) * 4 + 1024
    assert adapter_bytes(MINILM, 8, bytes_per_param=2, header_bytes=0) == (36_864 + 7_700) * 2


def test_bytes_of_many_ranks_come_at_once() -> None:
    ranks = np.array([[0, 1], [16, 384]])
    found = adapter_bytes(MINILM, ranks)
    assert found.shape == (2, 2)
    assert found.dtype == np.int64
    assert found[0, 0] == 7_700 * 4 + 1024
    assert (np.diff(found.ravel()) > 0).all()


def test_bytes_count_what_an_adapter_really_holds(bert: Backbone) -> None:
    layout = bert.layout(LoraSpec(target_modules=("query", "dense")), 7)
    adapter = init_adapter(layout, 5, 0)
    assert adapter.parameters * 4 == adapter_bytes(layout, 5, header_bytes=0)


def test_a_rank_above_a_layers_smaller_dimension_names_layer_and_limit() -> None:
    layout = AdapterLayout({"wide": (64, 32), "narrow": (12, 96)}, 32, 3, 16.0)
    assert layout.max_rank == 12
    with pytest.raises(ConfigError, match=r"rank 13 is above what layer narrow \(12 x 96\).*\n.*up to 12"):
        adapter_bytes(layout, np.array([4, 13]))


def test_a_negative_rank_is_refused() -> None:
    with pytest.raises(ConfigError, match="rank -1 is negative"):
        adapter_bytes(MINILM, -1)


def test_no_ranks_have_no_bytes() -> None:
    assert adapter_bytes(MINILM, np.empty(0, int)).shape == (0,)
