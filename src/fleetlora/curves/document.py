"""``curve.json``: fitted curves, what they were fitted to, and how far off they are on other runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic does not take typing's before Python 3.12

from fleetlora.console import Progress, Quiet
from fleetlora.curves.fit import HeldOut, fit_task, hold_out
from fleetlora.curves.recipe import base_of
from fleetlora.curves.recorded import read_runs
from fleetlora.curves.shape import TaskCurve
from fleetlora.doctor import versions
from fleetlora.documents import check_shape, read_json, refuse_newer
from fleetlora.errors import InputError
from fleetlora.files import refusing, write_text
from fleetlora.records import Run, open_run

__all__ = ["Curves", "fit_curves", "read_curves"]

#: Number of the layout of ``curve.json``.
SCHEMA = 1


class _Shape(TypedDict):
    """What every ``curve.json`` holds."""

    schema: int
    base: dict[str, Any]
    tasks: dict[str, Any]
    error_points: dict[str, float]


@dataclass(frozen=True)
class Curves:
    """The curves of all tasks of one base.

    Attributes:
        base: What they are curves of, by dotted keys.
        tasks: By name.
        error_points: By task, the mean absolute error of the last test's accuracy on runs held out.
        checksum: SHA-256 of the document, whatever its layout on the page.
        document: The whole document.
    """

    base: Mapping[str, Any]
    tasks: Mapping[str, TaskCurve]
    error_points: Mapping[str, float]
    checksum: str
    document: Mapping[str, Any]


def fit_curves(
    directories: Sequence[Path],
    out: Path,
    leave_out: Collection[str] = (),
    progress: Progress | None = None,
) -> Curves:
    """Fit one curve per task to the runs in ``directories`` and write them to ``out``.

    Args:
        directories: Run directories, or folders that hold them at any depth.
        out: The file.
        leave_out: Methods whose runs are not used.
        progress: Is told how it goes.

    Raises:
        InputError: There are no usable runs, or ``out`` cannot be written.
    """
    progress = progress or Quiet()
    runs = _open_all(directories, leave_out, progress)
    recorded = read_runs(runs)
    progress.begin("fitting tasks, each also with runs held out", len(recorded))
    tasks, errors = {}, {}
    for name, mine in recorded.items():
        whole = fit_task(mine)
        tasks[name], errors[name] = whole.curve, hold_out(mine, whole)
        progress.advance(f"{name}: off by {_mean_points(errors[name]):.1f} points on runs held out")
    document = {
        "schema": SCHEMA,
        "base": base_of(runs[0].config),
        "tasks": {name: asdict(curve) for name, curve in tasks.items()},
        "error_points": {name: _mean_points(found) for name, found in errors.items()},
        "held_out": {name: [_row(one) for one in found] for name, found in errors.items()},
        "runs": [
            {
                "preset": run.identity.preset,
                "method": run.identity.method,
                "seed": run.identity.seed,
                "digest": run.result["digest"],
            }
            for run in runs
        ],
        "host": versions(),
    }
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    with refusing(out, "choose another --out"):
        write_text(out, text)
    return read_curves(out)


def _open_all(directories: Sequence[Path], leave_out: Collection[str], progress: Progress) -> list[Run]:
    """Open every complete run in or below the directories; say which are left out."""
    found: dict[Path, None] = {}
    for directory in directories:
        below = sorted(path.parent for path in directory.rglob("result.json")) if directory.is_dir() else []
        if not below:
            raise InputError(
                "holds no finished run",
                where=str(directory),
                mend="give directories that `run` or `compare` wrote",
            )
        found |= dict.fromkeys(below)
    runs = []
    for path in found:
        run = open_run(path)
        if run.identity.method in leave_out:
            continue
        if run.complete:
            runs.append(run)
        else:
            progress.say(f"left out, not complete: {path}")
    return runs


def _mean_points(errors: Sequence[HeldOut]) -> float:
    return round(100 * float(np.mean([abs(one.error) for one in errors])), 3) if errors else 100.0


def _row(one: HeldOut) -> dict[str, Any]:
    return {
        "method": one.method,
        "seed": one.seed,
        "left_out": one.kind,
        "recorded": round(one.recorded, 5),
        "predicted": round(one.predicted, 5),
    }


def read_curves(path: Path) -> Curves:
    """Read what :func:`fit_curves` wrote.

    Raises:
        InputError: The file cannot be read, is no curve, or is of a newer layout.
    """
    mend = "fit it anew with `fleetlora fit-curve`"
    document = read_json(path, mend)
    if not isinstance(document, dict) or not {"schema", "base", "tasks", "error_points"} <= set(document):
        raise InputError("is no curve", where=str(path), mend=mend)
    refuse_newer(document["schema"], SCHEMA, path)
    check_shape(_Shape, document, path, mend)
    try:
        tasks = TypeAdapter(dict[str, TaskCurve]).validate_python(document["tasks"])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])[:80]
        raise InputError(f"damaged: tasks.{place}: {first['msg']}", where=str(path), mend=mend) from None
    checksum = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return Curves(document["base"], tasks, document["error_points"], checksum, document)
