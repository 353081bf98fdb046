"""Joining a cluster: what is refused, within which time, and in which words."""

from __future__ import annotations

import re
import socket
import sys
import time
from typing import Any

import pytest

from fleetlora.cluster import connect
from fleetlora.cluster.connect import connected, require_same, translated
from fleetlora.errors import ConfigError, FleetLoraError, InputError, MissingDependencyError


@pytest.fixture
def not_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code under test believe that it has joined no cluster yet."""
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"fleetlora\[ray\]"), connected(None):
        pass


@pytest.mark.parametrize("address", ["10.0.0.1", "ray://10.0.0.1:10001", "host:", ":6379", "host:99999"])
def test_what_is_no_address_is_said(address: str, not_connected: None) -> None:
    with pytest.raises(ConfigError, match="not host:port"), connected(address):
        pass


def test_an_address_where_nothing_listens_is_refused_at_once(not_connected: None) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        began = time.monotonic()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        match = r"does not answer within 10 s[^→]*→ start the cluster"
        with pytest.raises(InputError, match=match), connected(address):
            pass
    assert time.monotonic() - began < 10


def test_another_version_is_refused_naming_both() -> None:
    with pytest.raises(InputError, match=r"10.0.0.2: has torch 2.6.0, this machine has 2.13.0") as caught:
        require_same({"torch": "2.13.0"}, {"torch": "2.6.0"}, "10.0.0.2")
    assert "pip install torch==2.13.0" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "version"), [("fleetlora", "9.9"), ("python", "2.7"), ("torch", "0.1")])
def test_a_machine_of_the_cluster_with_another_version_is_refused(
    cluster: Any, monkeypatch: pytest.MonkeyPatch, name: str, version: str
) -> None:
    real = connect.here()
    monkeypatch.setattr(connect, "here", lambda: {**real, name: version})
    match = re.escape(f"has {name} {real[name]}, this machine has {version}")
    with pytest.raises(InputError, match=match), connected(None):
        pass


def test_running_out_of_memory_is_said_with_the_mend() -> None:
    ray = pytest.importorskip("ray")
    with (
        pytest.raises(FleetLoraError, match=r"ran out of memory\n.*--jobs"),
        translated(ray, "random, seed 0"),
    ):
        raise ray.exceptions.OutOfMemoryError("killed by the memory monitor")
    with pytest.raises(FleetLoraError, match="died again and again"), translated(ray, "random, seed 0"):
        raise ray.exceptions.WorkerCrashedError
