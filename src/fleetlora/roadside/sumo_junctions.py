"""RSUs at the junctions of a SUMO network, by default where a traffic light has power and a mast already."""

from __future__ import annotations

from pathlib import Path

from fleetlora.errors import InputError
from fleetlora.roadside.coverage import cover_table, enough
from fleetlora.roadside.greedy import greedy_choice
from fleetlora.roadside.placement import PLACEMENTS, near_traffic, traffic_map
from fleetlora.roadside.sites import Sites
from fleetlora.settings import Settings, quantity
from fleetlora.traces import Tracks

__all__ = ["SumoJunctions", "junction_sites"]


def junction_sites(path: Path, crs: str, *, lights_only: bool = False) -> Sites:
    """Return the junctions of a network in the metres of ``crs``.

    Args:
        path: A network, or a SUMO configuration that names one.
        crs: Coordinate system of the tracks.
        lights_only: Leave out junctions without a traffic light.

    Raises:
        InputError: It is not a network, it does not lie where the tracks do, or it has no traffic light.
    """
    from fleetlora.roadside.points import to_plane
    from fleetlora.traces.sumo_net import junctions

    found = junctions(path)
    kept = found.signalised | (not lights_only)
    if not kept.any():
        raise InputError(
            "the network has no traffic light",
            where=str(path),
            mend="set lights_only = false for any junction",
        )
    name, x, y = found.name[kept], found.x[kept], found.y[kept]
    if found.crs == "local":
        if crs != "local":
            raise InputError(
                f"the network has no projection, but the tracks lie in {crs}",
                where=str(path),
                mend="place RSUs at junctions of the network that the tracks were simulated on",
            )
    else:
        x, y = to_plane(x, y, crs, str(path))
    return Sites(name, x, y).merged()


@PLACEMENTS.register("sumo-junctions")
class SumoJunctions(Settings):
    """RSUs at junctions of a SUMO network that the fleet drives through."""

    net: str = quantity(..., "file", "SUMO network or configuration, or an asset of one")
    count: int | None = quantity(
        None, "1", "number of RSUs, chosen as by 'greedy'; every junction with traffic if not given", ge=1
    )
    lights_only: bool = quantity(True, "1", "use only junctions with a traffic light")

    def place(self, tracks: Tracks, coverage_m: float) -> Sites:
        """Return the junctions; see :class:`~fleetlora.roadside.Placement`."""
        from fleetlora.assets import resolve

        found = junction_sites(Path(resolve(self.net)), tracks.crs, lights_only=self.lights_only)
        traffic = traffic_map(tracks, coverage_m)
        sites = near_traffic(found, traffic, coverage_m, self.net)
        if self.count is None:
            return sites
        table = cover_table(traffic, enough(sites, self.count), coverage_m)
        return sites.take(greedy_choice(table, self.count))
