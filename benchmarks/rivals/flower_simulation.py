"""Flower's simulation on Ray, one client actor a core: ``python flower_simulation.py WORK OUT``.

Every actor loads the work and the backbone once and keeps them from round to round; a message carries the
factors of its vehicle's rank, there and back.
"""

from __future__ import annotations

import os
import sys
import time
from functools import lru_cache
from importlib import metadata
from typing import Any

os.environ |= {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}

import psutil
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation
from vehicle import Clock, Learner, Work, add_to, cut, write


@lru_cache(maxsize=1)
def actor(folder: str) -> tuple[Work, Learner]:
    """Return what a client actor keeps."""
    work = Work.read(folder)
    return work, Learner(work)


def client_app(folder: str) -> ClientApp:
    """Return the app that trains one vehicle."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        from flower_simulation import actor

        work, learner = actor(folder)
        number, vehicle = message.content["task"]["round"], message.content["task"]["vehicle"]
        rank = work.ranks[vehicle]
        learner.receive(message.content["adapter"].to_torch_state_dict(), rank)
        learner.train_on(*work.batches(number, vehicle))
        own = {name: value.detach().cpu() for name, value in learner.own(rank).items()}
        return Message(
            content=RecordDict({"adapter": ArrayRecord(own), "task": message.content["task"]}),
            reply_to=message,
        )

    return app


def server_app(work: Work, clock: Clock, out: str, cores: int) -> ServerApp:
    """Return the app that plays all rounds."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        state, count = work.start, len(work.ranks)
        while len(nodes := sorted(grid.get_node_ids())) < count:
            time.sleep(0.1)
        for number in range(work.rounds):
            clock.begin()
            total = {name: torch.zeros_like(value) for name, value in state.items()}
            for reply in grid.send_and_receive(
                [_order(state, work, number, v, nodes[v]) for v in range(count)]
            ):
                vehicle = reply.content["task"]["vehicle"]
                add_to(total, reply.content["adapter"].to_torch_state_dict(), work.weights[vehicle])
            state = total
            clock.end()
        versions = {name: metadata.version(name) for name in ("flwr", "ray", "torch")}
        write(out, state, clock, cores=cores, versions=versions)

    return app


def _order(state: Any, work: Work, number: int, vehicle: int, node: int) -> Message:
    mine = {name: cut(name, value, work.ranks[vehicle]).cpu().contiguous() for name, value in state.items()}
    task = ConfigRecord({"round": number, "vehicle": vehicle})
    return Message(
        content=RecordDict({"adapter": ArrayRecord(mine), "task": task}),
        dst_node_id=node,
        message_type="train",
    )


def worked() -> float:
    """Return the processor seconds of this process and of all that Ray started."""
    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def main(folder: str, out: str) -> None:
    """Play all rounds."""
    work, cores = Work.read(folder), os.cpu_count() or 1
    gpus = torch.cuda.device_count() if work.settings["device"] == "cuda" else 0
    run_simulation(
        server_app(work, Clock(worked), out, cores),
        client_app(folder),
        num_supernodes=len(work.ranks),
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": gpus / cores},
            "init_args": {"num_cpus": cores, "include_dashboard": False, "log_to_driver": False},
        },
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
