"""``fleetlora bench aggregate``: the sum of many vehicles' products in factors, against a dense SVD of it.

Both sides are the rules themselves: ``product`` with ``max_rank``, and ``flexlora``, whose full SVD is cut to
the same rank. Updates are a common part and a part of each vehicle's own, float32, as training leaves them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fleetlora.bench.registry import BENCHES
from fleetlora.bench.timing import spread, timed
from fleetlora.console import Progress
from fleetlora.rng import stream_seed
from fleetlora.settings import Settings, quantity
from fleetlora.threads import one_thread

if TYPE_CHECKING:
    from fleetlora.lora.factors import Components, Weighted

__all__ = ["Aggregate"]

_MIXED = (4, 8, 16, 32)  # dealt to the vehicles in turn
_RSUS = 8
_OWN = 0.3  # size of a vehicle's own part beside the common one


@BENCHES.register("aggregate")
class Aggregate(Settings):
    """Which layers, how many vehicles, how often."""

    shapes: tuple[tuple[int, int], ...] = Field(
        ((768, 768), (768, 3072), (4096, 4096)), description="rows and columns of the layers"
    )
    vehicles: tuple[int, ...] = Field((8, 64, 256), description="numbers of updates that are summed")
    rank: int = quantity(16, "1", "rank of every update", ge=1)
    max_rank: int = quantity(64, "1", "components that are kept", ge=1)
    repeats: int = quantity(5, "1", "how often each is measured", ge=1)
    enough_s: float = quantity(5.0, "s", "time after which it is not measured again", gt=0)
    dense_vehicles: int = quantity(
        64, "1", "layers of more than dense_entries: the only number of vehicles of which a dense SVD is made"
    )
    dense_entries: int = quantity(4_000_000, "1", "see dense_vehicles")
    seed: int = quantity(0, "1", "seed of the updates", ge=0)

    def measure(self, progress: Progress) -> dict[str, Any]:
        """Time both on every shape and number of vehicles, equal ranks and mixed ones."""
        cases = [
            (shape, count, mixed)
            for shape in self.shapes
            for count in self.vehicles
            for mixed in (False, True)
        ]
        progress.begin("cases", len(cases))
        measured = []
        with one_thread():
            for shape, count, mixed in cases:
                measured.append(self._case(shape, count, mixed))
                progress.advance(self._line(measured[-1]))
        return {
            "settings": self.model_dump(mode="json"),
            "clock": "processor seconds, one thread",
            "cases": measured,
        }

    def lines(self, measured: Mapping[str, Any]) -> Iterator[str]:
        """Yield one line a case."""
        yield from map(self._line, measured["cases"])

    def _line(self, case: Mapping[str, Any]) -> str:
        m, n = case["shape"]
        start = f"{m}×{n}, {case['vehicles']} vehicles, ranks {case['ranks']}"
        start += f": {case['factors']['median_s']:.3g} s"
        if case["dense"] is None:
            return start
        dense = f"dense {case['dense']['median_s']:.3g} s, {case['ratio']:.1f}×"
        return f"{start}, {dense}, differ by {case['error']:.1e}"

    def _case(self, shape: tuple[int, int], count: int, mixed: bool) -> dict[str, Any]:
        from fleetlora.lora.flexlora import FlexLora
        from fleetlora.lora.product import Product

        ranks = [_MIXED[i % len(_MIXED)] if mixed else self.rank for i in range(count)]
        products = self._updates(shape, ranks)
        rule = Product(max_rank=self.max_rank)
        seconds, found = timed(lambda: rule.add_up(products), self.repeats, self.enough_s)
        two_levels, by_rsus = timed(lambda: self._through_rsus(products), self.repeats, self.enough_s)
        case: dict[str, Any] = {
            "shape": list(shape),
            "vehicles": count,
            "ranks": "mixed" if mixed else str(self.rank),
            "columns": sum(ranks),
            "factors": spread(seconds),
            "through_rsus": spread(two_levels) | {"rsus": _RSUS, "error": _apart(by_rsus, found)},
            "dense": None,
        }
        large = shape[0] * shape[1] > self.dense_entries
        if not large or (count == self.dense_vehicles and not mixed):
            slow, dense = timed(lambda: FlexLora().add_up(products), self.repeats, self.enough_s)
            case["dense"] = spread(slow)
            case["ratio"] = case["dense"]["median_s"] / case["factors"]["median_s"]
            case["error"] = _apart(found, dense.truncate(self.max_rank))
        return case

    def _updates(self, shape: tuple[int, int], ranks: list[int]) -> list[Weighted]:
        import torch

        generator = torch.Generator().manual_seed(stream_seed(self.seed, "bench", "aggregate"))
        m, n = shape
        common = (
            torch.randn(m, max(ranks), generator=generator),
            torch.randn(max(ranks), n, generator=generator),
        )
        return [
            (
                1.0 / len(ranks),
                common[0][:, :rank] + _OWN * torch.randn(m, rank, generator=generator),
                common[1][:rank] + _OWN * torch.randn(rank, n, generator=generator),
            )
            for rank in ranks
        ]

    def _through_rsus(self, products: list[Weighted]) -> Components:
        """Return what the cloud keeps when every RSU has summed its share of the vehicles first."""
        from fleetlora.lora.product import Product

        at_rsus = [Product().add_up(products[rsu::_RSUS]) for rsu in range(_RSUS) if products[rsu::_RSUS]]
        return Product(max_rank=self.max_rank).add_up([(1.0, *part.split(1.0)) for part in at_rsus])


def _apart(one: Components, other: Components) -> float:
    """Return the Frobenius norm of the difference of two products, as a share of the second's."""
    import torch

    left, right = torch.cat([one.U * one.S, -other.U * other.S], 1), torch.cat([one.Vt, other.Vt], 0)
    r_left = torch.linalg.qr(left, mode="r").R
    r_right = torch.linalg.qr(right.T, mode="r").R
    return float(torch.linalg.norm(r_left @ r_right.T) / other.S.norm())
