"""What an untrained adapter is, and that adapters are plain tensors."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from fleetlora.errors import ConfigError
from fleetlora.lora import Adapter, AdapterLayout, LocalTraining, LoraSpec, init_adapter
from tests.lora.reference import distance, trained_like

LAYOUT = AdapterLayout({"a.query": (40, 30), "b.dense": (30, 50)}, 30, 4, alpha=8.0)


def test_an_untrained_adapter_changes_nothing_and_predicts_nothing() -> None:
    adapter = init_adapter(LAYOUT, 6, 0)
    assert all(not adapter.delta(name).any() for name in adapter.names)
    assert not adapter.head["weight"].any()
    assert (adapter.n_classes, adapter.scale) == (4, 8.0 / 6)


def test_a_is_spread_as_kaiming_uniform_spreads_it() -> None:
    adapter = init_adapter(LAYOUT, 30, 0)
    reference = torch.empty(3000, 50)
    torch.nn.init.kaiming_uniform_(reference, a=5**0.5)
    ours = adapter.A["b.dense"]
    assert ours.abs().max() <= reference.abs().max() * 1.001
    assert float(ours.std()) == pytest.approx(float(reference.std()), rel=0.05)
    assert abs(float(ours.mean())) < 0.01


def test_one_seed_gives_lower_ranks_the_first_rows_of_higher_ones() -> None:
    low, high = init_adapter(LAYOUT, 3, 7), init_adapter(LAYOUT, 9, 7)
    assert all(torch.equal(low.A[n], high.A[n][:3]) for n in LAYOUT.shapes)


def test_seeds_and_layers_draw_apart() -> None:
    one, two = init_adapter(LAYOUT, 3, 1), init_adapter(LAYOUT, 3, 2)
    assert not torch.equal(one.A["a.query"], two.A["a.query"])
    assert not torch.equal(one.A["a.query"], one.A["b.dense"][:, :30])


def test_rank_zero_is_a_head_alone() -> None:
    adapter = init_adapter(LAYOUT, 0, 0)
    assert (adapter.names, adapter.scale, adapter.narrowest) == ((), 0.0, 0)
    assert adapter.parameters == 4 * 31


def test_a_rank_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="rank 31"):
        init_adapter(LAYOUT, 31, 0)


def test_adapters_go_to_flat_tensors_and_back() -> None:
    adapter = trained_like(init_adapter(LAYOUT, 3, 0), 0)
    flat = adapter.tensors()
    assert {"A/a.query", "B/b.dense", "head/weight", "head/bias"} <= set(flat)
    back = Adapter.from_tensors(adapter.rank, adapter.alpha, flat)
    assert distance(back, adapter) == 0.0
    assert back.names == adapter.names


def test_settings_refuse_what_cannot_be_trained() -> None:
    with pytest.raises(ValidationError, match="at least one linear layer"):
        LoraSpec(target_modules=())
    with pytest.raises(ValidationError, match="alpha"):
        LoraSpec(alpha=0.0)
    with pytest.raises(ValidationError, match="steps"):
        LocalTraining(steps=0)
    with pytest.raises(ValidationError, match="dtype"):
        LocalTraining(dtype="float16")


def test_settings_document_every_field() -> None:
    for section in (LoraSpec, LocalTraining):
        assert all(field.description and field.json_schema_extra for field in section.model_fields.values())
    assert LoraSpec(alpha=32.0).scale(8) == 4.0
