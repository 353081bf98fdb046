"""pfl-research's simulation in one process: ``python pfl_simulation.py WORK OUT``.

Its own loop, backend, local training and mean; what is added to federated averaging is a vehicle's rank.
"""

from __future__ import annotations

import itertools
import sys
from importlib import metadata
from typing import Any

import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.hyperparam import NNTrainHyperParams
from pfl.internal.bridge import FrameworkBridgeFactory
from pfl.metrics import Metrics
from pfl.model.pytorch import PyTorchModel
from pfl.postprocessor.base import Postprocessor
from pfl.stats import MappedVectorStatistics
from torch import nn
from vehicle import Clock, Learner, Work, add_to, write


class Global(nn.Module):
    """The global adapter of the highest rank, and the learner that vehicles train in."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.names = list(work.start)
        self.values = nn.ParameterList([nn.Parameter(value.clone()) for value in work.start.values()])
        self.learner = [Learner(work)]  # in a list: its parameters are not the global ones

    def loss(self, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the learner's loss."""
        return self.learner[0].loss(tokens, labels)

    def metrics(self, *_: Any) -> dict[str, Any]:
        """Return nothing: nothing is evaluated."""
        return {}


class MixedRanks(FederatedAveraging):
    """Federated averaging in which a vehicle trains the first rows of the global adapter."""

    def train_one_user(
        self, initial_model_state: Any, model: Any, user_dataset: Any, central_context: Any
    ) -> tuple[MappedVectorStatistics, Metrics]:
        """Train one vehicle; return what it changed, beyond its rank down to zero."""
        held, rank = model.pytorch_model, user_dataset.metadata["rank"]
        names = {f"values.{i}": name for i, name in enumerate(held.names)}
        held.learner[0].receive({name: initial_model_state[key] for key, name in names.items()}, rank)
        FrameworkBridgeFactory.sgd_bridge().do_sgd(model, user_dataset, central_context.model_train_params)
        change = {name: initial_model_state[key].neg() for key, name in names.items()}
        add_to(change, held.learner[0].own(rank), 1.0)
        return MappedVectorStatistics({key: change[name] for key, name in names.items()}), Metrics()


class ByWeight(Postprocessor):
    """Weights a vehicle's change as the work says."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def postprocess_one_user(self, *, stats: Any, user_context: Any) -> tuple[Any, Metrics]:
        """Weight it."""
        stats.reweight(self.work.weights[int(user_context.user_id)])
        return stats, Metrics()

    def postprocess_server(self, *, stats: Any, central_context: Any, aggregate_metrics: Any) -> Any:
        """Leave the sum as it is."""
        return stats, Metrics()


class Rounds(TrainingProcessCallback):
    """Times every round."""

    def __init__(self, clock: Clock, rounds: int) -> None:
        self.clock, self.left = clock, rounds

    def on_train_begin(self, *, model: Any) -> Metrics:
        """Begin the first round."""
        self.clock.begin()
        return Metrics()

    def after_central_iteration(
        self, aggregate_metrics: Any, model: Any, *, central_iteration: int
    ) -> tuple[bool, Metrics]:
        """End a round, and begin the next."""
        self.clock.end()
        self.left -= 1
        if self.left:
            self.clock.begin()
        return False, Metrics()


def main(folder: str, out: str) -> None:
    """Play all rounds."""
    work = Work.read(folder)
    held, clock = Global(work), Clock()
    model = PyTorchModel(
        held,
        lambda parameters, lr: held.learner[0].optimiser(),
        torch.optim.SGD(held.values, lr=1.0),
    )
    order = sorted(range(len(work.ranks)), key=lambda vehicle: work.ranks[vehicle])
    turns = itertools.cycle(order)
    numbers = itertools.chain.from_iterable([number] * len(order) for number in range(work.rounds))

    def vehicle_data(vehicle: int) -> Dataset:
        tokens, labels = work.batches(next(numbers), vehicle)
        return Dataset(
            (tokens.flatten(0, 1), labels.flatten()),
            user_id=str(vehicle),
            metadata={"rank": work.ranks[vehicle]},
        )

    data = FederatedDataset(vehicle_data, lambda: next(turns))
    MixedRanks().run(
        NNAlgorithmParams(
            central_num_iterations=work.rounds,
            evaluation_frequency=work.rounds + 1,
            train_cohort_size=len(order),
            val_cohort_size=0,
        ),
        SimulatedBackend(data, data, [ByWeight(work)]),
        model,
        NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=1.0, local_batch_size=work.labels.shape[-1]
        ),
        callbacks=[Rounds(clock, work.rounds)],
        send_metrics_to_platform=False,
    )
    state = {name: value.detach() for name, value in zip(held.names, held.values, strict=True)}
    write(out, state, clock, cores=1, versions={"pfl": metadata.version("pfl"), "torch": torch.__version__})


if __name__ == "__main__":
    main(*sys.argv[1:])
