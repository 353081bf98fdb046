"""Training a whole cohort of vehicles in one batched pass, each exactly as if it trained alone.

The frozen layers see all vehicles' samples as one big batch; only the LoRA branches and heads are per
vehicle, as batched products over the cohort's axis. Every vehicle has its own mean loss, so gradients do
not mix, and its own AdamW moments. A vehicle's result does not depend on who trains beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from math import nan
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from fleetlora.errors import InputError
from fleetlora.lora.adamw import StackedAdamW, clip_rows
from fleetlora.lora.adapter import Adapter
from fleetlora.lora.aggregation import LocalTerms
from fleetlora.lora.backbone import Backbone
from fleetlora.lora.branches import Stack, check_fit, merged
from fleetlora.lora.calls import Call, Gradients, Holdouts, Score, made, trained
from fleetlora.lora.examples import Examples
from fleetlora.lora.members import LocalResult, Member, Meter, Progress, chunks, members_of
from fleetlora.lora.metrics import Metrics
from fleetlora.lora.packing import Group, batches, pack
from fleetlora.lora.passes import Passes
from fleetlora.lora.prefix import PrefixCache
from fleetlora.lora.spec import LocalTraining, LoraSpec

__all__ = ["CohortTrainer", "Engine"]

NOTHING = LocalTerms()

T = TypeVar("T")


class Engine(Protocol):
    """Makes the passes of one data set, here or elsewhere."""

    @property
    def tokens(self) -> np.ndarray:
        """(N,) tokens of every example inside the encoder."""
        ...

    def holding(self, rows: np.ndarray) -> AbstractContextManager[None]:
        """Expect calls that use ``rows`` inside the block."""
        ...

    def under(self, *deltas: Adapter | None) -> AbstractContextManager[None]:
        """Add frozen deltas to the encoder's weights inside the block, one after the other."""
        ...

    def each(self, calls: Iterable[Call[T]]) -> Iterator[T]:
        """Yield the result of every call, in their order."""
        ...


class _Here:
    """Makes passes in this process, one after the other."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes

    @property
    def tokens(self) -> np.ndarray:
        return self._passes.store.tokens

    def holding(self, rows: np.ndarray) -> AbstractContextManager[None]:
        return self._passes.store.holding(rows)

    @contextmanager
    def under(self, *deltas: Adapter | None) -> Iterator[None]:
        with ExitStack() as block:
            for delta in deltas:
                block.enter_context(merged(self._passes.backbone, delta))
            yield

    def each(self, calls: Iterable[Call[T]]) -> Iterator[T]:
        for call in calls:
            yield made(call, self._passes)


class CohortTrainer:
    """Trains and evaluates adapters of one backbone under one LoRA setting.

    Args:
        backbone: The frozen encoder; its weights are borrowed during calls and always restored.
        spec: Which layers are adapted.
        training: Local training's settings.
        cache: Memory for prefix outputs; share one between trainers of the same backbone and data.
        block_tokens: Most tokens of one pass; larger cohorts are split. The backbone's own if not given.
    """

    def __init__(
        self,
        backbone: Backbone,
        spec: LoraSpec,
        training: LocalTraining,
        cache: PrefixCache | None = None,
        block_tokens: int | None = None,
    ) -> None:
        self.backbone, self.spec, self.training = backbone, spec, training
        self.adapted = frozenset(name for names in backbone.targets(spec).values() for name in names)
        self.depth = backbone.lowest_adapted(spec) if training.train_adapter else backbone.n_layers
        self.dtype = torch.bfloat16 if training.dtype == "bfloat16" else torch.float32
        self.cache = cache if cache is not None else PrefixCache()
        self.block_tokens = block_tokens or backbone.block_tokens
        self.pass_tokens = backbone.pass_tokens

    def train(
        self,
        examples: Examples,
        adapters: Sequence[Adapter],
        schedules: Sequence[np.ndarray],
        holdout: Sequence[np.ndarray] | None = None,
        *,
        base: Adapter | None = None,
        terms: LocalTerms = NOTHING,
        rate: float = 1.0,
        progress: Progress | None = None,
    ) -> list[LocalResult]:
        """Train every vehicle from its adapter on its schedule.

        Args:
            examples: The data set that rows refer to.
            adapters: What each vehicle received; ranks may differ.
            schedules: Per vehicle (steps, batch) rows of ``examples``; steps and batch may differ between
                vehicles, negative rows stand for no sample.
            holdout: Per vehicle the rows it measures itself on before and after, perhaps none.
            base: A frozen delta under all adapters.
            terms: What the aggregation rule asks of local training.
            rate: Step size relative to the settings'.
            progress: Called after every batched step.

        Returns:
            One result per vehicle, in their order.

        Raises:
            InputError: The lists do not match, a step holds no sample, or an adapter does not fit.
        """
        self._check(examples, adapters, base)
        engine = self._engine(examples)
        members = members_of(adapters, schedules, holdout, len(examples.labels))
        meter = Meter(progress, sum(m.samples + 2 * len(m.holdout) for m in members))
        results: dict[int, LocalResult] = {}
        with engine.under(base):
            for chunk in chunks(members):
                for member, result in zip(
                    chunk, self._train_chunk(engine, examples, chunk, terms, rate, meter), strict=True
                ):
                    results[member.index] = result
        return [results[i] for i in range(len(members))]

    def evaluate(
        self,
        examples: Examples,
        adapter: Adapter,
        rows: np.ndarray | None = None,
        *,
        base: Adapter | None = None,
        progress: Progress | None = None,
    ) -> Metrics:
        """Measure one adapter on a data set, merged into the weights for the while.

        Args:
            examples: The data set.
            adapter: The model.
            rows: Rows to measure on; ``None`` means all.
            base: A frozen delta under the adapter.
            progress: Called after every batch.

        Raises:
            InputError: The adapter does not fit the backbone and setting.
        """
        self._check(examples, [adapter], base)
        engine = self._engine(examples)
        chosen = np.arange(len(examples.labels)) if rows is None else np.asarray(rows, dtype=np.int64)
        head = Stack.of([adapter.head_only()], self.backbone.device)
        meter, parts = Meter(progress, len(chosen)), []
        split = batches(chosen, engine.tokens, self.block_tokens)
        with engine.under(base, adapter):
            for batch, part in zip(split, engine.each(Score(head, b) for b in split), strict=True):
                parts.append(part)
                meter.add(len(batch))
        return Metrics.total(parts)

    def _check(self, examples: Examples, adapters: Sequence[Adapter], base: Adapter | None) -> None:
        """Refuse adapters that fit neither the backbone and setting nor the data set and each other."""
        classes = max((a.n_classes for a in adapters), default=0)
        highest = int(np.max(examples.labels, initial=-1))
        if any(a.n_classes != classes for a in adapters) or (adapters and highest >= classes):
            found = sorted({a.n_classes for a in adapters})
            raise InputError(
                f"heads of {found} classes do not fit labels up to {highest}",
                mend="make the adapters for this task's number of classes",
            )
        for adapter in (*adapters, *([base] if base else [])):
            self._check_factors(adapter)

    def _check_factors(self, adapter: Adapter) -> None:
        for name in adapter.names:
            if name not in self.adapted:
                raise InputError(
                    f"the adapter holds layer {name}, which this LoRA setting does not adapt",
                    where="lora.target_modules",
                    mend="use the target_modules and layers the adapter was made with",
                )
        check_fit(self.backbone, adapter)
        if not self.training.train_adapter and adapter.trained:
            raise InputError(
                "an adapter with trained factors cannot be used where the head alone is trained",
                where="training.train_adapter",
                mend="train the adapter too, or start from a head alone (rank 0)",
            )

    def _engine(self, examples: Examples) -> Engine:
        return _Here(Passes(self.backbone, self.cache.store(self.backbone, examples, self.depth, self.dtype)))

    def _train_chunk(
        self,
        engine: Engine,
        examples: Examples,
        chunk: list[Member],
        terms: LocalTerms,
        rate: float,
        meter: Meter,
    ) -> list[LocalResult]:
        whole = self.training.train_adapter
        received = [m.adapter if whole else m.adapter.head_only() for m in chunk]
        stack = Stack.of(received, self.backbone.device)
        with engine.holding(np.concatenate([m.rows for m in chunk])):
            before = self._measure(engine, stack, chunk, meter)
            losses = self._fit(engine, stack, chunk, examples.labels, terms, rate, meter)
            after = self._measure(engine, stack, chunk, meter)
        return [
            LocalResult(
                stack.adapter(c, like=m.adapter), len(m.schedule), m.samples, losses[c], before[c], after[c]
            )
            for c, m in enumerate(chunk)
        ]

    def _fit(
        self,
        engine: Engine,
        stack: Stack,
        chunk: list[Member],
        labels: np.ndarray,
        terms: LocalTerms,
        rate: float,
        meter: Meter,
    ) -> list[float]:
        """Train ``stack`` in place; return each vehicle's mean loss over its steps."""
        own = self._own_classes(chunk, labels, stack) if self.training.own_classes else None
        factor = rate * self.training.rate_factor
        factors, heads = trained(stack, terms)
        rates = [self.training.learning_rate] * len(factors) + [self.training.head_learning_rate] * len(heads)
        values = [*factors, *heads]
        optimiser = StackedAdamW(
            [(value, factor * base) for value, base in zip(values, rates, strict=True)], self.training
        )
        steps = np.array([len(m.schedule) for m in chunk])
        sums = np.zeros(len(chunk))
        for step in range(int(steps.max(initial=0))):
            active = int((steps > step).sum())
            plans = [m.schedule[step] for m in chunk[:active]]
            counts = np.array([(plan >= 0).sum() for plan in plans])
            groups = self._groups(engine, plans)
            calls = (Gradients(stack.select(g.owners), g.rows, counts[g.owners], terms) for g in groups)
            gradients: list[Tensor] = []
            for group, (losses, parts) in zip(groups, engine.each(calls), strict=True):
                gradients = _added(gradients, parts, group.owners, active)
                np.add.at(sums, group.owners, losses)
                meter.add(group.samples)
            if own is not None:
                gradients[-2] *= own[:active, :, None]
                gradients[-1] *= own[:active]
            if self.training.max_grad_norm is not None:
                clip_rows(gradients, self.training.max_grad_norm)
            optimiser.step(gradients, active)
        return [float(total / count) if count else nan for total, count in zip(sums, steps, strict=True)]

    def _own_classes(self, chunk: Sequence[Member], labels: np.ndarray, stack: Stack) -> Tensor:
        """Return (k, classes) 1 where a vehicle's schedule holds a sample of the class, else 0."""
        own = np.zeros(stack.bias.shape, dtype=np.float32)
        for row, member in zip(own, chunk, strict=True):
            row[labels[member.schedule[member.schedule >= 0]]] = 1.0
        return self.backbone.tensor(own)

    def _groups(self, engine: Engine, plans: Sequence[np.ndarray]) -> list[Group]:
        return pack(plans, engine.tokens, self.block_tokens, self.pass_tokens)

    def _measure(
        self, engine: Engine, stack: Stack, chunk: list[Member], meter: Meter
    ) -> list[Metrics | None]:
        """Return each vehicle's metrics on its holdout."""
        found: dict[int, Metrics] = {}
        groups = self._groups(engine, [m.holdout for m in chunk])
        calls = (Holdouts(stack.select(group.owners), group.rows) for group in groups)
        for group, parts in zip(groups, engine.each(calls), strict=True):
            for c, part in zip(group.owners.tolist(), parts, strict=True):
                found[c] = found[c] + part if c in found else part
            meter.add(group.samples)
        return [found.get(c) for c in range(len(chunk))]


def _added(totals: list[Tensor], parts: Sequence[Tensor], owners: np.ndarray, active: int) -> list[Tensor]:
    """Add the ``parts`` (k, …) of vehicles ``owners`` (k,) to (active, …) sums; no sums yet are zeros."""
    if not totals and np.array_equal(owners, np.arange(active)):
        return [part.contiguous() for part in parts]
    totals = totals or [part.new_zeros(active, *part.shape[1:]) for part in parts]
    index = torch.from_numpy(owners).to(parts[0].device)
    for total, part in zip(totals, parts, strict=True):
        total.index_add_(0, index, part)
    return totals
