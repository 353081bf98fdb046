"""The regret lab: the policies on problems whose best answer is known, and how fast they come to it."""

from fleetlora.regret.contenders import CONTENDERS, Contender
from fleetlora.regret.figure import draw_lab
from fleetlora.regret.instances import INSTANCES, Instance, Piece
from fleetlora.regret.lab import run_lab
from fleetlora.regret.play import Curve, play

__all__ = [
    "CONTENDERS",
    "INSTANCES",
    "Contender",
    "Curve",
    "Instance",
    "Piece",
    "draw_lab",
    "play",
    "run_lab",
]
