"""Faults of the world: when what goes wrong, drawn from the seed before the first round."""

from fleetlora.faults.events import Events
from fleetlora.faults.mail import Mail, Taken, take_once
from fleetlora.faults.schedule import Schedule
from fleetlora.faults.settings import FAULTS, LEVELS, Delivery, FaultSettings
from fleetlora.faults.windows import Windows

__all__ = [
    "FAULTS",
    "LEVELS",
    "Delivery",
    "Events",
    "FaultSettings",
    "Mail",
    "Schedule",
    "Taken",
    "Windows",
    "take_once",
]
