"""Work on a Ray cluster: whole runs of a comparison, or the passes of one run. See docs/scaling.md.

Where something is computed is never part of an experiment: neither its configuration nor its digest tells.
"""

from fleetlora.cluster.connect import connected
from fleetlora.cluster.runs import RayRuns
from fleetlora.cluster.shards import sharded

__all__ = ["RayRuns", "connected", "sharded"]
