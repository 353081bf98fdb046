"""``fleetlora bench train``: cohorts of vehicles in one batched pass, against three programs that loop.

The rivals are a plain loop with PEFT, pfl-research's simulation and Flower's on Ray (``benchmarks/rivals``).
All play the same rounds: the same frozen backbone, adapters of mixed ranks, batches in the same order, AdamW,
and the same weighted mean, from which the next round starts. The last means are compared. The first round
fills caches and pools, and starts processes; it is told by itself. Texts have one length, so that nobody
pads, or lengths as requests to an assistant have them; then a rival pads a batch to its longest text.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fleetlora.bench.registry import BENCHES
from fleetlora.bench.timing import spread, timed
from fleetlora.console import Progress
from fleetlora.settings import Settings, quantity
from fleetlora.threads import one_thread

if TYPE_CHECKING:
    from fleetlora.bench.cohort_work import CohortWork
    from fleetlora.bench.rivals import Played
    from fleetlora.lora.adapter import Adapter
    from fleetlora.lora.backbone import Backbone

__all__ = ["TrainSpeed"]

_GEMM = {"cpu": 2048, "cuda": 8192}  # rows and columns of the products whose speed is taken for the peak
#: Layers, width and heads of the backbones.
_SIZES = {"small": (2, 64, 4), "minilm": (6, 384, 12), "base": (12, 768, 12)}
_CLASSES = 20


class Shape(Settings):
    """A backbone, and a cohort that trains on it."""

    name: str = Field(description="what it is called in results")
    backbone: Literal["small", "minilm", "base"] = Field(
        "small",
        description="'minilm' is the asset if it is in the cache; 'base' is as large as BERT or ViT-B",
    )
    top: int | None = quantity(None, "1", "adapted encoder layers from the top; all if not given", ge=1)
    tokens: int = quantity(32, "1", "tokens of every text, or the most", ge=2, le=64)
    spoken: bool = Field(False, description="lengths of texts as those of CLINC150")
    vehicles: int = quantity(50, "1", "vehicles of the cohort", ge=1)


@BENCHES.register("train")
class TrainSpeed(Settings):
    """Which cohorts, and against whom."""

    shapes: tuple[Shape, ...] = Field(
        (
            Shape(name="small, 8 tokens", tokens=8),
            Shape(name="small, 32 tokens"),
            Shape(name="small, spoken", spoken=True),
            Shape(name="MiniLM, top 3 layers", backbone="minilm", top=3, vehicles=8),
            Shape(name="MiniLM, top 3 layers, spoken", backbone="minilm", top=3, vehicles=16, spoken=True),
            Shape(name="MiniLM, all layers", backbone="minilm", vehicles=8),
            Shape(name="MiniLM, all layers, spoken", backbone="minilm", vehicles=16, spoken=True),
        ),
        description="backbones and cohorts",
    )
    ranks: tuple[int, ...] = Field((2, 4, 8, 16), description="ranks, dealt to the vehicles in turn")
    steps: int = quantity(4, "1", "local steps of a round", ge=1)
    batch_size: int = quantity(8, "1", "texts of a step", ge=1)
    repeats: int = quantity(3, "1", "rounds that are timed, after a first one that is not", ge=1)
    rivals_python: Path | None = Field(
        None,
        description="interpreter of the rivals' environment; if not given, only PEFT is timed, in ours",
    )
    rivals: Path = Field(Path("benchmarks/rivals"), description="folder of the rivals' programs")
    bfloat16: bool = Field(
        False, description="play in bfloat16 too, with the cache; slow where the processor lacks it"
    )
    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="where all programs compute; on a GPU the clock on the wall counts"
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="arithmetic of all programs' encoders"
    )
    seed: int = quantity(0, "1", "seed of weights, texts and batches", ge=0)

    def measure(self, progress: Progress) -> dict[str, Any]:
        """Play every cohort with every program."""
        import torch

        from fleetlora.bench.rivals import check

        for program in self._rivals().values():
            check(program, self.rivals_python)
        with tempfile.TemporaryDirectory(prefix="fleetlora-train-") as folder, one_thread():
            cases = [
                self._case(shape, Path(folder) / str(i), progress) for i, shape in enumerate(self.shapes)
            ]
        settings = self.model_dump(mode="json", exclude={"rivals", "rivals_python"})
        return {
            "settings": settings | {"rivals_python": self.rivals_python is not None},
            "clock": self._clock,
            "counted": "seconds of all processors, one thread each; on a GPU those on the wall",
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "cases": cases,
        }

    def lines(self, measured: Mapping[str, Any]) -> Iterator[str]:
        """Yield a line for every program and cohort."""
        for case in measured["cases"]:
            yield (
                f"{case['name']}: {case['vehicles']} vehicles, {case['weights']} weights, "
                f"{case['round_flops'] / 1e9:.0f} GFLOP a round, "
                f"GEMM {case['gemm_flops_per_s'] / 1e9:.0f} GFLOP/s"
            )
            for name, one in case["programs"].items():
                line = f"  {name:<14} {one[measured['clock']]['median_s']:8.3f} s"
                if "ratio" in one:
                    line += f", {one['ratio']:.2f}× {case['best_rival']}"
                if "gemm_share" in one:
                    line += f", {100 * one['gemm_share']:.0f} % of GEMM"
                yield f"{line}, differs by {one['error']:.1e}"
        if not measured["settings"]["rivals_python"]:
            yield "pfl and Flower were not measured: they need --set rivals_python=…, see benchmarks/rivals"

    def _case(self, shape: Shape, folder: Path, progress: Progress) -> dict[str, Any]:
        from fleetlora.bench.rivals import play

        backbone, weights = self._backbone(shape, folder)
        work = self._work(shape, backbone)
        work.write(folder / "work", self.device)
        played: dict[str, Played] = {}
        progress.say(f"{shape.name}: fleetlora")
        peaks = [_gemm_s(self.device, self.dtype)]
        played["fleetlora"] = _rounds(work, cache=False)
        peaks.append(_gemm_s(self.device, self.dtype))
        played["with cache"] = _rounds(work, cache=True)
        if self.bfloat16:
            played["bfloat16"] = _rounds(work, cache=True, dtype="bfloat16")
        for name, program in self._rivals().items():
            progress.say(f"{shape.name}: {name}")
            out = folder / program.stem
            played[name] = play(program, self.rivals_python, folder / "work", out, work.start)
        case: dict[str, Any] = {
            **shape.model_dump(mode="json"),
            "weights": weights,
            "layers": backbone.n_layers,
            "width": backbone.width,
            "round_flops": work.round_flops,
            "gemm_flops_per_s": 2 * _GEMM[self.device] ** 3 / min(peaks),
            "programs": {
                name: {
                    "cpu": spread(one.cpu_s[1:]),
                    "wall": spread(one.wall_s[1:]),
                    "first_cpu_s": one.cpu_s[0],
                    **_apart(one.aggregate, played["fleetlora"].aggregate, work.start),
                    **one.notes,
                }
                for name, one in played.items()
            },
        }
        _compare(case, self._clock)
        return case

    @property
    def _clock(self) -> Literal["cpu", "wall"]:
        return "cpu" if self.device == "cpu" else "wall"

    def _rivals(self) -> dict[str, Path]:
        """Return the programs that are played, by name."""
        from fleetlora.bench.rivals import RIVALS

        own = self.rivals_python is not None
        return {name: self.rivals / program for name, (program, needs) in RIVALS.items() if own or not needs}

    def _backbone(self, shape: Shape, folder: Path) -> tuple[Backbone, str]:
        """Return the encoder, and whether its weights are real."""
        from fleetlora.assets import resolve, status
        from fleetlora.bench.cohort_work import random_bert
        from fleetlora.lora.backbone import Backbone

        real = shape.backbone == "minilm" and any(
            entry.asset.name == "minilm" and entry.state == "ready" for entry in status()
        )
        if real:
            path = resolve("asset:minilm")
        else:
            path = random_bert(folder / "backbone", *_SIZES[shape.backbone], 4000, self.seed)
        return Backbone.from_path(path).to(self.device), "real" if real else "random"

    def _work(self, shape: Shape, backbone: Backbone) -> CohortWork:
        from fleetlora.bench.cohort_work import CohortWork
        from fleetlora.lora.spec import LocalTraining, LoraSpec

        layers = None if shape.top is None else tuple(range(-shape.top, 0))
        return CohortWork.drawn(
            backbone,
            LoraSpec(layers=layers),
            LocalTraining(steps=self.steps, batch_size=self.batch_size, dtype=self.dtype),
            ranks=self.ranks,
            vehicles=shape.vehicles,
            rounds=self.repeats + 1,
            length=shape.tokens,
            spoken=shape.spoken,
            classes=_CLASSES,
            seed=self.seed,
        )


def _rounds(work: CohortWork, cache: bool, dtype: str | None = None) -> Played:
    """Play the work with the cohort trainer."""
    from fleetlora.bench.cohort_work import cut, mean
    from fleetlora.bench.rivals import Played
    from fleetlora.lora.cohort import CohortTrainer
    from fleetlora.lora.prefix import PrefixCache

    training = work.training.model_copy(update={"dtype": dtype or work.training.dtype})
    kept = PrefixCache() if cache else PrefixCache(limit_bytes=0)
    trainer = CohortTrainer(work.backbone, work.spec, training, kept)
    state, cpu_s, wall_s, loss = work.start, [], [], 0.0
    for schedule in work.schedules:
        began = time.perf_counter()

        def play_round(state: Adapter = state, schedule: Any = schedule) -> tuple[Adapter, float]:
            received = [cut(state, rank) for rank in work.ranks]
            results = trainer.train(work.texts, received, list(schedule))
            losses = [result.train_loss for result in results]
            return mean([result.adapter for result in results], work.weights), sum(losses) / len(losses)

        (took,), (state, loss) = timed(play_round)
        cpu_s.append(took)
        wall_s.append(time.perf_counter() - began)
    return Played(state, cpu_s, wall_s, {"cores": 1, "loss": loss})


def _gemm_s(device: str, dtype: str) -> float:
    """Return the least seconds of a large product of matrices: of the processor, or on the wall on a GPU."""
    import torch

    size, generator = _GEMM[device], torch.Generator().manual_seed(0)
    left, right = (
        torch.randn(size, size, generator=generator).to(device, getattr(torch, dtype)) for _ in range(2)
    )
    if device == "cpu":
        return min(timed(lambda: left @ right, repeats=3)[0])
    seconds = []
    for _ in range(10):
        torch.cuda.synchronize()
        began = time.perf_counter()
        left @ right
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _apart(found: Adapter, reference: Adapter, start: Adapter) -> dict[str, float]:
    """Return two adapters' difference: its norm, as a share of what training changed, and its largest."""
    import torch

    one, other, before = (
        torch.cat([value.flatten() for _, value in sorted(adapter.tensors().items())]).double()
        for adapter in (found, reference, start)
    )
    error = torch.linalg.norm(one - other) / torch.linalg.norm(other - before)
    return {"error": float(error), "largest": float((one - other).abs().max())}


def _compare(case: dict[str, Any], clock: str) -> None:
    """Add what follows from the seconds: the best rival, ratios to it, and shares of the GEMM's speed."""
    from fleetlora.bench.rivals import RIVALS

    programs = case["programs"]
    best = min(
        (name for name in programs if name in RIVALS), key=lambda name: programs[name][clock]["median_s"]
    )
    case["best_rival"] = best
    for name in programs.keys() - RIVALS.keys():
        programs[name]["ratio"] = programs[best][clock]["median_s"] / programs[name][clock]["median_s"]
    for name in ("fleetlora", best):  # these make every product that is counted
        took = programs[name][clock]["median_s"]
        programs[name]["gemm_share"] = case["round_flops"] / took / case["gemm_flops_per_s"]
