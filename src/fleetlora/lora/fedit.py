"""FedIT: average the factors A and the factors B, each apart from the other.

    A = sum of p_i · A_i,   B = sum of p_i · B_i        (p_i: sample shares; all ranks equal)

Zhang et al. 2023, "Towards Building the Federated GPT: Federated Instruction Tuning", arXiv 2305.05644:
FedAvg over the adapters' parameters. The product of averages is not the average of products: B·A holds
p_i·p_j·B_i·A_j for every pair of vehicles. The factors of different ranks have no common shape, so every
vehicle must train the same rank.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleetlora.errors import InputError
from fleetlora.lora.adapter import Adapter
from fleetlora.lora.averaged import AveragedRule
from fleetlora.lora.rules import AGGREGATION_RULES

__all__ = ["FedIt"]


@AGGREGATION_RULES.register("fedit")
class FedIt(AveragedRule):
    """Factors of one common rank, averaged apart.

    Args:
        bytes_per_param: Bytes of a parameter on the wire.
    """

    def dispatch(self, model: Adapter, rank: int, init: Adapter) -> Adapter:
        """Return the model as it is; one without training takes any rank.

        Raises:
            InputError: The model was trained at another rank.
        """
        if model.trained:
            _check_equal({model.rank, rank})
        return super().dispatch(model, rank, init)

    def merge(self, updates: Sequence[Adapter], weights: Sequence[float], model: Adapter) -> Adapter:
        """Return the weighted averages of the updates' factors and heads."""
        return self.combine(updates, weights)

    def combine(
        self, models: Sequence[Adapter], weights: Sequence[float], before: Adapter | None = None
    ) -> Adapter:
        """Return the weighted averages of factors and heads.

        Raises:
            InputError: Ranks differ.
        """
        _check_equal({model.rank for model in models})
        return super().combine(models, weights)


def _check_equal(ranks: set[int]) -> None:
    if len(ranks) > 1:
        raise InputError(
            f"fedit averages factors of one rank, and these have ranks {sorted(ranks)}",
            where="aggregation.rule",
            mend="give every vehicle the same rank (policy.name = 'fixed'), or use a rule for different "
            "ranks: product, hetlora",
        )
