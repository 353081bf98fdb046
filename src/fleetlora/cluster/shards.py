"""The passes of one run on a Ray cluster: actors hold the frozen backbone, this process all that trains.

A cohort is cut into passes exactly as without a cluster; each pass is computed by one actor with as many
threads as here, and the results are added up here in their old order. So every result has the bits it has
without a cluster, if all machines have processors of one kind, and it does not matter how many actors there
are or which of them dies. What travels with a pass is its vehicles' factors, and back their gradients.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from fleetlora.cluster.connect import connected, here, require_same, translated
from fleetlora.config import Experiment
from fleetlora.console import Progress, Quiet
from fleetlora.errors import InputError
from fleetlora.federation.world import World
from fleetlora.lora import Adapter, Backbone, CohortTrainer, Examples
from fleetlora.lora.branches import merged
from fleetlora.lora.calls import Call
from fleetlora.lora.passes import Passes
from fleetlora.lora.prefix import PrefixCache, token_counts
from fleetlora.materials import CurveMaterials, Materials
from fleetlora.threads import limit_threads
from fleetlora.workshop import Workshop

__all__ = ["ShardedTrainer", "Shards", "sharded"]

T = TypeVar("T")

#: How often an actor that died is started again, and its pass made again.
RETRIES = 3

#: Passes an actor has before it, so that it need not wait for the next one; seconds actors have to start.
AHEAD, START_S = 2, 120.0


class _Holder:
    """One actor: the backbone, and the prefix outputs it has computed so far."""

    def __init__(self, backbone: list[Any], threads: int, cache_bytes: int, expected: dict[str, str]) -> None:
        import ray

        require_same(expected, here(), ray.util.get_node_ip_address())
        limit_threads(threads)
        self._backbone, self._cache = ray.get(backbone[0]), PrefixCache(cache_bytes)
        self._known: dict[str, Any] = {}

    def processor(self) -> str:
        """Return the instructions that this machine's arithmetic uses."""
        import torch

        return str(torch.backends.cpu.get_cpu_capability())

    def make(self, examples: list[Any], depth: int, dtype: Any, deltas: list[Any], call: Call[T]) -> T:
        """Make one pass; ``examples`` and ``deltas`` are references, so that each is fetched once."""
        store = self._cache.store(self._backbone, self._held("examples", examples[0]), depth, dtype)
        with ExitStack() as block:
            for place, delta in enumerate(deltas):
                block.enter_context(merged(self._backbone, self._held(f"delta {place}", delta)))
            return call.on(Passes(self._backbone, store))

    def _held(self, kind: str, reference: Any) -> Any:
        """Return what a reference stands for: every data set is kept, and the latest delta of each place."""
        import ray

        key = reference.hex()
        slot = kind if kind.startswith("delta") else key
        if slot not in self._known or self._known[slot][0] != key:
            self._known[slot] = key, ray.get(reference)
        return self._known[slot][1]


class Shards:
    """The actors that hold one backbone.

    Args:
        ray: Ray, connected.
        backbone: The frozen encoder, sent once to every machine.
        cache_bytes: Memory of every actor for prefix outputs.
        progress: Is told how many there are.

    Raises:
        InputError: No machine has as many free cores as a pass has threads, or the backbone is on a GPU.
    """

    def __init__(self, ray: Any, backbone: Backbone, cache_bytes: int, progress: Progress) -> None:
        import torch

        if backbone.device.type != "cpu":
            raise InputError(
                "actors compute on processors",
                where="backbone.device = cuda with --executor ray",
                mend="set backbone.device to cpu, or leave --executor ray out",
            )
        self.ray, threads = ray, torch.get_num_threads()
        free = [int(node["Resources"].get("CPU", 0)) // threads for node in ray.nodes() if node["Alive"]]
        mend = "compute with fewer threads (OMP_NUM_THREADS=1), which changes the digest, or add machines"
        if not sum(free):
            raise InputError(
                f"no machine has {threads} cores, one a thread", where="--executor ray", mend=mend
            )
        kind = ray.remote(num_cpus=threads, max_restarts=RETRIES, max_task_retries=RETRIES)(_Holder)
        self._backbone = ray.put(backbone)  # kept, for an actor that is started again asks for it again
        self.actors = [kind.remote([self._backbone], threads, cache_bytes, here()) for _ in range(sum(free))]
        asked = [actor.processor.remote() for actor in self.actors]
        late = ray.wait(asked, num_returns=len(asked), timeout=START_S)[1]
        if late:
            busy = f"{len(late)} of {len(asked)} actors do not start within {START_S:g} s"
            raise InputError(busy, where="--executor ray", mend="wait until the cluster's cores are free")
        with translated(ray, "--executor ray"):
            others = {*ray.get(asked)} - {torch.backends.cpu.get_cpu_capability()}
        if others:
            progress.say(f"machines compute with {', '.join(sorted(others))} too: the digest will be another")
        progress.say(f"{len(self.actors)} actors of {threads} thread{'s' * (threads > 1)} hold the backbone")
        self._sent: dict[int, tuple[Any, Any]] = {}

    def sent(self, examples: Examples) -> Any:
        """Return the reference of a data set, which is sent when it is first used."""
        if id(examples) not in self._sent:
            self._sent[id(examples)] = (
                examples,
                self.ray.put(examples),
            )  # keeps it, so that its id stays its own
        return self._sent[id(examples)][1]

    def close(self) -> None:
        """End the actors."""
        for actor in self.actors:
            self.ray.kill(actor)


class _There:
    """Makes the passes of one data set on the actors, in turn."""

    def __init__(
        self, shards: Shards, backbone: Backbone, examples: Examples, depth: int, dtype: Any
    ) -> None:
        self.tokens = token_counts(backbone, examples)
        self._shards, self._depth, self._dtype = shards, depth, dtype
        self._examples = shards.sent(examples)
        self._deltas: list[Any] = []

    @contextmanager
    def holding(self, rows: np.ndarray) -> Iterator[None]:
        """Do nothing: actors keep what they compute."""
        yield

    @contextmanager
    def under(self, *deltas: Adapter | None) -> Iterator[None]:
        self._deltas = [self._shards.ray.put(delta) for delta in deltas if delta is not None]
        try:
            yield
        finally:
            self._deltas = []

    def each(self, calls: Iterable[Call[T]]) -> Iterator[T]:
        actors, flying = self._shards.actors, deque[Any]()
        for number, call in enumerate(calls):
            if len(flying) >= AHEAD * len(actors):
                yield self._got(flying.popleft())
            make = actors[number % len(actors)].make
            flying.append(make.remote([self._examples], self._depth, self._dtype, self._deltas, call))
        while flying:
            yield self._got(flying.popleft())

    def _got(self, reference: Any) -> Any:
        with translated(self._shards.ray, "a pass of a cohort"):
            return self._shards.ray.get(reference)


class ShardedTrainer(CohortTrainer):
    """A :class:`CohortTrainer` whose passes are made by the actors of a cluster, to the same bits."""

    def __init__(self, *args: Any, shards: Shards, **options: Any) -> None:
        super().__init__(*args, **options)
        self._shards = shards

    def _engine(self, examples: Examples) -> _There:
        return _There(self._shards, self.backbone, examples, self.depth, self.dtype)


class _ShardedWorkshop(Workshop):
    """Makes materials whose cohorts are trained by one set of actors."""

    def __init__(self, ray: Any, progress: Progress) -> None:
        super().__init__()
        self._ray, self._progress = ray, progress
        self._shards: tuple[Backbone, Shards] | None = None

    def materials(
        self, experiment: Experiment, world: World, say: Any = lambda line: None
    ) -> Materials | CurveMaterials:
        """Return the materials, with the trainer of the cluster; a curve has nothing to train."""
        made = super().materials(experiment, world, say)
        if isinstance(made, CurveMaterials):
            return made
        if self._shards is None or self._shards[0] is not made.backbone:
            self.close()
            shards = Shards(self._ray, made.backbone, made.cache.limit_bytes, self._progress)
            self._shards = made.backbone, shards
        return replace(made, trainer=partial(ShardedTrainer, shards=self._shards[1]))

    def close(self) -> None:
        """End the actors."""
        if self._shards is not None:
            self._shards[1].close()
            self._shards = None


@contextmanager
def sharded(address: str | None = None, progress: Progress | None = None) -> Iterator[Workshop]:
    """Yield a workshop for :func:`fleetlora.run` whose cohorts are trained on a Ray cluster.

    Args:
        address: ``host:port`` of the cluster's head; see :func:`fleetlora.cluster.connected`.
        progress: Is told where the work goes.

    Raises:
        InputError: The cluster cannot be used; says why.
        MissingDependencyError: Ray is not installed.
    """
    progress = progress or Quiet()
    with connected(address, progress.say) as ray:
        workshop = _ShardedWorkshop(ray, progress)
        try:
            yield workshop
        finally:
            workshop.close()
