"""fleetlora: energy-aware federated LoRA fine-tuning over fleets of vehicles, on real trajectories.

The names below are the public face; each is imported when it is first used, so that ``import fleetlora``
costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleetlora.api import resume, run
    from fleetlora.build import build_simulation, build_world
    from fleetlora.comparison import Comparison, compare, compare_runs, open_comparison
    from fleetlora.config import Experiment, load_experiment, preset_names
    from fleetlora.deploy import Classifier, load_adapter
    from fleetlora.errors import ConfigError, FleetLoraError, InputError, MissingDependencyError
    from fleetlora.methods import METHODS
    from fleetlora.records import Run, open_run
    from fleetlora.report import build_report
    from fleetlora.scheduling import POLICIES, Feedback, Offers, Policy, PolicyContext
    from fleetlora.testing import check_policy

__version__ = "0.2.0"

_HOME = {
    "Classifier": "deploy",
    "Comparison": "comparison",
    "ConfigError": "errors",
    "Experiment": "config",
    "Feedback": "scheduling",
    "FleetLoraError": "errors",
    "InputError": "errors",
    "METHODS": "methods",
    "MissingDependencyError": "errors",
    "Offers": "scheduling",
    "POLICIES": "scheduling",
    "Policy": "scheduling",
    "PolicyContext": "scheduling",
    "Run": "records",
    "build_report": "report",
    "build_simulation": "build",
    "build_world": "build",
    "check_policy": "testing",
    "compare": "comparison",
    "compare_runs": "comparison",
    "load_adapter": "deploy",
    "load_experiment": "config",
    "open_comparison": "comparison",
    "open_run": "records",
    "preset_names": "config",
    "resume": "api",
    "run": "api",
}

__all__ = [
    "METHODS",
    "POLICIES",
    "Classifier",
    "Comparison",
    "ConfigError",
    "Experiment",
    "Feedback",
    "FleetLoraError",
    "InputError",
    "MissingDependencyError",
    "Offers",
    "Policy",
    "PolicyContext",
    "Run",
    "build_report",
    "build_simulation",
    "build_world",
    "check_policy",
    "compare",
    "compare_runs",
    "load_adapter",
    "load_experiment",
    "open_comparison",
    "open_run",
    "preset_names",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fleetlora' has no attribute {name!r}")
    return getattr(import_module(f"fleetlora.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
