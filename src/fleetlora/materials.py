"""What learning needs beside the world: the backbone, the tasks' encoded data, and who holds what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fleetlora.config import Experiment, TaskSection
from fleetlora.federation.world import World
from fleetlora.rng import stream

if TYPE_CHECKING:
    from fleetlora.lora import Backbone, PrefixCache
    from fleetlora.tasks import Shards, TaskData

__all__ = ["Materials", "build_materials", "deal_shards", "load_backbone", "load_task"]

#: Called with one line about the step that begins.
Say = Callable[[str], None]


@dataclass(frozen=True)
class Materials:
    """What learning needs beside the world: the backbone, the tasks' data, and who holds what.

    ``cache`` keeps the outputs of frozen layers; learners of one study share it.
    """

    backbone: Backbone
    tasks: list[TaskData]
    shards: list[Shards]
    cache: PrefixCache


def build_materials(experiment: Experiment, world: World, say: Say = lambda line: None) -> Materials:
    """Return the backbone, the encoded tasks and their partition over the vehicles of ``world``.

    Raises:
        InputError: The model or a task's data is not usable.
    """
    from fleetlora.lora import PrefixCache

    backbone = load_backbone(experiment, say)
    tasks = [load_task(experiment, section, say) for section in experiment.tasks]
    cache = PrefixCache(experiment.backbone.cache_mib * 2**20)
    return Materials(backbone, tasks, deal_shards(experiment, world, tasks), cache)


def load_backbone(experiment: Experiment, say: Say = lambda line: None) -> Backbone:
    """Return the experiment's frozen model.

    Raises:
        InputError: The model is not usable.
    """
    from fleetlora.assets import resolve
    from fleetlora.lora import Backbone

    path = resolve(experiment.backbone.path)
    say(f"loading the backbone ({experiment.backbone.path})")
    return Backbone.from_path(path)


def load_task(experiment: Experiment, section: TaskSection, say: Say = lambda line: None) -> TaskData:
    """Return a task's data as the experiment's backbone takes it.

    Raises:
        InputError: The data is not usable.
    """
    from fleetlora.assets import resolve
    from fleetlora.tasks import encode_task

    say(f"encoding task {section.name} ({section.component})")
    path = resolve(experiment.backbone.path)
    return encode_task(section.name, section.options.load(), path, section.encoding)


def deal_shards(experiment: Experiment, world: World, tasks: list[TaskData]) -> list[Shards]:
    """Return which samples of each task every vehicle of ``world`` holds."""
    home = _homes(world)
    return [
        section.partition.split(
            data.train.labels,
            world.tracks.n_vehicles,
            stream(experiment.seed, "partition", section.name),
            home_xy=home,
            groups=data.train.group,
        )
        for section, data in zip(experiment.tasks, tasks, strict=True)
    ]


def _homes(world: World) -> np.ndarray:
    """Return where each vehicle usually is, (V, 2) metres: the median of its fixes."""
    tracks = world.tracks
    cuts = zip(tracks.offsets[:-1], tracks.offsets[1:], strict=True)
    return np.array(
        [[np.median(tracks.x_m[a:b]), np.median(tracks.y_m[a:b])] for a, b in cuts], dtype=np.float64
    )
