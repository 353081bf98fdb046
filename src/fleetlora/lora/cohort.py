"""Training a whole cohort of vehicles in one batched pass, each exactly as if it trained alone.

The frozen layers see all vehicles' samples as one big batch; only the LoRA branches and heads are per
vehicle, as batched products over the cohort's axis. Every vehicle has its own mean loss, so gradients do
not mix, and its own AdamW moments. A vehicle's result does not depend on who trains beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import numpy as np
import torch
from torch import Tensor

from fleetlora.errors import InputError
from fleetlora.lora.adamw import StackedAdamW, clip_rows
from fleetlora.lora.adapter import Adapter
from fleetlora.lora.aggregation import LocalTerms
from fleetlora.lora.backbone import Backbone
from fleetlora.lora.branches import Stack, merged
from fleetlora.lora.examples import Examples
from fleetlora.lora.members import LocalResult, Member, Meter, Progress, chunks, members_of
from fleetlora.lora.metrics import Metrics, tally
from fleetlora.lora.packing import Group, batches, cut, pack
from fleetlora.lora.passes import Passes
from fleetlora.lora.prefix import PrefixCache
from fleetlora.lora.spec import LocalTraining, LoraSpec

__all__ = ["CohortTrainer"]

NOTHING = LocalTerms()


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
        passes = self._passes(examples)
        members = members_of(adapters, schedules, holdout, len(examples.labels))
        meter = Meter(progress, sum(m.samples + 2 * len(m.holdout) for m in members))
        results: dict[int, LocalResult] = {}
        with merged(self.backbone, base):
            for chunk in chunks(members):
                for member, result in zip(
                    chunk, self._train_chunk(passes, chunk, terms, rate, meter), strict=True
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
        passes = self._passes(examples)
        chosen = np.arange(len(examples.labels)) if rows is None else np.asarray(rows, dtype=np.int64)
        head = Stack.of([adapter.head_only()])
        meter, parts = Meter(progress, len(chosen)), []
        with merged(self.backbone, base), merged(self.backbone, adapter), torch.inference_mode():
            for batch in batches(chosen, passes.store.tokens, self.block_tokens):
                logits = head.logits(passes.features(batch)[None])[0]
                parts.append(tally(logits, examples.labels[batch]))
                meter.add(len(batch))
        return Metrics.total(parts, adapter.n_classes)

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
            layer = self.backbone.linear(name)
            shape = (adapter.B[name].shape[0], adapter.A[name].shape[1])
            if shape != (layer.out_features, layer.in_features):
                raise InputError(
                    f"the adapter's layer {name} is {shape}, the backbone's "
                    f"{(layer.out_features, layer.in_features)}",
                    where=self.backbone.path,
                    mend="use the backbone the adapter was made for",
                )
        if not self.training.train_adapter and adapter.trained:
            raise InputError(
                "an adapter with trained factors cannot be used where the head alone is trained",
                where="training.train_adapter",
                mend="train the adapter too, or start from a head alone (rank 0)",
            )

    def _passes(self, examples: Examples) -> Passes:
        return Passes(self.backbone, self.cache.store(self.backbone, examples, self.depth, self.dtype))

    def _train_chunk(
        self, passes: Passes, chunk: list[Member], terms: LocalTerms, rate: float, meter: Meter
    ) -> list[LocalResult]:
        whole = self.training.train_adapter
        stack = Stack.of([m.adapter if whole else m.adapter.head_only() for m in chunk])
        with passes.store.holding(np.concatenate([m.rows for m in chunk])):
            before = self._measure(passes, stack, chunk, meter)
            losses = self._fit(passes, stack, chunk, terms, rate, meter)
            after = self._measure(passes, stack, chunk, meter)
        return [
            LocalResult(
                stack.adapter(c, like=m.adapter), len(m.schedule), m.samples, losses[c], before[c], after[c]
            )
            for c, m in enumerate(chunk)
        ]

    def _fit(
        self,
        passes: Passes,
        stack: Stack,
        chunk: list[Member],
        terms: LocalTerms,
        rate: float,
        meter: Meter,
    ) -> list[float]:
        """Train ``stack`` in place; return each vehicle's mean loss over its steps."""
        factor = rate * self.training.rate_factor
        trained = [(value, factor * base) for value, base in self._trained(stack, terms)]
        optimiser = StackedAdamW(trained, self.training)
        steps = np.array([len(m.schedule) for m in chunk])
        sums = np.zeros(len(chunk))
        for step in range(int(steps.max(initial=0))):
            active = int((steps > step).sum())
            plans = [m.schedule[step] for m in chunk[:active]]
            counts = np.array([(plan >= 0).sum() for plan in plans])
            gradients = [torch.zeros_like(value[:active]) for value, _ in trained]
            for group in self._groups(passes, plans):
                losses = self._add_gradients(passes, stack, group, counts, terms, gradients)
                np.add.at(sums, group.owners, losses)
                meter.add(group.samples)
            if self.training.max_grad_norm is not None:
                clip_rows(gradients, self.training.max_grad_norm)
            optimiser.step(gradients, active)
        return [float(total / count) if count else nan for total, count in zip(sums, steps, strict=True)]

    def _groups(self, passes: Passes, plans: Sequence[np.ndarray]) -> list[Group]:
        tokens = passes.store.tokens
        pieces = [p for c, plan in enumerate(plans) for p in cut(c, plan, tokens, self.block_tokens)]
        return pack(pieces, self.block_tokens)

    def _add_gradients(
        self,
        passes: Passes,
        stack: Stack,
        group: Group,
        counts: np.ndarray,
        terms: LocalTerms,
        gradients: Sequence[Tensor],
    ) -> np.ndarray:
        """Add a group's part to the vehicles' gradients; return its part of their mean losses, (k,)."""
        mine = stack.select(group.owners)
        leaves = [value.requires_grad_() for value, _ in self._trained(mine, terms)]
        size = torch.from_numpy(counts[group.owners])
        losses = passes.losses(mine, group.rows) / size
        objective = losses.sum()
        if terms.penalty is not None:  # a batch in several pieces pays it in parts
            part = torch.from_numpy((group.rows >= 0).sum(axis=1)) / size
            objective = objective + (part * terms.penalty(mine.A, mine.B, mine.ranks)).sum()
        index = torch.from_numpy(group.owners)
        for total, gradient in zip(gradients, torch.autograd.grad(objective, leaves), strict=True):
            total.index_add_(0, index, gradient)
        values: np.ndarray = losses.detach().numpy()
        return values

    def _trained(self, stack: Stack, terms: LocalTerms) -> list[tuple[Tensor, float]]:
        """Return the tensors of ``stack`` that train, with their learning rates."""
        factors = [*(stack.A.values() if terms.train_a else ()), *(stack.B.values() if terms.train_b else ())]
        rate, head_rate = self.training.learning_rate, self.training.head_learning_rate
        return [*((f, rate) for f in factors), (stack.weight, head_rate), (stack.bias, head_rate)]

    @torch.inference_mode()
    def _measure(
        self, passes: Passes, stack: Stack, chunk: list[Member], meter: Meter
    ) -> list[Metrics | None]:
        """Return each vehicle's metrics on its holdout."""
        found: dict[int, Metrics] = {}
        for group in self._groups(passes, [m.holdout for m in chunk]):
            logits = passes.logits(stack.select(group.owners), group.rows)
            for c, mine, scores in zip(group.owners.tolist(), group.rows, logits, strict=True):
                real = mine >= 0
                part = tally(scores[torch.from_numpy(real)], passes.store.examples.labels[mine[real]])
                found[c] = found[c] + part if c in found else part
            meter.add(group.samples)
        return [found.get(c) for c in range(len(chunk))]
