"""``python -m fleetlora``."""

from fleetlora.cli import main

main()
