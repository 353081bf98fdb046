"""A plain loop over the vehicles with PEFT, one model reused: ``python peft_loop.py WORK OUT``."""

from __future__ import annotations

import sys

import peft
import torch
from vehicle import Clock, Learner, Work, add_to, write


def main(folder: str, out: str) -> None:
    """Play all rounds."""
    work = Work.read(folder)
    learner, clock, state = Learner(work), Clock(), work.start
    order = sorted(range(len(work.ranks)), key=lambda vehicle: work.ranks[vehicle])
    for number in range(work.rounds):
        clock.begin()
        total = {name: torch.zeros_like(value) for name, value in state.items()}
        for vehicle in order:
            learner.receive(state, work.ranks[vehicle])
            learner.train_on(*work.batches(number, vehicle))
            add_to(total, learner.own(work.ranks[vehicle]), work.weights[vehicle])
        state = total
        clock.end()
    write(out, state, clock, cores=1, versions={"peft": peft.__version__, "torch": torch.__version__})


if __name__ == "__main__":
    main(*sys.argv[1:])
