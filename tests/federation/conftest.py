"""A small world whose events can be worked out by hand, and a learner that only counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fleetlora.federation.costs import UpdateCosts
from fleetlora.federation.learner import Jobs, Learned, Score
from fleetlora.federation.world import World
from fleetlora.physics import (
    DEFAULT_DEVICES,
    Backhaul,
    EnergyModel,
    Link,
    RsuPower,
    Sampling,
    ShadowField,
    Umi,
)
from fleetlora.roadside import Sites, find_contacts
from fleetlora.traces import Account, Cleaning, RawFixes, clean


class CountingLearner:
    """Keeps books instead of models: every vehicle halves its loss; the model is as good as its updates."""

    def __init__(self, n_vehicles: int, n_tasks: int = 2, ranks: tuple[int, ...] = (2, 8)) -> None:
        self.ranks = np.array(ranks)
        self.n_vehicles, self.n_tasks = n_vehicles, n_tasks
        self.trained: list[tuple[int, int, Jobs]] = []
        self.progress: list[float] = []
        self.syncs = [0] * n_tasks

    def costs(self, task: int, vehicle: np.ndarray | None = None) -> UpdateCosts:
        return UpdateCosts(self.ranks, 20_000 * self.ranks, 20_000 * self.ranks, 4e10 + 1e9 * self.ranks)

    def samples(self, task: int) -> np.ndarray:
        held = np.arange(self.n_vehicles) % 5 + 1
        return np.where(np.arange(self.n_vehicles) % 3 == task, 0, held)

    def test_steps(self, task: int) -> np.ndarray:
        return np.full(self.n_vehicles, 0.5)

    def train(self, task: int, round: int, jobs: Jobs, progress: float) -> Learned:
        self.trained.append((task, round, jobs))
        self.progress.append(progress)
        n = len(jobs)
        return Learned(np.full(n, 2.0), np.full(n, 1.0), np.full(n, 0.4), np.full(n, 0.5))

    def sync(self, task: int) -> None:
        self.syncs[task] += 1

    def model_bytes(self, task: int) -> int:
        return 1_000_000

    def evaluate(self, task: int, samples: int | None) -> Score:
        done = sum(len(jobs) for k, _, jobs in self.trained if k == task)
        return Score(1 - 1 / (1 + done), 1 / (1 + done), samples or 10)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"books": np.array([len(jobs) for _, _, jobs in self.trained], dtype=np.float32)}

    def save(self, task: int, directory: Path) -> None:
        raise NotImplementedError


def street_world(n_vehicles: int = 30, seed: int = 0) -> World:
    """Return vehicles that drive along one street at 8 to 15 m/s past four RSUs, 500 m apart."""
    rng = np.random.default_rng(seed)
    begin, speed = rng.uniform(0, 120, n_vehicles), rng.uniform(8, 15, n_vehicles)
    t = np.arange(0.0, 301.0, 5.0)
    x = (speed[:, None] * t - 200) * np.where(np.arange(n_vehicles) % 2, 1, -1)[:, None]
    x += np.where(np.arange(n_vehicles) % 2, 0, 1900)[:, None]
    raw = RawFixes(
        vehicle=np.repeat([f"v{i:02d}" for i in range(n_vehicles)], len(t)),
        t_s=(begin[:, None] + t).ravel() + 1.6e9,
        x=x.ravel(),
        y=np.zeros(n_vehicles * len(t)),
        crs="local",
        origin="test",
    )
    tracks, account = clean(raw, Cleaning())
    sites = Sites(np.array(["a", "b", "c", "d"]), np.arange(4) * 500.0, np.full(4, 20.0))
    return world_of(tracks, account, sites, seed)


def world_of(tracks: object, account: Account, sites: Sites, seed: int = 0) -> World:
    radio = Umi()
    coverage_m = radio.coverage_m(-6.0)
    contacts = find_contacts(tracks, sites, coverage_m, radio.distance_ratio(3.0), 0.16, radio.height_m)
    link = Link(radio, ShadowField(radio, len(sites), seed), sites.x_m, sites.y_m)
    device = np.arange(tracks.n_vehicles) % len(DEFAULT_DEVICES)
    return World(
        tracks,
        account,
        sites,
        contacts,
        coverage_m,
        radio.distance_ratio(3.0),
        link,
        DEFAULT_DEVICES,
        device,
        EnergyModel(),
        RsuPower(),
        Backhaul(),
        Sampling(),
    )


@pytest.fixture(scope="session")
def street() -> World:
    return street_world()
