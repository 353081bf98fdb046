"""FlexLoRA: the dense weighted sum of the updates, and its plain singular value decomposition.

    W = sum of p_i · s_i · B_i · A_i,   U S Vᵀ = svd(W),   vehicle of rank r:  s·B·A = U_r S_r V_rᵀ

Bai et al. 2024, "Federated Fine-tuning of Large Language Models under Heterogeneous Tasks and Client
Resources", arXiv 2402.11505. It is what the product rule computes without ever forming W: the same model up
to rounding, at the price of m·n memory and an SVD of the whole layer. The paper leaves S in one factor; here
it is split evenly between the two, as in the product rule, which leaves the product as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleetlora.lora import factors
from fleetlora.lora.factors import Components, Weighted
from fleetlora.lora.rules import AGGREGATION_RULES
from fleetlora.lora.summed import SummedRule

__all__ = ["FlexLora"]


@AGGREGATION_RULES.register("flexlora")
class FlexLora(SummedRule):
    """Aggregation of dense products; a receiver's factors are the truncated SVD of their sum.

    Args:
        bytes_per_param: Bytes of a parameter on the wire.
    """

    def add_up(self, products: Sequence[Weighted]) -> Components:
        """Return the components of a weighted sum, from the dense matrix (m, n)."""
        left, right = factors.stack(products)
        return factors.dense_components(left @ right)
