"""Makes the parts of experiments, and keeps those that a further run of the same values can use again.

Runs of one comparison differ in method and seed alone: their tracks, RSUs, contacts, encoded tasks and
backbone, and the outputs of its frozen layers, are the same. None of these depends on what was made before,
so a run comes out the same with a fresh workshop as with one that has served other runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from fleetlora.build import build_scenery, build_world
from fleetlora.config import Experiment, TaskSection
from fleetlora.federation.world import World
from fleetlora.materials import (
    CurveMaterials,
    Materials,
    deal_shards,
    load_backbone,
    load_curves,
    load_labels,
    load_task,
)

if TYPE_CHECKING:
    from fleetlora.lora import Backbone, PrefixCache
    from fleetlora.tasks import TaskData

__all__ = ["Workshop"]

T = TypeVar("T")
Say = Callable[[str], None]


class Workshop:
    """Keeps the latest part of each kind, for as long as the values it was made of stay the same."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, Any]] = {}

    def world(self, experiment: Experiment, say: Say = lambda line: None) -> World:
        """Return the experiment's world.

        Raises:
            InputError: The tracks or sites are not usable, or no vehicle ever meets an RSU.
        """
        values = _values(experiment, "traces", "sites", "radio")
        scenery = self._keep("scenery", values, lambda: build_scenery(experiment, say))
        return build_world(experiment, say, scenery)

    def materials(
        self, experiment: Experiment, world: World, say: Say = lambda line: None
    ) -> Materials | CurveMaterials:
        """Return what the experiment's learner needs, the tasks dealt out over the vehicles of ``world``.

        Raises:
            InputError: The model, a task's data or the curve is not usable.
        """
        if experiment.learner.kind == "curve":
            return self._curve_materials(experiment, world, say)
        model = f"{experiment.backbone.device} {experiment.backbone.path}"
        backbone = self._keep("backbone", model, lambda: load_backbone(experiment, say))
        tasks = [self._task(experiment, section, say) for section in experiment.tasks]
        cache = self._keep(
            "cache", _values(experiment, "backbone", "tasks"), lambda: _cache(experiment, backbone)
        )
        shards = deal_shards(experiment, world, [data.train for data in tasks])
        return Materials(backbone, tasks, shards, cache)

    def _curve_materials(self, experiment: Experiment, world: World, say: Say) -> CurveMaterials:
        curves = load_curves(experiment)
        labels = [
            self._keep(f"labels {section.name}", _task_key(section), partial(load_labels, section, say))
            for section in experiment.tasks
        ]
        names = [section.name for section in experiment.tasks]
        return CurveMaterials(names, curves, deal_shards(experiment, world, labels))

    def _task(self, experiment: Experiment, section: TaskSection, say: Say) -> TaskData:
        key = json.dumps([experiment.backbone.path, _task_key(section)])
        return self._keep(f"task {section.name}", key, lambda: load_task(experiment, section, say))

    def _keep(self, kind: str, key: str, make: Callable[[], T]) -> T:
        if kind not in self._kept or self._kept[kind][0] != key:
            self._kept.pop(kind, None)  # make room before the next one is made
            self._kept[kind] = (key, make())
        part: T = self._kept[kind][1]
        return part


def _task_key(section: TaskSection) -> str:
    """Return everything about a task's data as text that is equal exactly where it is."""
    return json.dumps(section.model_dump(mode="json", exclude={"partition"}), sort_keys=True)


def _values(experiment: Experiment, *sections: str) -> str:
    """Return the values of ``sections`` as text that is equal exactly where they are."""
    return json.dumps(experiment.model_dump(mode="json", include=set(sections)), sort_keys=True)


def _cache(experiment: Experiment, backbone: Backbone) -> PrefixCache:
    from fleetlora.lora import PrefixCache
    from fleetlora.lora.memory import kept_bytes

    return PrefixCache(kept_bytes(backbone.device, experiment.backbone.cache_mib * 2**20))
