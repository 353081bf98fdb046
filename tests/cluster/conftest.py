"""A real Ray cluster of two cores in this process's care, small enough for a small /dev/shm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Ray, connected to a cluster of this machine; it ends with the session."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'fleetlora[ray]'")
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_AUTH_MODE", "disabled")  # else Ray leaves a token in the home of whoever tests
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("RAY_worker_niceness", "0")  # beside other tests, nicer workers would wait for ever
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("workers")))  # killed workers leave their folders
    patch.setenv("RAY_TMPDIR", "/tmp")  # Ray's sockets need a short path
    for last in (False, True):
        try:
            ray.init(
                num_cpus=2,
                object_store_memory=80 * 2**20,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="error",
                _node_ip_address="127.0.0.1",
            )
            break
        except Exception:  # Ray gives its own processes 15 s to start, which a busy machine may not keep
            ray.shutdown()
            if last:
                raise
    yield ray
    ray.shutdown()
    patch.undo()


def workers(title: str) -> list[int]:
    """Return the processes of this cluster whose title has ``title`` in it."""
    import psutil

    mine = psutil.Process().children(recursive=True)
    return [process.pid for process in mine if title in " ".join(process.cmdline())]
