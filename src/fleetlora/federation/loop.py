"""The round loop: the method, step by step, in virtual time.

Every RSU and every task start a round together. A round ends when the last update is through or has ended,
at the latest at the deadline, and after a short pause if everybody sat out; every q rounds the cloud merges
the RSUs' models. A hand-off's way over the backhaul and that merge come on top of the deadline.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fleetlora.faults import Events
from fleetlora.federation.attack import Attack, AttackSettings
from fleetlora.federation.budgets import Dividing
from fleetlora.federation.choice import Outlook, foresee, make_offers, plan_departure
from fleetlora.federation.costs import UpdateCosts
from fleetlora.federation.defence import DefenceSettings
from fleetlora.federation.departures import DepartureRule
from fleetlora.federation.flight import Flight, Started, fly
from fleetlora.federation.inbox import Inbox
from fleetlora.federation.learner import Jobs, Learned, Learner, Score
from fleetlora.federation.quarantine import Quarantine
from fleetlora.federation.reports import Reports
from fleetlora.federation.residence import Residence, ResidencePredictor
from fleetlora.federation.reward import gain, reward
from fleetlora.federation.rows import RoundReport, Story, report_round
from fleetlora.federation.rsu import Admission, admit
from fleetlora.federation.settings import (
    AdmissionSettings,
    EvaluationSettings,
    RewardSettings,
    RoundSettings,
)
from fleetlora.federation.world import Here, World
from fleetlora.records import Ledger
from fleetlora.rng import stream
from fleetlora.scheduling import Account, Feedback, Policy, checked_ranks

__all__ = ["Observer", "Rules", "Simulation"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rules:
    """The settings that the loop itself obeys; ``steps`` are the local steps of a full update."""

    seed: int
    steps: int
    admission: AdmissionSettings
    round: RoundSettings
    reward: RewardSettings
    evaluation: EvaluationSettings


class Observer(Protocol):
    """Watches the rounds go by: records, progress bars."""

    def on_round(self, report: RoundReport) -> None:
        """Take note of a round that has just ended."""
        ...


class Simulation:
    """Federated fine-tuning of K tasks over one world.

    Args:
        world: Tracks, contacts, radio and devices.
        learner: Holds and trains the models.
        policies: One policy a task.
        departure: What vehicles do that are about to leave.
        dividing: How the joules are divided among the tasks.
        ledger: Takes every joule, and knows what each task may still spend.
        rules: The loop's settings.
        inbox: How updates that are through reach their aggregators.
        attack: What bad vehicles report; there are none if not given.
        defence: What of the vehicles' reports is believed, and how long who was refused is not admitted.
    """

    def __init__(
        self,
        world: World,
        learner: Learner,
        policies: Sequence[Policy],
        departure: DepartureRule,
        dividing: Dividing,
        ledger: Ledger,
        rules: Rules,
        inbox: Inbox | None = None,
        attack: Attack | None = None,
        defence: DefenceSettings | None = None,
    ) -> None:
        self.world, self.learner, self.policies = world, learner, policies
        self.departure, self.dividing, self.ledger, self.rules = departure, dividing, ledger, rules
        n_vehicles = world.tracks.n_vehicles
        self.attack = attack or Attack(AttackSettings(), n_vehicles, rules.seed)
        defence = defence or DefenceSettings()
        self.reports = [
            Reports(defence, k, policy.context.ranks, n_vehicles) for k, policy in enumerate(policies)
        ]
        self.quarantine = Quarantine(defence.quarantine_rounds, n_vehicles)
        self.inbox = inbox or Inbox()
        self.tasks = ledger.tasks
        self.residence = ResidencePredictor(world, rules.round.residence_cap_s)
        self.samples = np.stack([learner.samples(k) for k in range(len(self.tasks))], axis=1)
        # Where nobody asks what a vehicle gained, it need not measure it.
        asked = np.array([policy.learns() or dividing.listens for policy in policies])
        self.test_steps = asked[:, None] * np.stack([learner.test_steps(k) for k in range(len(asked))])
        self.round = 0
        self.clock_s = 0.0
        self._tested_s = -math.inf

    def run(self, observers: Iterable[Observer] = ()) -> None:
        """Play all rounds, or as many as the tracks last for."""
        observers = tuple(observers)
        while not self.over:
            report = self.step()
            for observer in observers:
                observer.on_round(report)

    @property
    def over(self) -> bool:
        """Whether the rounds are done or the tracks have ended."""
        return self.round >= self.rules.round.count or self.clock_s >= self.world.tracks.duration_s

    def step(self) -> RoundReport:
        """Play one round: the steps of the method in their order."""
        here = self.world.observe(self.clock_s)
        before_j = [self.ledger.spent_j(name) for name in self.tasks]
        admission = self._admit(here)
        residence = self._foresee_residence(here, admission)
        started = Started.joined(
            [self._choose(task, admission, residence, here) for task in range(len(self.tasks))]
        )
        course = fly(self.world, started, here)
        flight, delivery = self._receive(started, course)
        learned = self._train(started, flight)
        rewards = self._teach(started, flight, learned, here)
        self._charge(started, flight)
        synced, sync_s = self._sync(float(flight.end_s.max(initial=here.time_s)))
        tests = self._evaluate(synced)
        story = Story(here, admission, started, flight, learned, rewards, sync_s, synced, tests)
        clock_s = self._next_start_s(story)
        self._settle(before_j, clock_s)
        self._divide(synced)
        self._forget(clock_s)
        report = report_round(
            self.round,
            clock_s,
            self.ledger,
            self.policies,
            self.world.device_names,
            self.samples,
            story,
            Events.joined([delivery, self.world.events(started, course, here, clock_s)]),
        )
        self.round, self.clock_s = self.round + 1, report.clock_s
        return report

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the rounds so far have changed, the learner's models included."""
        return {
            "round": self.round,
            "clock_s": self.clock_s,
            "tested_s": self._tested_s,
            "residence": self.residence.state_dict(),
            "policies": [policy.state_dict() for policy in self.policies],
            "reports": [reports.state_dict() for reports in self.reports],
            "quarantine": self.quarantine.state_dict(),
            "dividing": self.dividing.state_dict(),
            "ledger": self.ledger.state_dict(),
            "learner": self.learner.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was called, in a simulation of the same experiment."""
        self.round, self.clock_s = int(state["round"]), float(state["clock_s"])
        self._tested_s = float(state["tested_s"])
        self.residence.load_state_dict(state["residence"])
        for policy, learned in zip(self.policies, state["policies"], strict=True):
            policy.load_state_dict(learned)
        for reports, heard in zip(self.reports, state["reports"], strict=True):
            reports.load_state_dict(heard)
        self.quarantine.load_state_dict(state["quarantine"])
        self.dividing.load_state_dict(state["dividing"])
        self.ledger.load_state_dict(state["ledger"])
        self.learner.load_state_dict(state["learner"])

    def _admit(self, here: Here) -> Admission:
        rng = stream(self.rules.seed, "admission", self.round)
        free = self.quarantine.free(self.round)
        able = (self.samples > 0) & free[:, None]
        return admit(here.rsu, able, self.rules.admission.vehicles_per_task, rng)

    def _foresee_residence(self, here: Here, admission: Admission) -> Residence:
        """Return how long each admitted vehicle thinks it will stay; an oracle is told."""
        foreseen = self.residence.predict(here, admission.vehicle)
        if self.departure.oracle:
            return Residence.known(self.world, here, admission.vehicle)
        return foreseen

    def _choose(self, task: int, admission: Admission, residence: Residence, here: Here) -> Started:
        """Let the vehicles admitted for a task choose; whose joules might not suffice does not start."""
        rules = self.rules.round
        policy, name = self.policies[task], self.tasks[task]
        costs = self.learner.costs(task, admission.vehicle[admission.task == task])
        outlook = foresee(
            self.world,
            here,
            admission,
            task,
            costs,
            self.rules.steps,
            rules,
            residence,
            self.test_steps[task],
        )
        offers = make_offers(
            outlook, self.round, here, self.world.device, rules.deadline_s, self.ledger.remaining_j(name)
        )
        rng = stream(self.rules.seed, "policy", name, self.round)
        ranks = checked_ranks(policy, policy.select(offers, rng), offers)
        started = self._plan(task, costs, outlook, ranks, policy.context.scale_j)
        return started.take(self.ledger.affordable(name, started.worst_j))

    def _plan(
        self, task: int, costs: UpdateCosts, outlook: Outlook, ranks: NDArray[np.int64], scale_j: float
    ) -> Started:
        rows = np.flatnonzero(ranks)
        arm = np.searchsorted(costs.ranks, ranks[rows])
        _, _, bytes_up = costs.at(rows, arm)
        backhaul_s = self.world.backhaul.seconds(bytes_up)
        plan = plan_departure(self.departure, outlook, rows, arm, self.rules.steps, backhaul_s, scale_j)
        rows, arm, steps = rows[plan.start], arm[plan.start], plan.steps[plan.start]
        rank, bytes_down, bytes_up = costs.at(rows, arm)
        return Started(
            vehicle=outlook.vehicle[rows],
            rsu=outlook.rsu[rows],
            task=np.full(len(rows), task, dtype=np.int64),
            chosen=costs.ranks[arm],
            rank=rank,
            steps=steps,
            full_steps=np.full(len(rows), self.rules.steps, dtype=np.int64),
            bytes_down=bytes_down,
            bytes_up=bytes_up,
            compute_s=outlook.expected.compute_s[rows, arm] * steps / self.rules.steps,
            test_s=outlook.expected.test_s[rows, arm],
            hand_off=plan.hand_off[plan.start],
            gives_up=plan.gives_up[plan.start],
            limit_s=outlook.limit_s[rows, arm],
            residence_s=outlook.residence.seconds[rows],
            worst_j=outlook.expected.worst_j[rows, arm],
        )

    def _receive(self, started: Started, flight: Flight) -> tuple[Flight, Events]:
        """Let the RSUs take the updates that are through."""
        closes_s = self.clock_s + self.rules.round.deadline_s
        return self.inbox.take(self.round, self.clock_s, closes_s, started, flight)

    def _train(self, started: Started, flight: Flight) -> Learned:
        """Train the updates that arrive; what the others would have learned nobody ever sees."""
        learned = Learned.unknown(len(started))
        over = self._progress(self.round, self.clock_s)
        for task, name in enumerate(self.tasks):
            progress = max(over, self.ledger.spent_j(name) / self.ledger.budget_j(name))
            rows = np.flatnonzero((started.task == task) & flight.arrived)
            if len(rows):
                jobs = Jobs(started.vehicle[rows], started.rsu[rows], started.rank[rows], started.steps[rows])
                learned.put(rows, self.learner.train(task, self.round, jobs, progress))
        return learned

    def _teach(self, started: Started, flight: Flight, learned: Learned, here: Here) -> Floats:
        """Tell every vehicle's policy what its choice came to; return the rewards."""
        latency_s = flight.stamp_s - here.time_s
        gains = gain(learned.loss_before, learned.loss_after, flight.arrived)
        rewards = reward(
            gains,
            latency_s,
            flight.arrived,
            self.rules.reward.beta,
            self.rules.round.deadline_s,
        )
        for task, policy in enumerate(self.policies):
            rows = started.task == task
            self.dividing.report.add(
                task,
                float(flight.spent.total_j[rows].sum()),
                float(gains[rows].sum()),
                learned.accuracy_before[rows],
            )
            seen = Feedback(
                round=self.round,
                vehicle=started.vehicle[rows],
                rank=started.chosen[rows],
                reward=rewards[rows],
                joules=flight.spent.total_j[rows],
                latency_s=latency_s[rows],
                delivered=flight.arrived[rows],
                gain=gains[rows],
            )
            told = self.attack.report(seen, policy.context.ranks)
            heard, lies = self.reports[task].hear(
                told, started.chosen[rows], started.rsu[rows], learned.refused
            )
            learned.refused.extend(lies)
            policy.update(heard)
        self.quarantine.note(self.round, learned.refused)
        return rewards

    def _charge(self, started: Started, flight: Flight) -> None:
        """Book every joule."""
        if not len(started):
            return
        spent, vehicle, rsu = flight.spent, started.vehicle, started.rsu
        nobody = np.full(len(started), -1)
        booked = (
            ("download", vehicle, rsu, spent.download_j),
            ("compute", vehicle, rsu, spent.compute_j),
            ("upload", vehicle, rsu, spent.upload_j),
            ("idle", vehicle, rsu, spent.idle_j),
            ("rsu", nobody, rsu, flight.rsu_j),
            ("rsu", nobody, flight.rsu_to, flight.rsu_to_j),
        )
        phases, vehicles, rsus, joules = zip(*booked, strict=True)
        self.ledger.charge(
            self.round,
            np.tile(flight.end_s, len(booked)),
            np.concatenate(vehicles),
            np.concatenate(rsus),
            np.tile(np.asarray(self.tasks)[started.task], len(booked)),
            np.repeat(phases, len(started)),
            np.tile(flight.outcome, len(booked)),
            np.concatenate(joules),
        )

    def _settle(self, before_j: Sequence[float], clock_s: float) -> None:
        """Let each task's coordinator compare the round's joules with what they were allotted.

        Args:
            before_j: Joules each task had spent before the round.
            clock_s: Virtual time at which the next round begins.
        """
        was, now = self._progress(self.round, self.clock_s), self._progress(self.round + 1, clock_s)
        time_binds = clock_s / self.world.tracks.duration_s > (self.round + 1) / self.rules.round.count
        for name, policy, earlier_j in zip(self.tasks, self.policies, before_j, strict=True):
            total_j, budget_j = self.ledger.spent_j(name), self.ledger.budget_j(name)
            allotted_j = (budget_j - earlier_j) * (now - was) / (1.0 - was)
            policy.settle(Account(total_j - earlier_j, allotted_j, total_j, budget_j, now, time_binds))

    def _forget(self, clock_s: float) -> None:
        """Let the vehicles that started anew during the round forget what they had learned by themselves."""
        vehicle = self.world.rebooted(self.clock_s, clock_s)
        if len(vehicle):
            for policy in self.policies:
                policy.forget(vehicle)

    def _divide(self, synced: bool) -> None:
        """Divide what is left of the joules anew when the cloud has merged."""
        if not synced:
            return
        spent, budget = (
            np.array([of(name) for name in self.tasks]) for of in (self.ledger.spent_j, self.ledger.budget_j)
        )
        divided = self.dividing.divide(spent, budget)
        if not np.array_equal(divided, budget):
            self.ledger.rebudget(dict(zip(self.tasks, divided.tolist(), strict=True)))

    def _progress(self, rounds: int, clock_s: float) -> float:
        """Return which part of the horizon is over, of the rounds or of the tracks, whichever is more."""
        return min(1.0, max(rounds / self.rules.round.count, clock_s / self.world.tracks.duration_s))

    @property
    def _syncs(self) -> bool:
        last = self.round + 1 == self.rules.round.count
        return last or (self.round + 1) % self.rules.round.sync_every == 0

    def _sync(self, over_s: float) -> tuple[bool, Floats]:
        """Merge the RSUs' models at the cloud when it is time and the cloud answers.

        Args:
            over_s: Virtual time at which the last update was through.

        Returns:
            Whether they were merged, and the (K,) seconds it took.
        """
        seconds = np.zeros(len(self.tasks))
        synced = self._syncs and self.world.cloud_answers(over_s)
        if synced:
            for task in range(len(self.tasks)):
                self.learner.sync(task)
                seconds[task] = 2 * self.world.backhaul_s(self.learner.model_bytes(task), over_s)
        return synced, seconds

    def _evaluate(self, synced: bool) -> dict[int, Score]:
        """Test the aggregated models when it is time."""
        rules = self.rules.evaluation
        every = self.rules.round.sync_every * rules.every
        if not synced or (self.round + 1) % every or self.clock_s < self._tested_s + rules.every_s:
            return {}
        self._tested_s, samples = self.clock_s, rules.samples
        return {task: self.learner.evaluate(task, samples) for task in range(len(self.tasks))}

    def _next_start_s(self, story: Story) -> float:
        """Return the virtual time at which the next round begins."""
        begins_s = self.clock_s + self.rules.round.period_s
        if len(story.started):
            return float(max(begins_s, story.ends_s.max()))
        rules = self.rules.round
        idle_s = rules.pause_s if len(story.admission) else rules.deadline_s
        return float(max(begins_s, self.clock_s + idle_s))
