"""From an experiment to its parts: the world, the tasks' data, a learner, and the simulation over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fleetlora.config import Experiment
from fleetlora.errors import InputError
from fleetlora.federation.costs import UpdateCosts
from fleetlora.federation.loop import Rules, Simulation
from fleetlora.federation.vehicle import forecast
from fleetlora.federation.world import World
from fleetlora.records import Ledger
from fleetlora.rng import stream
from fleetlora.scheduling import POLICIES, Policy, PolicyContext

if TYPE_CHECKING:
    from fleetlora.federation.learner import Learner
    from fleetlora.lora import Backbone, PrefixCache
    from fleetlora.tasks import Shards, TaskData

__all__ = ["Materials", "build_materials", "build_simulation", "build_world"]

#: Called with one line about the step that begins.
Say = Callable[[str], None]


def build_world(experiment: Experiment, say: Say = lambda line: None) -> World:
    """Return the world of an experiment: cleaned tracks, RSUs, contacts, radio, devices.

    Args:
        experiment: The experiment.
        say: Is told what is being done, and what cleaning dropped.

    Raises:
        InputError: The tracks or sites are not usable, or no vehicle ever meets an RSU.
    """
    from fleetlora.physics import Link, ShadowField, assign_devices
    from fleetlora.roadside import find_contacts, require_contacts
    from fleetlora.traces import load_tracks

    say(f"reading tracks ({experiment.traces.component})")
    tracks, account = load_tracks(experiment.traces.options, experiment.traces.cleaning)
    say(str(account))
    start_s, duration_s = experiment.traces.start_s, experiment.traces.duration_s
    if start_s or duration_s is not None:
        end_s = tracks.duration_s if duration_s is None else start_s + duration_s
        if start_s >= tracks.duration_s:
            raise InputError(
                f"begins after the tracks end at {tracks.duration_s:.0f} s",
                where="traces.start_s",
                mend="start earlier",
            )
        tracks = tracks.window(start_s, min(end_s, tracks.duration_s))

    association, radio = experiment.sites.association, experiment.radio.options
    coverage_m = radio.coverage_m(association.min_sinr_db)
    say(f"placing RSUs ({experiment.sites.component}), coverage {coverage_m:.0f} m")
    sites = experiment.sites.options.place(tracks, coverage_m)
    contacts = find_contacts(
        tracks,
        sites,
        coverage_m,
        radio.distance_ratio(association.hysteresis_db),
        association.time_to_trigger_s,
        radio.height_m,
    )
    require_contacts(contacts, tracks, sites, coverage_m)
    say(
        f"{tracks.n_vehicles} vehicles, {len(sites)} RSUs, {len(contacts)} contacts, "
        f"{contacts.n_handoffs} handoffs in {tracks.duration_s / 60:.0f} min"
    )
    seed = experiment.seed
    return World(
        tracks=tracks,
        account=account,
        sites=sites,
        contacts=contacts,
        coverage_m=coverage_m,
        link=Link(radio, ShadowField(radio, len(sites), seed, experiment.shadowing), sites.x_m, sites.y_m),
        devices=experiment.devices,
        device=assign_devices(tracks.n_vehicles, experiment.devices, stream(seed, "devices")),
        energy=experiment.energy,
        rsu_power=experiment.rsu_power,
        backhaul=experiment.backhaul,
        sampling=experiment.sampling,
    )


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
    from fleetlora.assets import resolve
    from fleetlora.lora import Backbone, PrefixCache
    from fleetlora.tasks import encode_task

    path = resolve(experiment.backbone.path)
    say(f"loading the backbone ({experiment.backbone.path})")
    backbone = Backbone.from_path(path)
    home = _homes(world)
    tasks, shards = [], []
    for section in experiment.tasks:
        say(f"encoding task {section.name} ({section.component})")
        data = encode_task(section.name, section.options.load(), path, section.encoding)
        rng = stream(experiment.seed, "partition", section.name)
        tasks.append(data)
        shards.append(
            section.partition.split(
                data.train.labels,
                world.tracks.n_vehicles,
                rng,
                home_xy=home,
                groups=data.train.group,
            )
        )
    return Materials(backbone, tasks, shards, PrefixCache(experiment.backbone.cache_mib * 2**20))


def _homes(world: World) -> np.ndarray:
    """Return where each vehicle usually is, (V, 2) metres: the median of its fixes."""
    tracks = world.tracks
    cuts = zip(tracks.offsets[:-1], tracks.offsets[1:], strict=True)
    return np.array(
        [[np.median(tracks.x_m[a:b]), np.median(tracks.y_m[a:b])] for a, b in cuts], dtype=np.float64
    )


def build_learner(experiment: Experiment, materials: Materials) -> Learner:
    """Return a learner with untrained models."""
    from fleetlora.federation.lora_learner import LoraLearner
    from fleetlora.lora import CohortTrainer

    trainer = CohortTrainer(materials.backbone, experiment.lora, experiment.training, materials.cache)
    return LoraLearner(
        backbone=materials.backbone,
        spec=experiment.lora,
        training=experiment.training,
        rule=experiment.aggregation.options,
        tasks=materials.tasks,
        shards=materials.shards,
        ranks=np.asarray(experiment.lora.ranks, dtype=np.int64),
        trainer=trainer,
        seed=experiment.seed,
    )


def build_simulation(experiment: Experiment, world: World, learner: Learner) -> Simulation:
    """Return a simulation that is about to play its first round."""
    names = [task.name for task in experiment.tasks]
    return Simulation(
        world=world,
        learner=learner,
        policies=[_policy(experiment, world, learner, k) for k in range(len(names))],
        departure=experiment.departure.options,
        ledger=Ledger(names, experiment.budgets_j()),
        rules=Rules(
            seed=experiment.seed,
            steps=experiment.training.steps,
            admission=experiment.admission,
            round=experiment.round,
            reward=experiment.reward,
            evaluation=experiment.evaluation,
        ),
    )


def _policy(experiment: Experiment, world: World, learner: Learner, task: int) -> Policy:
    costs = learner.costs(task)
    kind = POLICIES.get(experiment.policy.component)
    typical_j = _typical_j(experiment, world, costs)
    context = PolicyContext(
        task=experiment.tasks[task].name,
        ranks=costs.ranks,
        n_vehicles=world.tracks.n_vehicles,
        device=world.device,
        device_names=tuple(device.name for device in world.devices),
        device_flops_per_s=np.array([device.flops_per_s for device in world.devices]),
        reference_j=np.median(typical_j, axis=0),
        scale_j=float(np.percentile(typical_j[:, -1], 95)),
        deadline_s=experiment.round.deadline_s,
        latency_weight=experiment.reward.beta,
    )
    return kind(context, experiment.policy.options)


def _typical_j(experiment: Experiment, world: World, costs: UpdateCosts) -> np.ndarray:
    """Return (V, A) every vehicle's joules for an update of each rank, alone and half way out in a cell."""
    n = world.tracks.n_vehicles
    half = np.full(n, world.coverage_m / 2)
    expected = forecast(
        costs,
        experiment.training.steps,
        world.computers,
        world.energy,
        world.link.mean_rate_bps(half, up=False),
        world.link.mean_rate_bps(half, up=True),
        np.ones(n),
        experiment.round.deadline_s,
    )
    return expected.joules
