"""Training a whole cohort of vehicles in one batched pass, each exactly as if it trained alone.

The frozen layers see all vehicles' samples as one big batch; only the LoRA branches and heads are per
vehicle, as batched products over the cohort's axis. Every vehicle has its own mean loss, so gradients do
not mix, and its own AdamW moments. A vehicle's result does not depend on who trains beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fleetlora.errors import InputError
from fleetlora.lora.adamw import StackedAdamW, clip_rows
from fleetlora.lora.adapter import Adapter
from fleetlora.lora.aggregation import LocalTerms
from fleetlora.lora.backbone import Backbone
from fleetlora.lora.branches import Stack, branched, merged
from fleetlora.lora.examples import Examples
from fleetlora.lora.members import LocalResult, Member, Meter, Progress, chunks, members_of, padded
from fleetlora.lora.metrics import Metrics, tally
from fleetlora.lora.prefix import PrefixStore
from fleetlora.lora.spec import LocalTraining, LoraSpec

__all__ = ["CohortTrainer"]

#: Bytes of a layer's widest activation in one pass. Larger blocks fall out of the allocator's pool (glibc
#: maps blocks over 32 MiB afresh each time), which costs more than the larger products win.
BLOCK_BYTES = 24 * 2**20

NOTHING = LocalTerms()


class CohortTrainer:
    """Trains and evaluates adapters of one backbone under one LoRA setting.

    Args:
        backbone: The frozen encoder; its weights are borrowed during calls and always restored.
        spec: Which layers are adapted.
        training: Local training's settings.
        cache_bytes: Memory for prefix activations, over all data sets; 0 turns the cache off.
        block_bytes: Bound on a layer's widest activation; larger cohorts are split.
    """

    def __init__(
        self,
        backbone: Backbone,
        spec: LoraSpec,
        training: LocalTraining,
        cache_bytes: int = 2 * 2**30,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self.backbone, self.spec, self.training = backbone, spec, training
        self.adapted = frozenset(name for names in backbone.targets(spec).values() for name in names)
        self.depth = backbone.lowest_adapted(spec) if training.train_adapter else backbone.n_layers
        self.dtype = torch.bfloat16 if training.dtype == "bfloat16" else torch.float32
        self.cache_bytes = cache_bytes
        self.block_tokens = max(1, block_bytes // (4 * backbone.widest))
        self._stores: dict[int, PrefixStore] = {}

    def train(
        self,
        examples: Examples,
        adapters: Sequence[Adapter],
        schedules: Sequence[np.ndarray],
        holdout: Sequence[np.ndarray] | None = None,
        *,
        base: Adapter | None = None,
        terms: LocalTerms = NOTHING,
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
            progress: Called after every batched step.

        Returns:
            One result per vehicle, in their order.

        Raises:
            InputError: The lists do not match, a step holds no sample, or an adapter does not fit.
        """
        for adapter in (*adapters, *([base] if base else [])):
            self._check(adapter)
        store = self._store(examples)
        members = members_of(adapters, schedules, holdout, store.tokens)
        meter = Meter(progress, sum(m.samples + 2 * len(m.holdout) for m in members))
        results: dict[int, LocalResult] = {}
        with merged(self.backbone, base):
            for chunk in chunks(members, self.block_tokens):
                for member, result in zip(chunk, self._train_chunk(store, chunk, terms, meter), strict=True):
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
        for part in (adapter, *([base] if base else [])):
            self._check(part)
        store = self._store(examples)
        chosen = np.arange(len(examples.labels)) if rows is None else np.asarray(rows, dtype=np.int64)
        ordered = chosen[np.argsort(store.tokens[chosen], kind="stable")]
        step = self.block_tokens // int(store.tokens[ordered].max(initial=1)) or 1
        head = Stack.of([adapter.head_only()])
        meter, parts = Meter(progress, len(chosen)), []
        with merged(self.backbone, base), merged(self.backbone, adapter), torch.inference_mode():
            for begin in range(0, len(ordered), step):
                batch = ordered[begin : begin + step]
                logits = head.logits(self._features(store, batch)[None])[0]
                parts.append(tally(logits, examples.labels[batch]))
                meter.add(len(batch))
        return Metrics.total(parts, adapter.n_classes)

    def _check(self, adapter: Adapter) -> None:
        strange = sorted(set(adapter.names) - self.adapted)
        if strange:
            raise InputError(
                f"the adapter holds layer {strange[0]}, which this LoRA setting does not adapt",
                where="lora.target_modules",
                mend="use the target_modules and layers the adapter was made with",
            )
        if not self.training.train_adapter and any(bool(B.any()) for B in adapter.B.values()):
            raise InputError(
                "an adapter with trained factors cannot be used where the head alone is trained",
                where="training.train_adapter",
                mend="train the adapter too, or start from a head alone (rank 0)",
            )

    def _store(self, examples: Examples) -> PrefixStore:
        """Return the data set's prefix store, kept in memory if there is room for it."""
        store = self._stores.get(id(examples))
        if store is None:
            room = self.cache_bytes - sum(s.used_bytes for s in self._stores.values())
            store = PrefixStore(self.backbone, examples, self.depth, room, self.block_tokens, self.dtype)
            self._stores[id(examples)] = store
        return store

    def _features(self, store: PrefixStore, rows: np.ndarray) -> Tensor:
        """Return the pooled features of ``rows`` (n,) under whatever acts in the encoder now, (n, d)."""
        if store.pooled:
            return store.features(rows)
        hidden, mask = store.hidden(rows)
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            return self.backbone.pool(self.backbone.suffix(hidden, mask, self.depth), mask)

    def _logits(self, store: PrefixStore, stack: Stack, rows: np.ndarray) -> Tensor:
        """Return (k, b, c) logits of ``rows`` (k, b): row k under the factors and head of vehicle k.

        Where ``rows`` is negative, the logits are those of some other sample of the row.
        """
        filled = np.where(rows >= 0, rows, rows.max(axis=1, keepdims=True))
        with branched(self.backbone, stack):
            features = self._features(store, filled.ravel())
        return stack.logits(features.view(*rows.shape, -1))

    def _train_chunk(
        self, store: PrefixStore, chunk: list[Member], terms: LocalTerms, meter: Meter
    ) -> list[LocalResult]:
        whole = self.training.train_adapter
        stack = Stack.of([m.adapter if whole else m.adapter.head_only() for m in chunk])
        before = self._measure(store, stack, chunk, meter)
        losses = self._fit(store, stack, chunk, terms, meter)
        after = self._measure(store, stack, chunk, meter)
        return [
            LocalResult(
                stack.adapter(c, like=m.adapter), len(m.schedule), m.samples, losses[c], before[c], after[c]
            )
            for c, m in enumerate(chunk)
        ]

    def _fit(
        self, store: PrefixStore, stack: Stack, chunk: list[Member], terms: LocalTerms, meter: Meter
    ) -> list[float]:
        """Train ``stack`` in place; return each vehicle's mean loss over its steps."""
        optimiser = StackedAdamW(self._trained(stack, terms), self.training)
        steps = np.array([len(m.schedule) for m in chunk])
        sums = np.zeros(len(chunk))
        for step in range(int(steps.max(initial=0))):
            active = int((steps > step).sum())
            rows = padded([m.schedule[step] for m in chunk[:active]])
            live = stack.first(active)
            leaves = [value.requires_grad_() for value, _ in self._trained(live, terms)]
            losses = self._losses(store, live, rows)
            objective = losses.sum()
            if terms.penalty is not None:
                objective = objective + terms.penalty(live.A, live.B, live.ranks).sum()
            gradients = torch.autograd.grad(objective, leaves)
            if self.training.max_grad_norm is not None:
                clip_rows(gradients, self.training.max_grad_norm)
            optimiser.step(gradients, active)
            sums[:active] += losses.detach().numpy()
            meter.add(int((rows >= 0).sum()))
        return [
            float(total / count) if count else float("nan") for total, count in zip(sums, steps, strict=True)
        ]

    def _trained(self, stack: Stack, terms: LocalTerms) -> list[tuple[Tensor, float]]:
        """Return the tensors of ``stack`` that train, with their learning rates."""
        factors = [*(stack.A.values() if terms.train_a else ()), *(stack.B.values() if terms.train_b else ())]
        heads = [stack.weight, stack.bias]
        return [(f, self.training.learning_rate) for f in factors] + [
            (h, self.training.head_learning_rate) for h in heads
        ]

    def _losses(self, store: PrefixStore, stack: Stack, rows: np.ndarray) -> Tensor:
        """Return each vehicle's mean cross-entropy over its real samples, (k,)."""
        logits = self._logits(store, stack, rows)
        real = torch.from_numpy(rows >= 0)
        labels = torch.from_numpy(np.where(rows >= 0, store.examples.labels[rows], 0))
        losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(real.shape)
        return (losses * real).sum(1) / real.sum(1)

    @torch.inference_mode()
    def _measure(
        self, store: PrefixStore, stack: Stack, chunk: list[Member], meter: Meter
    ) -> list[Metrics | None]:
        """Return each vehicle's metrics on its holdout."""
        sizes = np.array([len(m.holdout) for m in chunk])
        order = np.argsort(-sizes, kind="stable")
        sorted_stack, found = stack.select(order), dict[int, Metrics]()
        begin = 0
        while begin < sizes.max(initial=0):
            active = order[: int((sizes > begin).sum())]
            longest = max(chunk[c].longest for c in active)
            end = begin + max(1, self.block_tokens // (len(active) * longest))
            rows = padded([chunk[c].holdout[begin:end] for c in active])
            logits = self._logits(store, sorted_stack.first(len(active)), rows)
            for c, mine, scores in zip(active, rows, logits, strict=True):
                part = tally(scores[mine >= 0], store.examples.labels[mine[mine >= 0]])
                found[c] = found[c] + part if c in found else part
            meter.add(int((rows >= 0).sum()))
            begin = end
        return [found.get(c) for c in range(len(chunk))]
