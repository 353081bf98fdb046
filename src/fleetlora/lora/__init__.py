"""LoRA: backbones, adapters, cohort training, and aggregation of adapters of different ranks.

Names are loaded when they are first used, so that importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleetlora.lora.adapter import Adapter, init_adapter
    from fleetlora.lora.aggregation import AggregationRule, LocalTerms, Traffic
    from fleetlora.lora.backbone import Backbone
    from fleetlora.lora.branches import check_fit
    from fleetlora.lora.cohort import CohortTrainer
    from fleetlora.lora.examples import Examples
    from fleetlora.lora.flops import step_flops
    from fleetlora.lora.members import LocalResult
    from fleetlora.lora.metrics import Metrics
    from fleetlora.lora.notes import HeadInfo, head_info, weights_sha256
    from fleetlora.lora.peft_files import copy_peft, load_head_info, load_peft, save_peft
    from fleetlora.lora.prefix import PrefixCache
    from fleetlora.lora.product import Product
    from fleetlora.lora.rules import AGGREGATION_RULES
    from fleetlora.lora.scoring import logits_of
    from fleetlora.lora.sizes import AdapterLayout, adapter_bytes
    from fleetlora.lora.spec import LocalTraining, LoraSpec
    from fleetlora.lora.tail import TailMean

__all__ = [
    "AGGREGATION_RULES",
    "Adapter",
    "AdapterLayout",
    "AggregationRule",
    "Backbone",
    "CohortTrainer",
    "Examples",
    "HeadInfo",
    "LocalResult",
    "LocalTerms",
    "LocalTraining",
    "LoraSpec",
    "Metrics",
    "PrefixCache",
    "Product",
    "TailMean",
    "Traffic",
    "adapter_bytes",
    "check_fit",
    "copy_peft",
    "head_info",
    "init_adapter",
    "load_head_info",
    "load_peft",
    "logits_of",
    "save_peft",
    "step_flops",
    "weights_sha256",
]

_HOME = {
    "AGGREGATION_RULES": "rules",
    "Adapter": "adapter",
    "AdapterLayout": "sizes",
    "AggregationRule": "aggregation",
    "Backbone": "backbone",
    "CohortTrainer": "cohort",
    "Examples": "examples",
    "HeadInfo": "notes",
    "LocalResult": "members",
    "LocalTerms": "aggregation",
    "LocalTraining": "spec",
    "LoraSpec": "spec",
    "TailMean": "tail",
    "Metrics": "metrics",
    "PrefixCache": "prefix",
    "Product": "product",
    "Traffic": "aggregation",
    "adapter_bytes": "sizes",
    "check_fit": "branches",
    "copy_peft": "peft_files",
    "head_info": "notes",
    "init_adapter": "adapter",
    "load_head_info": "peft_files",
    "load_peft": "peft_files",
    "logits_of": "scoring",
    "save_peft": "peft_files",
    "step_flops": "flops",
    "weights_sha256": "notes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_HOME[name]}")
    except ModuleNotFoundError as error:
        from fleetlora.errors import MissingDependencyError

        if error.name in {"torch", "safetensors", "transformers"}:
            raise MissingDependencyError(
                f"{name} needs {error.name}", mend="pip install 'fleetlora[train]'"
            ) from error
        raise
    return getattr(module, name)


def __dir__() -> list[str]:
    return __all__
