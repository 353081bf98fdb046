"""Adapters out of a run: PEFT directories that any PEFT user can load."""

from __future__ import annotations

from pathlib import Path

from fleetlora.errors import InputError
from fleetlora.records import open_run
from fleetlora.registry import suggest

__all__ = ["export_adapters"]


def export_adapters(
    run: str | Path, out: str | Path, *, task: str | None = None, overwrite: bool = False
) -> list[Path]:
    """Copy the adapters of a run to ``out/<task>``, each read and checked before anything is written.

    Args:
        run: A run directory.
        out: Where to.
        task: One task; all if not given.
        overwrite: Replace adapters that are already there; other files stay.

    Returns:
        The directories written.

    Raises:
        InputError: No such task, a damaged adapter, or something is there already or cannot be written.
    """
    from fleetlora.lora import copy_peft, load_peft

    opened = open_run(run)
    names = list(opened.result["tasks"])
    if task is not None and task not in names:
        raise InputError(f"no task {task!r} in this run", where=str(run), mend=suggest(task, names))
    pairs = [(opened.adapter_dir(name), Path(out) / name) for name in ([task] if task else names)]
    for source, target in pairs:
        load_peft(source)
        if target.exists() and not overwrite:
            raise InputError(
                "already exists", where=str(target), mend="choose another directory, or --overwrite"
            )
    for source, target in pairs:
        copy_peft(source, target)
    return [target for _, target in pairs]
