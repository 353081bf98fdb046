"""Small tables for the tests of this room."""

from __future__ import annotations

from typing import Any

import numpy as np


def round_rows(**changes: Any) -> dict[str, Any]:
    """Two rounds of two tasks, a and b; round 1 is cut short in task b."""
    return {
        "round": np.array([0, 0, 1, 1]),
        "task": ["a", "b", "a", "b"],
        "t_start_s": np.array([0.0, 0.0, 30.0, 30.0]),
        "t_end_s": np.array([20.0, 30.0, 70.0, 40.0]),
        "latency_s": np.array([20.0, 30.0, 40.0, 10.0]),
        "download_s": np.array([1.0, 1.0, 1.0, np.nan]),
        "compute_s": np.array([5.0, 5.0, 5.0, np.nan]),
        "upload_s": np.array([2.0, 2.0, 2.0, np.nan]),
        "admitted": 4,
        "skipped": 1,
        "started": 3,
        "delivered": np.array([2, 2, 2, 0]),
        "early": 0,
        "handed_off": 0,
        "abandoned": 0,
        "lost": np.array([1, 1, 1, 3]),
        "mean_rank": np.array([4.0, 6.0, 8.0, np.nan]),
        "energy_j": np.array([3.0, 4.0, 5.0, 1.0]),
        "energy_rsu_j": 0.5,
        "spent_j": np.array([3.0, 4.0, 8.0, 5.0]),
        "budget_j": np.array([10.0, np.inf, 10.0, np.inf]),
        "price": 0.1,
        "synced": np.array([False, False, True, True]),
        "accuracy": np.array([0.5, 0.6, 0.7, np.nan]),
        "loss": np.array([1.0, 1.0, 0.5, np.nan]),
        "accuracy_local": np.array([0.4, 0.5, 0.6, np.nan]),
    } | changes


def update_rows(**changes: Any) -> dict[str, Any]:
    """Five updates, one of each outcome."""
    return {
        "round": 0,
        "task": "a",
        "rsu": 1,
        "vehicle": np.arange(5),
        "device": "orin",
        "rank": np.array([1, 2, 4, 8, 16]),
        "steps": 6,
        "samples": 40,
        "t_start_s": 0.0,
        "t_end_s": np.array([10.0, 11.0, 12.0, 13.0, 14.0]),
        "download_s": 1.0,
        "compute_s": 5.0,
        "upload_s": 2.0,
        "bytes_down": 10_000_000_000,
        "bytes_up": 5_000,
        "joules": 12.5,
        "outcome": ["delivered", "early", "handed_off", "abandoned", "lost"],
        "rsu_to": np.array([-1, -1, 2, -1, -1]),
        "reward": np.array([0.5, 0.4, 0.3, 0.0, np.nan]),
        "loss_before": 2.0,
        "loss_after": np.nan,
        "accuracy_local": 0.5,
        "residence_predicted_s": np.array([np.inf, 1.0, 2.0, 3.0, 4.0]),
        "residence_true_s": 9.0,
    } | changes


def contact_rows() -> dict[str, Any]:
    """Vehicle 3 goes from RSU 0 to RSU 1."""
    return {
        "vehicle": np.array([3, 3]),
        "rsu": np.array([0, 1]),
        "t_in_s": np.array([0.0, 5.0]),
        "t_out_s": np.array([5.0, 9.0]),
        "handoff": np.array([False, True]),
        "end": np.array([1, 2], dtype=np.int8),
    }


def ledger_rows() -> dict[str, Any]:
    """Eight joules on task a, five on task b, half a joule of an RSU."""
    return {
        "round": 0,
        "t_s": 1.0,
        "vehicle": np.array([0, 1, 2, -1]),
        "rsu": 0,
        "task": ["a", "a", "b", "b"],
        "phase": ["compute", "upload", "compute", "rsu"],
        "outcome": ["delivered", "delivered", "lost", "none"],
        "joules": np.array([3.0, 5.0, 5.0, 0.5]),
    }
