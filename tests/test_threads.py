"""Limits on threads reach every library that computes."""

from __future__ import annotations

import os
import subprocess
import sys

_WATCH = """
from threadpoolctl import threadpool_info
from fleetlora.threads import one_thread
with one_thread():
    import torch, fleetlora.lora.symmetric
    print(max([torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())]))
"""


def test_one_thread_also_limits_what_is_first_used_inside() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _WATCH],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    assert run.stdout.split() == ["1"]
