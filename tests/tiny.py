"""A whole experiment in miniature that a test makes on disk: a street, two text tasks, a random BERT."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tasks.makers import WORDS, save_text_backbone

LABELS = ("stop", "go", "turn")


def save_backbone(folder: Path, seed: int = 3) -> Path:
    """Save a randomly initialised BERT of two layers, width 32, with its tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    save_text_backbone(folder)
    config = BertConfig(
        vocab_size=len((folder / "vocab.txt").read_text().split()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.3,  # far enough from nothing that words differ
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(folder)
    return folder


def save_texts(folder: Path, n_train: int = 480, n_test: int = 60, seed: int = 0) -> None:
    """Save ``train.csv`` and ``test.csv``: texts whose first words tell their label."""
    rng = np.random.default_rng(seed)
    for name, n in (("train", n_train), ("test", n_test)):
        lines = ["text,label"]
        for row in range(n):
            label = row % len(LABELS)
            words = [WORDS[2 + 3 * label + int(k)] for k in rng.integers(0, 2, 3)]
            words += list(rng.choice(WORDS, int(rng.integers(1, 6))))
            lines.append(f"{' '.join(words)},{LABELS[label]}")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", "utf-8")


def save_tracks(path: Path, n_vehicles: int = 24, minutes: int = 5) -> Path:
    """Save vehicles that drive up and down one street of Warsaw, a fix every 10 s."""
    rng = np.random.default_rng(1)
    lines = ["vehicle,t,lat,lon"]
    for vehicle in range(n_vehicles):
        phase, speed = rng.uniform(0, 2000), rng.uniform(6, 14)
        for t in range(0, 60 * minutes + 1, 10):
            s = (phase + speed * t) % 4000
            along = s if s < 2000 else 4000 - s
            lines.append(f"bus{vehicle:02d},{1_600_000_000 + t},52.23,{21.0 + along / 68_000:.6f}")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def experiment(folder: Path, **changes: Any) -> dict[str, Any]:
    """Return the values of a tiny experiment whose files are made in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    save_backbone(folder / "backbone")
    save_texts(folder)
    save_tracks(folder / "tracks.csv")
    task = {
        "source": "text-file",
        "train": str(folder / "train.csv"),
        "test": str(folder / "test.csv"),
        "partition": {"min_samples": 4, "alpha": 10.0},
    }
    return {
        "name": "tiny",
        "method": "random",
        "traces": {"source": "table", "path": str(folder / "tracks.csv")},
        "sites": {"placement": "grid", "spacing_m": 500.0},
        "backbone": {"path": str(folder / "backbone")},
        "lora": {"ranks": [1, 2, 4]},
        "tasks": [{"name": "signs", **task}, {"name": "turns", **task}],
        "training": {"learning_rate": 0.01, "head_learning_rate": 0.05, "steps": 8},
        "round": {"count": 4, "period_s": 30.0},
        "admission": {"vehicles_per_task": 2},
        **changes,
    }


def stopped(values: dict[str, Any], out: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until some rounds are over, head-only ones included, then die: nothing is written any more."""
    import fleetlora
    from fleetlora.federation.loop import Simulation

    step, played = Simulation.step, itertools.count()

    def dies(self: Simulation) -> Any:
        if next(played) == after:
            raise RuntimeError("the power is gone")
        return step(self)

    with monkeypatch.context() as patched:
        patched.setattr(Simulation, "step", dies)
        with pytest.raises(RuntimeError):
            fleetlora.run(values, out, report=False)
