"""Real learning: LoRA adapters trained on the vehicles' own samples, merged at RSUs and cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fleetlora.assets import portable
from fleetlora.federation.attack import Attack, AttackSettings
from fleetlora.federation.costs import UpdateCosts
from fleetlora.federation.defence import DefenceSettings
from fleetlora.federation.gate import Gate
from fleetlora.federation.learner import Jobs, Learned, Score
from fleetlora.federation.uploads import Upload
from fleetlora.lora import (
    Adapter,
    AggregationRule,
    Backbone,
    CohortTrainer,
    LocalResult,
    LocalTraining,
    LoraSpec,
    TailMean,
    head_info,
    init_adapter,
    save_peft,
    step_flops,
)
from fleetlora.lora.aggregation import changed_rows
from fleetlora.rng import stream, stream_seed
from fleetlora.tasks import Shards, TaskData, schedule_many

__all__ = ["LoraLearner"]

Ints = NDArray[np.int64]


@dataclass
class _Models:
    """One task's models: the cloud's, and those of the RSUs that have merged updates since the last sync.

    Attributes:
        cloud: The cloud's model.
        rsu: Each RSU's.
        weight: The samples behind an RSU's model.
        rows: (classes,) those of them whose updates changed each row of its head.
    """

    cloud: Adapter
    rsu: dict[int, Adapter] = field(default_factory=dict)
    weight: dict[int, float] = field(default_factory=dict)
    rows: dict[int, Tensor] = field(default_factory=dict)

    def take(self, rsu: int, model: Adapter, uploads: Sequence[Upload], merged: Sequence[Upload]) -> None:
        """Put an RSU's model in the place of its last one, and count the samples behind it.

        Where only some of the uploads were merged, these stand for the samples of all.
        """
        weight, heard = (sum(upload.samples for upload in some) for some in (uploads, merged))
        changed = torch.stack([u.samples * changed_rows(u.adapter, u.received).double() for u in merged])
        self.rsu[rsu] = model
        self.weight[rsu] = self.weight.get(rsu, 0.0) + weight
        self.rows[rsu] = self.rows.get(rsu, 0.0) + weight * changed.sum(0) / heard

    def forget(self) -> None:
        """Drop the RSUs' models: all of them begin from the cloud's."""
        self.rsu.clear()
        self.weight.clear()
        self.rows.clear()

    def at(self, rsu: int) -> Adapter:
        return self.rsu.get(rsu, self.cloud)

    def state_dict(self) -> dict[str, Any]:
        rsus = sorted(self.rsu)
        return {
            "cloud": self.cloud.state_dict(),
            "rsus": rsus,
            "models": [self.rsu[j].state_dict() for j in rsus],
            "weights": [self.weight[j] for j in rsus],
            "rows": [self.rows[j].numpy() for j in rsus],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> _Models:
        rsus = [int(j) for j in state["rsus"]]
        cloud = Adapter.from_state(state["cloud"])
        models = [Adapter.from_state(model) for model in state["models"]]
        weights = [float(weight) for weight in state["weights"]]
        if "rows" in state:
            rows = [torch.tensor(samples, dtype=torch.float64) for samples in state["rows"]]
        else:  # checkpoints had none at first: a row that moved counts with all samples
            rows = [w * changed_rows(m, cloud).double() for w, m in zip(weights, models, strict=True)]
        return cls(
            cloud,
            dict(zip(rsus, models, strict=True)),
            dict(zip(rsus, weights, strict=True)),
            dict(zip(rsus, rows, strict=True)),
        )

    @property
    def largest(self) -> Adapter:
        return max([self.cloud, *self.rsu.values()], key=lambda model: model.rank)


class LoraLearner:
    """Trains cohorts of vehicles with real adapters over one frozen backbone.

    Args:
        backbone: The frozen encoder.
        spec: Where the adapters sit, and alpha.
        training: What a vehicle does in a round.
        rule: How updates become a model.
        tasks: K tasks.
        shards: Which samples each vehicle holds, one entry a task.
        ranks: (A,) the arms.
        trainer: The cohort engine.
        seed: Seed of initial adapters and batches.
        tail: Part of the syncs whose models are averaged into the one that is handed out.
        attack: What bad vehicles send; there are none if not given.
        gate: What the RSUs take of what is sent; what is sound if not given.
    """

    def __init__(
        self,
        backbone: Backbone,
        spec: LoraSpec,
        training: LocalTraining,
        rule: AggregationRule,
        tasks: Sequence[TaskData],
        shards: Sequence[Shards],
        ranks: Ints,
        trainer: CohortTrainer,
        seed: int,
        tail: float = 0.0,
        attack: Attack | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.backbone, self.spec, self.training, self.rule = backbone, spec, training, rule
        self.tasks, self.shards, self.ranks, self.trainer, self.seed = tasks, shards, ranks, trainer, seed
        self.layouts = [backbone.layout(spec, len(task.classes)) for task in tasks]
        self._models = [
            _Models(rule.start(init_adapter(layout, int(self._trained(ranks)[-1]), self._seed(k))))
            for k, layout in enumerate(self.layouts)
        ]
        self._tails = [TailMean(tail) for _ in tasks]
        # A rule may prune a vehicle's rank; it never trains a higher one of that task again.
        self._highest = [np.full(len(mine.counts), ranks[-1], dtype=np.int64) for mine in shards]
        self._flops = [self._flops_at(k, self._trained(ranks)) for k in range(len(tasks))]
        self.attack = attack or Attack(AttackSettings(), shards[0].n_vehicles, seed)
        self.gate = gate or Gate(rule, DefenceSettings(), len(tasks))

    def _trained(self, ranks: Ints) -> Ints:
        """Return the ranks that are really trained: 0, a head alone, where adapters are off."""
        return ranks if self.training.train_adapter else np.zeros_like(ranks)

    def _seed(self, task: int) -> int:
        """Return the seed of a task's untrained factors."""
        return stream_seed(self.seed, "adapter", self.tasks[task].name)

    def _flops_at(self, task: int, ranks: Ints) -> NDArray[np.float64]:
        """Return the FLOPs of a local step at each of ``ranks``, in their shape."""
        data = self.tasks[task]
        length = max(1, round(float(data.train.lengths.mean())))
        n_layers = self.backbone.n_layers
        layers = range(n_layers) if self.spec.layers is None else self.spec.layers
        draws = self.rule.draws(sorted(layer % n_layers for layer in layers))

        def flops(rank: int, drawn: tuple[int, ...]) -> float:
            return step_flops(
                self.backbone,
                self.spec.model_copy(update={"layers": drawn}),
                rank=rank,
                batch=self.training.batch_size,
                length=length,
                n_classes=len(data.classes),
            )

        known, place = np.unique(ranks, return_inverse=True)
        counted = [sum(probability * flops(r, drawn) for probability, drawn in draws) for r in known.tolist()]
        return np.array(counted)[place].reshape(ranks.shape)

    def costs(self, task: int, vehicle: Ints | None = None) -> UpdateCosts:
        """Return the bytes and counted FLOPs of an update of each rank, over the largest model anywhere.

        A vehicle that was pruned pays for the rank it has left.
        """
        ranks, flops, trained = self._trained(self.ranks), self._flops[task], None
        left = self._highest[task][[] if vehicle is None else vehicle]
        if (left < ranks[-1]).any():
            ranks = trained = np.minimum(ranks, left[:, None])
            flops = self._flops_at(task, trained)
        traffic = self.rule.traffic(self.layouts[task], ranks, self._models[task].largest)
        return UpdateCosts(self.ranks, traffic.down_bytes, traffic.up_bytes, flops, trained)

    def samples(self, task: int) -> Ints:
        """Return the (V,) number of training samples that each vehicle holds."""
        return self.shards[task].counts

    def test_steps(self, task: int) -> NDArray[np.float64]:
        """Return (V,) how many local steps take as long as measuring a vehicle's gain."""
        return self.shards[task].holdout_counts / self.training.batch_size

    def train(self, task: int, round: int, jobs: Jobs, progress: float) -> Learned:
        """Train every job from its RSU's model, those on one base as one cohort, and merge at each RSU."""
        models = self._models[task]
        sent = self._dispatch(task, round, jobs)
        rate = self.training.decay_at(progress)
        results = self._train_cohorts(task, round, jobs, sent, rate)
        trained = [self.rule.collect(a, r.adapter) for a, r in zip(sent, results, strict=True)]
        self._remember_pruning(task, jobs, sent, trained)
        uploads = self.attack.send(task, self._uploads(task, round, jobs, sent, trained))
        taken, refused = self.gate.admit(task, round, uploads)
        for rsu in sorted({upload.rsu for upload in taken}):
            mine = [upload for upload in taken if upload.rsu == rsu]
            models.take(rsu, self.gate.merge(mine, models.at(rsu)), mine, self.gate.chosen(mine))
        return Learned(
            np.array([r.loss_before for r in results]),
            np.array([r.loss_after for r in results]),
            np.array([r.accuracy_before for r in results]),
            np.array([r.accuracy_after for r in results]),
            refused,
        )

    def _uploads(
        self, task: int, round: int, jobs: Jobs, sent: Sequence[Adapter], trained: Sequence[Adapter]
    ) -> list[Upload]:
        """Return what honest vehicles send to their RSUs."""
        samples = self.samples(task)[jobs.vehicle].astype(np.float64)
        columns = zip(jobs.vehicle.tolist(), jobs.rsu.tolist(), samples.tolist(), sent, trained, strict=True)
        return [Upload(v, j, round, new.rank, weight, old, new) for v, j, weight, old, new in columns]

    def _dispatch(self, task: int, round: int, jobs: Jobs) -> list[Adapter]:
        """Return what each vehicle receives, at most at the rank it has been pruned to.

        Vehicles of one RSU and rank receive the same, unless the rule draws for each of them.
        """
        ready: dict[tuple[int, int, int], Adapter] = {}
        models, name, sent = self._models[task], self.tasks[task].name, []
        ranks = self._trained(np.minimum(jobs.rank, self._highest[task][jobs.vehicle]))
        for vehicle, rsu, rank in zip(jobs.vehicle.tolist(), jobs.rsu.tolist(), ranks.tolist(), strict=True):
            draw = stream_seed(self.seed, "draw", name, round, vehicle) if self.rule.personal else 0
            key = rsu, rank, draw
            if key not in ready:
                init = self.rule.init(self.layouts[task], rank, self._seed(task), draw)
                ready[key] = self.rule.dispatch(models.at(rsu), rank, init)
            sent.append(ready[key])
        return sent

    def _train_cohorts(
        self, task: int, round: int, jobs: Jobs, sent: Sequence[Adapter], rate: float
    ) -> list[LocalResult]:
        """Train what was sent, cohort by cohort; return the results in the jobs' order."""
        data, shards = self.tasks[task], self.shards[task]
        plans = schedule_many(
            shards,
            jobs.vehicle,
            int(jobs.steps.max()),
            self.training.batch_size,
            stream_seed(self.seed, "batches", data.name, round),
            data.train.lengths,
        )
        schedules = [plan[:steps] for plan, steps in zip(plans, jobs.steps.tolist(), strict=True)]
        holdouts = [shards.holdout(vehicle) for vehicle in jobs.vehicle.tolist()]
        found: dict[int, LocalResult] = {}
        for rows, base in self._cohorts(task, jobs):
            results = self.trainer.train(
                data.train,
                [sent[i] for i in rows],
                [schedules[i] for i in rows],
                [holdouts[i] for i in rows],
                base=base,
                terms=self.rule.terms(max(sent[i].rank for i in rows)),
                rate=rate,
            )
            found.update(zip(rows, results, strict=True))
        return [found[i] for i in range(len(jobs))]

    def _cohorts(self, task: int, jobs: Jobs) -> list[tuple[list[int], Adapter | None]]:
        """Return the jobs that can train as one cohort, for they stand on one frozen base, with that base."""
        models = self._models[task]
        bases = {rsu: self.rule.base(models.at(rsu)) for rsu in np.unique(jobs.rsu).tolist()}
        cohorts: dict[int, tuple[list[int], Adapter | None]] = {}
        for row, rsu in enumerate(jobs.rsu.tolist()):
            base = bases[rsu]
            cohorts.setdefault(id(base), ([], base))[0].append(row)
        return list(cohorts.values())

    def _remember_pruning(
        self, task: int, jobs: Jobs, sent: Sequence[Adapter], uploads: Sequence[Adapter]
    ) -> None:
        for vehicle, received, upload in zip(jobs.vehicle.tolist(), sent, uploads, strict=True):
            if upload.rank < received.rank:
                self._highest[task][vehicle] = upload.rank

    def sync(self, task: int) -> None:
        """Merge the RSUs' models, weighted by the samples behind them; RSUs without updates stand aside."""
        models = self._models[task]
        if models.rsu:
            order = sorted(models.rsu)
            models.cloud = self.rule.combine_rows(
                [models.rsu[j] for j in order],
                [models.weight[j] for j in order],
                models.cloud,
                torch.stack([models.rows[j] for j in order]),
            )
            models.forget()
            self._tails[task].add(models.cloud)

    def _handed_out(self, task: int) -> Adapter:
        """Return the model that a user would get now."""
        return self._tails[task].mean(self._models[task].cloud)

    def model_bytes(self, task: int) -> int:
        """Return the bytes of one RSU's model on the backhaul, the largest one's."""
        return self.rule.model_bytes(self._models[task].largest)

    def privacy(self) -> dict[str, Any] | None:
        """Return what differential privacy guarantees by now, ``None`` where it is off."""
        return self.gate.privacy.spent() if self.gate.privacy else None

    def evaluate(self, task: int, samples: int | None) -> Score:
        """Test the model that is handed out on a fixed seeded draw of the test set, or on all of it."""
        data = self.tasks[task]
        rows = None
        if samples is not None and samples < len(data.test.labels):
            rng = stream(self.seed, "test draw", data.name)
            rows = np.sort(rng.choice(len(data.test.labels), size=samples, replace=False))
        metrics = self.trainer.evaluate(data.test, self._handed_out(task), rows)
        return Score(metrics.accuracy, metrics.loss, metrics.count)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the tensors of the models that are handed out as arrays, by task and tensor name."""
        return {
            f"{data.name}/{name}": tensor.numpy()
            for task, data in enumerate(self.tasks)
            for name, tensor in self._handed_out(task).tensors().items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the models, those kept for the tail, pruned ranks, and what attack and gate remember."""
        return {
            "models": [models.state_dict() for models in self._models],
            "tails": [tail.state_dict() for tail in self._tails],
            "highest": [highest.copy() for highest in self._highest],
            "attack": self.attack.state_dict(),
            "gate": self.gate.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self._models = [_Models.from_state(models) for models in state["models"]]
        for tail, kept in zip(self._tails, state["tails"], strict=True):
            tail.load_state_dict(kept)
        self._highest = [np.array(highest, dtype=np.int64) for highest in state["highest"]]
        self.attack.load_state_dict(state["attack"])
        self.gate.load_state_dict(state["gate"])

    def save(self, task: int, directory: Path) -> None:
        """Write the model of a task that is handed out as PEFT files, and what its user must know."""
        data = self.tasks[task]
        info = head_info(self.backbone, data.classes, data.max_tokens)
        save_peft(self._handed_out(task), directory, portable(self.backbone.name), info)
