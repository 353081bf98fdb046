"""From an experiment to its parts: the world, the tasks' data, a learner, and the simulation over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fleetlora.config import Experiment
from fleetlora.errors import ConfigError
from fleetlora.federation.attack import Attack
from fleetlora.federation.budgets import Dividing
from fleetlora.federation.costs import UpdateCosts
from fleetlora.federation.faulty_world import with_faults
from fleetlora.federation.inbox import inbox_of
from fleetlora.federation.loop import Rules, Simulation
from fleetlora.federation.vehicle import forecast
from fleetlora.federation.world import World
from fleetlora.materials import CurveMaterials, Materials
from fleetlora.records import Ledger
from fleetlora.rng import stream
from fleetlora.scenery import Scenery, build_scenery
from fleetlora.scheduling import POLICIES, Policy, PolicyContext

if TYPE_CHECKING:
    from fleetlora.federation.learner import Learner

__all__ = [
    "CurveMaterials",
    "Materials",
    "build_learner",
    "build_scenery",
    "build_simulation",
    "build_world",
]

#: Called with one line about the step that begins.
Say = Callable[[str], None]


def build_world(
    experiment: Experiment, say: Say = lambda line: None, scenery: Scenery | None = None
) -> World:
    """Return the world of an experiment: cleaned tracks, RSUs, contacts, radio, devices.

    Args:
        experiment: The experiment.
        say: Is told what is being done, and what cleaning dropped.
        scenery: What :func:`build_scenery` returned for an experiment of the same tracks, sites and radio;
            made anew if not given.

    Raises:
        InputError: The tracks or sites are not usable, or no vehicle ever meets an RSU.
        ConfigError: A fault's window lies outside the run.
    """
    from fleetlora.physics import Link, ShadowField, assign_devices

    scenery = scenery or build_scenery(experiment, say)
    seed, sites, radio = experiment.seed, scenery.sites, experiment.radio.options
    world = World(
        tracks=scenery.tracks,
        account=scenery.account,
        sites=sites,
        contacts=scenery.contacts,
        coverage_m=scenery.coverage_m,
        handoff_ratio=radio.distance_ratio(experiment.sites.association.hysteresis_db),
        link=Link(radio, ShadowField(radio, len(sites), seed, experiment.shadowing), sites.x_m, sites.y_m),
        devices=experiment.devices,
        device=assign_devices(scenery.tracks.n_vehicles, experiment.devices, stream(seed, "devices")),
        energy=experiment.energy,
        rsu_power=experiment.rsu_power,
        backhaul=experiment.backhaul,
        sampling=experiment.sampling,
    )
    return with_faults(world, experiment.faults, seed)


def build_learner(experiment: Experiment, materials: Materials | CurveMaterials) -> Learner:
    """Return a learner that has learned nothing yet.

    Raises:
        ConfigError: It is a curve that knows nothing of the experiment's method or ranks.
    """
    ranks = np.asarray(experiment.lora.ranks, dtype=np.int64)
    if isinstance(materials, CurveMaterials):
        return _curve_learner(experiment, materials, ranks)
    from fleetlora.federation.gate import Gate
    from fleetlora.federation.lora_learner import LoraLearner
    from fleetlora.federation.privacy import Privacy
    from fleetlora.lora import CohortTrainer

    attack = Attack(experiment.attack, materials.shards[0].n_vehicles, experiment.seed)
    held = [attack.data(*pair) for pair in zip(materials.tasks, materials.shards, strict=True)]
    names = [data.name for data in materials.tasks]
    privacy = Privacy(experiment.privacy, names, experiment.seed) if experiment.privacy.on else None
    make = materials.trainer or CohortTrainer
    trainer = make(materials.backbone, experiment.lora, experiment.training, materials.cache)
    return LoraLearner(
        backbone=materials.backbone,
        spec=experiment.lora,
        training=experiment.training,
        rule=experiment.aggregation.options,
        tasks=[data for data, _ in held],
        shards=[shards for _, shards in held],
        ranks=ranks,
        trainer=trainer,
        seed=experiment.seed,
        tail=experiment.evaluation.tail,
        attack=attack,
        gate=Gate(experiment.aggregation.options, experiment.defence, len(held), attack.on, privacy),
    )


def _curve_learner(experiment: Experiment, materials: CurveMaterials, ranks: NDArray[np.int64]) -> Learner:
    from fleetlora.curves import recipe_of
    from fleetlora.federation.curve_learner import CurveLearner

    if experiment.attack.kind != "none" or experiment.privacy.on:
        raise ConfigError(
            "a learning curve has no updates to spoil or to protect",
            where="privacy.noise_multiplier" if experiment.privacy.on else "attack.kind",
            mend="leave the key out, or train for real",
        )
    return CurveLearner(
        names=materials.names,
        curves=materials.tasks,
        recipe=recipe_of(experiment.model_dump(mode="json")),
        shards=materials.shards,
        ranks=ranks,
        training=experiment.training,
        tail=experiment.evaluation.tail,
        seed=experiment.seed,
    )


def build_simulation(experiment: Experiment, world: World, learner: Learner) -> Simulation:
    """Return a simulation that is about to play its first round.

    Raises:
        ConfigError: A task can never start an update: nobody who meets an RSU holds its data, or its budget
            is below what one update of the lowest rank may cost.
    """
    names = [task.name for task in experiment.tasks]
    simulation = Simulation(
        world=world,
        learner=learner,
        policies=[_policy(experiment, world, learner, k) for k in range(len(names))],
        departure=experiment.departure.options,
        dividing=Dividing(experiment.budget.dividing_rule(), experiment.budget.parts(names)),
        ledger=Ledger(names, experiment.budgets_j()),
        rules=Rules(
            seed=experiment.seed,
            steps=experiment.training.steps,
            admission=experiment.admission,
            round=experiment.round,
            reward=experiment.reward,
            evaluation=experiment.evaluation,
        ),
        inbox=inbox_of(experiment.faults, world.tracks.n_vehicles, experiment.seed),
        attack=Attack(experiment.attack, world.tracks.n_vehicles, experiment.seed),
        defence=experiment.defence,
    )
    for k in range(len(names)):
        _require_updates(experiment, simulation, k)
    return simulation


def _require_updates(experiment: Experiment, simulation: Simulation, task: int) -> None:
    """Refuse a task that can never start an update."""
    world, learner, name = simulation.world, simulation.learner, experiment.tasks[task].name
    costs, budget_j = learner.costs(task), experiment.budgets_j()[name]
    able = np.intersect1d(np.flatnonzero(learner.samples(task)), world.contacts.vehicle)
    if not len(able):
        raise ConfigError(
            f"no vehicle that meets an RSU holds data of task {name!r}",
            where=f"tasks.{name}.partition.holders",
            mend="raise holders, or place more RSUs",
        )
    if simulation.policies[task].learns() and not learner.test_steps(task)[able].any():
        raise ConfigError(
            f"vehicles hold out no row of task {name!r}, so policy {experiment.policy.component!r} has"
            " nothing to learn from",
            where=f"tasks.{name}.partition.holdout",
            mend="raise holdout or min_samples, or choose a policy that does not learn",
        )
    steps, devices = experiment.training.steps, world.computers.take(able)
    step_s = costs.flops_per_step[0] / devices.flops_per_s
    limit_s, test_s = experiment.round.limit_s(steps * step_s), simulation.test_steps[task, able] * step_s
    worst_j = world.energy.worst_case_j(steps * step_s, limit_s, devices, world.slowest, 1.0 / steps, test_s)
    least_j = float(worst_j.min())
    if budget_j < least_j:
        raise ConfigError(
            f"task {name!r} may spend {budget_j:.3g} J, less than the {least_j:.3g} J that one update of "
            f"rank {costs.ranks[0]} may cost the most frugal vehicle",
            where="budget.total_j",
            mend=f"give all tasks together at least {least_j * len(experiment.tasks):.3g} J, "
            "or let vehicles give up earlier (round.patience)",
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
        experiment.round.limit_s,
    )
    return expected.joules
