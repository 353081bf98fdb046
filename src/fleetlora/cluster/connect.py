"""Joining a cluster, within stated seconds, and refusing machines that would compute something else."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fleetlora.errors import ConfigError, FleetLoraError, InputError, MissingDependencyError

__all__ = ["connected", "here", "ray_module", "require_same", "translated"]

#: Seconds an address has to answer, and a machine of the cluster to tell its versions.
ANSWER_S, PROBE_S = 10.0, 60.0

#: What Ray reads, unless the user has set it: nobody's runs are reported to anybody; something that listens
#: but is no cluster is given up after 5 s for each of three steps, not 30; the first error alone is shown.
_DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_py_gcs_connect_timeout_s": "5",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
}

#: How often Ray tries to join, by its own name; it would try twenty times.
_TRIES = "RAY_gcs_server_port_wait_time_s"

#: What must be the same everywhere for results to be the same.
_COMPUTING = ("fleetlora", "numpy", "torch", "transformers", "peft")

Say = Callable[[str], None]


def ray_module() -> Any:
    """Return Ray.

    Raises:
        MissingDependencyError: It is not installed; names the extra.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError(
            "Ray is not installed", where="--executor ray", mend="pip install 'fleetlora[ray]'"
        ) from error
    return ray


@contextmanager
def connected(address: str | None, say: Say = lambda line: None) -> Iterator[Any]:
    """Join a cluster for the length of the block, and yield Ray.

    Args:
        address: ``host:port`` of the cluster's head. If not given: ``RAY_ADDRESS``, else the cluster that
            runs on this machine, else one of this machine's cores that lives as long as the block. A
            connection that the caller already has is used, and left open.
        say: Is told where the work goes.

    Raises:
        InputError: The address does not answer, or a machine has other versions; names them.
        MissingDependencyError: Ray is not installed.
    """
    ray = ray_module()
    mine = not ray.is_initialized()
    if mine:
        _join(ray, address)
    try:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        _check_machines(ray, nodes)
        cores = int(ray.cluster_resources().get("CPU", 0))
        say(f"on a Ray cluster of {len(nodes)} machine{'s' * (len(nodes) > 1)} with {cores} cores")
        yield ray
    finally:
        if mine:
            ray.shutdown()


def _join(ray: Any, address: str | None) -> None:
    where = address or os.environ.get("RAY_ADDRESS") or None
    try:
        with _answering(where):
            ray.init(address=where, log_to_driver=False, logging_level="error")
    except FleetLoraError:
        raise
    except Exception as error:  # Ray has no error of its own for it
        first = str(error).strip().splitlines()
        raise InputError(
            f"the cluster cannot be joined: {first[0] if first else type(error).__name__}",
            where=f"--address {where}" if where else "--executor ray",
            mend=f"join it with this machine first, of the same Ray and Python: `ray start --address={where}`"
            if where
            else "start one with `ray start --head`, when this machine is less busy",
        ) from error


@contextmanager
def _answering(address: str | None) -> Iterator[None]:
    """Knock at an address, and let Ray try only once inside the block: it would try for minutes."""
    if address in (None, "auto", "local"):
        yield
        return
    _require_answer(str(address))
    before = os.environ.get(_TRIES)
    os.environ.setdefault(_TRIES, "1")
    try:
        yield
    finally:
        if before is None:
            del os.environ[_TRIES]


def _require_answer(address: str) -> None:
    where = f"--address {address}"
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(
            "is not host:port",
            where=where,
            mend="give what `ray start --head` printed, such as 10.0.0.1:6379",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except OSError as error:
        raise InputError(
            f"does not answer within {ANSWER_S:g} s ({error.strerror or error})",
            where=where,
            mend="start the cluster's head with `ray start --head --port=PORT`, and let the port through",
        ) from None


def here() -> dict[str, str]:
    """Return the versions that must agree, of this process."""
    return _probe()(_COMPUTING)


def _probe() -> Callable[[tuple[str, ...]], dict[str, str]]:
    """Return a function that travels as a whole, so that it also runs where fleetlora is absent."""

    def versions(names: tuple[str, ...]) -> dict[str, str]:
        import platform
        from importlib import metadata

        found = {"python": ".".join(platform.python_version_tuple()[:2])}
        for name in names:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = "none"
        return found

    return versions


def require_same(mine: Mapping[str, str], theirs: Mapping[str, str], machine: str) -> None:
    """Check that a machine of the cluster would compute what this one does.

    Raises:
        InputError: It has another version of something; names both.
    """
    for name, version in mine.items():
        if theirs.get(name) != version:
            mend = f"python -m pip install {name}=={version}" if name != "python" else f"use Python {version}"
            raise InputError(
                f"has {name} {theirs.get(name, 'none')}, this machine has {version}; results would differ",
                where=f"the cluster's machine {machine}",
                mend=f"on that machine, before `ray start`: {mend}",
            )


def _check_machines(ray: Any, nodes: list[Mapping[str, Any]]) -> None:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    mine, probe = here(), ray.remote(num_cpus=0, max_retries=1)(_probe())
    asked = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[probe.options(scheduling_strategy=there).remote(_COMPUTING)] = node["NodeManagerAddress"]
    ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=PROBE_S)
    if late:
        raise InputError(
            f"does not start a worker within {PROBE_S:g} s",
            where=f"the cluster's machine {asked[late[0]]}",
            mend="look at `ray status`, or start Ray there again",
        )
    for reference in ready:
        with translated(ray, f"the cluster's machine {asked[reference]}"):
            theirs = ray.get(reference)
        require_same(mine, theirs, asked[reference])


@contextmanager
def translated(ray: Any, where: str) -> Iterator[None]:
    """Turn what Ray raises inside the block into an error for people; fleetlora's own come through.

    Raises:
        FleetLoraError: A worker died too often, was out of memory, or failed.
    """
    errors = ray.exceptions
    try:
        yield
    except errors.OutOfMemoryError as error:
        raise _starved(where) from error
    except errors.RayTaskError as error:
        if isinstance(error.cause, FleetLoraError):
            raise error.cause from None
        if isinstance(error.cause, MemoryError):
            raise _starved(where) from error
        raise FleetLoraError(
            f"failed on {platform.node()}'s cluster: {error.cause!r}", where=where
        ) from error
    except errors.RayError as error:
        raise FleetLoraError(
            f"its worker died again and again ({type(error).__name__})",
            where=where,
            mend="see `dmesg` and /tmp/ray/session_latest/logs on the workers; if memory ran out, give fewer"
            " --jobs, or a machine with more of it; what is done is kept",
        ) from error


def _starved(where: str) -> FleetLoraError:
    return FleetLoraError(
        "the machine that computed it ran out of memory",
        where=where,
        mend="give fewer --jobs, lower backbone.cache_mib, or add memory; what is done is kept",
    )
