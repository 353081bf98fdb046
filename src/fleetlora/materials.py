"""What learning needs beside the world: the backbone, the tasks' encoded data, and who holds what.

A learner that is a curve needs no model and no texts: the curves, and who holds how much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fleetlora.config import Experiment, TaskSection
from fleetlora.errors import ConfigError
from fleetlora.federation.world import World
from fleetlora.rng import stream

if TYPE_CHECKING:
    from fleetlora.curves import Curves, TaskCurve
    from fleetlora.lora import Backbone, CohortTrainer, PrefixCache
    from fleetlora.tasks import ImageExamples, Labelled, Shards, TaskData, TextExamples

__all__ = [
    "CurveMaterials",
    "Materials",
    "deal_shards",
    "load_backbone",
    "load_curves",
    "load_labels",
    "load_task",
]

#: A task's training rows, with or without what is in them.
Rows: TypeAlias = "Labelled | TextExamples | ImageExamples"

#: Called with one line about the step that begins.
Say = Callable[[str], None]


@dataclass(frozen=True)
class Materials:
    """What learning needs beside the world: the backbone, the tasks' data, and who holds what.

    ``cache`` keeps the outputs of frozen layers; learners of one study share it. ``trainer`` makes the
    cohort engine from backbone, LoRA setting, local training and cache; one of this process if not given.
    """

    backbone: Backbone
    tasks: list[TaskData]
    shards: list[Shards]
    cache: PrefixCache
    trainer: Callable[..., CohortTrainer] | None = None

    @property
    def classes(self) -> list[int]:
        """Number of classes of each task."""
        return [data.n_classes for data in self.tasks]

    @property
    def stand_in(self) -> None:
        """What stands in for training: nothing."""
        return None

    def arrays(self) -> Iterator[np.ndarray]:
        """Yield all that a result depends on: the model's weights, the tasks' rows, and who holds which."""
        import torch

        for weights in self.backbone.model.state_dict().values():
            yield weights.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        for data in self.tasks:
            yield from (*data.train.arrays(), *data.test.arrays())
        for shards in self.shards:
            yield from shards.arrays()


@dataclass(frozen=True)
class CurveMaterials:
    """What a learner needs that is a curve: the curves of the tasks called ``names``, and who holds what."""

    names: list[str]
    curves: Curves
    shards: list[Shards]

    @property
    def tasks(self) -> list[TaskCurve]:
        """The curve of each task."""
        return [self.curves.tasks[name] for name in self.names]

    @property
    def classes(self) -> list[int]:
        """Number of classes of each task."""
        return [curve.classes for curve in self.tasks]

    @property
    def stand_in(self) -> dict[str, Any]:
        """What stands in for training, as a result tells of it."""
        errors = dict(self.curves.error_points)
        return {"kind": "curve", "sha256": self.curves.checksum, "error_points": errors}

    def arrays(self) -> Iterator[np.ndarray]:
        """Yield all that a result depends on: the curves, and who holds which rows."""
        yield np.frombuffer(self.curves.checksum.encode(), dtype=np.uint8)
        for shards in self.shards:
            yield from shards.arrays()


def load_backbone(experiment: Experiment, say: Say = lambda line: None) -> Backbone:
    """Return the experiment's frozen model.

    Raises:
        InputError: The model is not usable.
    """
    from fleetlora.assets import resolve
    from fleetlora.lora import Backbone

    path = resolve(experiment.backbone.path)
    say(f"loading the backbone ({experiment.backbone.path})")
    return Backbone.from_path(path, name=experiment.backbone.path).to(experiment.backbone.device)


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


def load_curves(experiment: Experiment) -> Curves:
    """Return the experiment's learning curves.

    Raises:
        InputError: The file is no curve.
        ConfigError: It is one of other tasks, another model or other training; names the key.
    """
    from fleetlora.assets import resolve
    from fleetlora.curves import base_of, first_difference, read_curves

    path = experiment.learner.curve
    assert path is not None  # the section has checked it
    curves = read_curves(resolve(path))
    changed = first_difference(curves.base, base_of(experiment.model_dump(mode="json")))
    if changed:
        key, theirs, mine = changed
        raise ConfigError(
            f"{path} was fitted to runs with {theirs!r} here, this experiment has {mine!r}",
            where=key,
            mend="fit a curve to runs of this experiment with `fleetlora fit-curve`",
        )
    return curves


def load_labels(section: TaskSection, say: Say = lambda line: None) -> Labelled:
    """Return the labels of a task's training rows, which a partition deals out.

    Raises:
        InputError: The data is not usable.
    """
    from fleetlora.tasks import label_task

    say(f"reading the labels of task {section.name} ({section.component})")
    return label_task(section.name, section.options.load(), section.encoding)


def deal_shards(experiment: Experiment, world: World, rows: Sequence[Rows]) -> list[Shards]:
    """Return which of each task's training ``rows`` every vehicle of ``world`` holds."""
    home = _homes(world)
    return [
        section.partition.split(
            mine.labels,
            world.tracks.n_vehicles,
            stream(experiment.seed, "partition", section.name),
            home_xy=home,
            groups=mine.group,
        )
        for section, mine in zip(experiment.tasks, rows, strict=True)
    ]


def _homes(world: World) -> np.ndarray:
    """Return where each vehicle usually is, (V, 2) metres: the median of its fixes."""
    tracks = world.tracks
    return np.stack([_medians(tracks.x_m, tracks.offsets), _medians(tracks.y_m, tracks.offsets)], axis=1)


def _medians(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the median of ``values[offsets[i]:offsets[i + 1]]`` for each i, none of them empty."""
    count = np.diff(offsets)
    owner = np.repeat(np.arange(len(count)), count)
    ordered = values[np.lexsort((values, owner))]
    low, high = offsets[:-1] + (count - 1) // 2, offsets[:-1] + count // 2
    return np.asarray((ordered[low] + ordered[high]) / 2.0)
