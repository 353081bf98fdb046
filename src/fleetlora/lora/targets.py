"""Which linear layers of an encoder a LoRA setting names."""

from __future__ import annotations

from torch import nn

from fleetlora.errors import ConfigError
from fleetlora.lora.spec import LoraSpec
from fleetlora.registry import suggest

__all__ = ["adapted_names"]

#: BERT's names of linear layers, and what other families call the same; a target that matches nothing itself
#: is looked up here.
SPELLINGS = {
    "query": ("q_proj", "q_lin"),
    "key": ("k_proj", "k_lin"),
    "value": ("v_proj", "v_lin"),
    "attention.output.dense": ("o_proj", "out_lin"),
    "intermediate.dense": ("fc1", "lin1"),
    "output.dense": ("o_proj", "out_lin", "fc2", "lin2"),
    "dense": ("o_proj", "out_lin", "fc1", "lin1", "fc2", "lin2"),
}


def adapted_names(layers: nn.ModuleList, path: str, spec: LoraSpec) -> dict[int, list[str]]:
    """Return the adapted module paths by encoder layer, lowest layer first.

    Args:
        layers: The encoder's layers.
        path: Their module path.
        spec: The LoRA setting.

    Raises:
        ConfigError: A layer or a target does not exist.
    """
    linears = {i: _linears(layers[i]) for i in _layer_numbers(spec, len(layers))}
    found: dict[int, list[str]] = {i: [] for i in linears}
    for target in spec.target_modules:
        hits = {i: _matching(target, names) for i, names in linears.items()}
        if not any(hits.values()):
            known = sorted({name.rsplit(".", 1)[-1] for names in linears.values() for name in names})
            raise ConfigError(
                f"no linear layer of the backbone is called {target!r}",
                where="lora.target_modules",
                mend=suggest(target, known),
            )
        for i, names in hits.items():
            found[i] += [f"{path}.{i}.{name}" for name in names]
    return {i: list(dict.fromkeys(names)) for i, names in found.items() if names}


def _layer_numbers(spec: LoraSpec, count: int) -> list[int]:
    wanted = range(count) if spec.layers is None else spec.layers
    for layer in wanted:
        if not -count <= layer < count:
            raise ConfigError(
                f"layer {layer} does not exist: the backbone has {count} layers",
                where="lora.layers",
                mend=f"use numbers from {-count} to {count - 1}",
            )
    if not wanted:
        raise ConfigError("no layer is adapted", where="lora.layers", mend="name a layer, or leave it out")
    return sorted({layer % count for layer in wanted})


def _linears(layer: nn.Module) -> list[str]:
    return [name for name, module in layer.named_modules() if isinstance(module, nn.Linear)]


def _matching(target: str, names: list[str]) -> list[str]:
    """Return the layers that end in ``target``, or in another family's word for it."""
    for spellings in ((target,), SPELLINGS.get(target, ())):
        hits = [n for n in names if any(f".{n}".endswith(f".{spelling}") for spelling in spellings)]
        if hits:
            return hits
    return []
