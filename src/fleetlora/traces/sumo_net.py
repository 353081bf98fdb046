"""What the other rooms want of a SUMO network: where its junctions are, and whether it lies on the Earth."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError, MissingDependencyError
from fleetlora.limits import GZIP_DAMAGE, Unzipped
from fleetlora.traces.fixes import DEGREES, LOCAL
from fleetlora.traces.textfile import find_file, is_gzip

__all__ = ["Junctions", "has_projection", "junctions"]

_LOCATION = re.compile(rb"<location\b[^>]*?projParameter\s*=\s*[\"']([^\"']*)")
_BLOCK = 1 << 16
_MEND = "give a SUMO network, *.net.xml, or a configuration that names one"


@dataclass(frozen=True)
class Junctions:
    """Junctions of a road network: the signalised ones first, then by falling number of incoming lanes.

    Attributes:
        name: (K,) str, id of the traffic light, or of the junction where there is none.
        x: (K,) float64, longitude in degrees if ``crs`` is ``"EPSG:4326"``, else metres, as in the fixes.
        y: (K,) float64, latitude in degrees if ``crs`` is ``"EPSG:4326"``, else metres, as in the fixes.
        signalised: (K,) bool, whether a traffic light controls it.
        lanes: (K,) int64, lanes that lead into it.
        crs: ``"EPSG:4326"`` if the network has a projection, else ``"local"``.
    """

    name: NDArray[np.str_]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    signalised: NDArray[np.bool_]
    lanes: NDArray[np.int64]
    crs: str

    def __len__(self) -> int:
        return len(self.name)


def has_projection(net: Path) -> bool:
    """Return whether a network's metres can be turned into degrees.

    Raises:
        InputError: It is not a SUMO network.
    """
    tail = b""
    try:
        with Unzipped(net) if is_gzip(net) else net.open("rb") as file:
            while block := file.read(_BLOCK):
                found = _LOCATION.search(tail + block)
                if found:
                    return found[1] not in (b"", b"!", b"-")
                tail = (tail + block)[-4096:]
    except GZIP_DAMAGE as error:
        raise InputError(f"damaged gzip file: {error}", where=str(net), mend="restore it") from error
    raise InputError("not a SUMO network: it has no <location>", where=str(net), mend=_MEND)


def junctions(path: str | Path) -> Junctions:
    """Return the junctions of a network, in the coordinates that the fixes of its scenario have.

    A traffic light that controls several nodes of the network is one junction, at their mean. Dead ends are
    left out.

    Args:
        path: A network (``*.net.xml``, may be gzipped), or a configuration (``*.sumocfg``) that names one.

    Raises:
        MissingDependencyError: sumolib is not installed.
        InputError: It is not a network.
    """
    found = find_file(path)
    if found.suffix == ".sumocfg":
        from fleetlora.traces.sumo_inputs import read_scenario

        found = read_scenario(found).net
    geo = has_projection(found)
    net = _read_net(found)
    try:
        return _junctions(net, geo)
    except InputError:
        raise
    except Exception as error:  # sumolib leaves what a damaged network lacks as None, and finds out late
        raise _unreadable(found, error) from error


def _junctions(net: Any, geo: bool) -> Junctions:
    lit = {light.getID(): _controlled(light) for light in net.getTrafficLights()}
    taken = {node.getID() for nodes in lit.values() for node in nodes}
    groups = {name: nodes for name, nodes in lit.items() if nodes}
    signalised = len(groups)
    plain = [node for node in net.getNodes() if node.getID() not in taken and node.getType() != "dead_end"]
    rows = [*groups.items(), *((node.getID(), [node]) for node in plain)]
    names = np.array([name for name, _ in rows], dtype=np.str_)
    places = np.array([np.mean([node.getCoord()[:2] for node in nodes], axis=0) for _, nodes in rows])
    lanes = np.array([sum(map(_lanes, nodes)) for _, nodes in rows], dtype=np.int64)
    lights = np.arange(len(rows)) < signalised
    order = np.lexsort((names, -lanes, ~lights))
    x, y = places.reshape(-1, 2)[order].T
    if geo:
        x, y = net.convertXY2LonLat(x, y)
    return Junctions(names[order], x, y, lights[order], lanes[order], DEGREES if geo else LOCAL)


def _read_net(path: Path) -> Any:
    try:
        import sumolib.net
    except ImportError as error:
        raise MissingDependencyError(
            "sumolib, which reads road networks, is not installed",
            where=str(path),
            mend="pip install 'fleetlora[sumo]'",
        ) from error
    if is_gzip(path):
        _check_unzipped(path)
    try:
        return sumolib.net.readNet(str(path))
    except Exception as error:  # sumolib meets a damaged network with any of a dozen exceptions
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    said = f"{type(error).__name__}: {error}"[:200]
    return InputError(f"not a readable SUMO network ({said})", where=str(path), mend=_MEND)


def _check_unzipped(path: Path) -> None:
    """Refuse a gzip file that is damaged or unpacks to too much; sumolib would unpack it whole."""
    try:
        with Unzipped(path) as file:
            while file.read(_BLOCK):
                pass
    except GZIP_DAMAGE as error:
        raise InputError(f"damaged gzip file: {error}", where=str(path), mend="restore it") from error


def _controlled(light: Any) -> list[Any]:
    """Return the nodes a traffic light controls, each once."""
    nodes = {lane.getEdge().getToNode() for lane, *_ in light.getConnections()}
    return sorted(nodes, key=lambda node: str(node.getID()))


def _lanes(node: Any) -> int:
    return sum(edge.getLaneNumber() for edge in node.getIncoming())
