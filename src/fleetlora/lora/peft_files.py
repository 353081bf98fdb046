"""Adapters on disk, as PEFT reads and writes them, with the head beside.

A directory holds ``adapter_config.json`` and ``adapter_model.safetensors``, which
``PeftModel.from_pretrained(AutoModel.from_pretrained(base), directory)`` loads, and ``head.safetensors``.
A head alone (rank 0) is ``head.safetensors`` only. PEFT knows nothing of the head; the notes in its metadata
say how features are made for it and which classes its rows stand for.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fleetlora.documents import check_shape, parse_json, read_json
from fleetlora.errors import InputError
from fleetlora.files import refusing, replacing
from fleetlora.limits import WEIGHTS_BYTES, check_size
from fleetlora.lora.adapter import Adapter
from fleetlora.lora.notes import HeadInfo, checksum

__all__ = ["copy_peft", "load_head_info", "load_peft", "save_peft"]

CONFIG, FACTORS, HEAD = "adapter_config.json", "adapter_model.safetensors", "head.safetensors"
WITHIN = "base_model.model."

#: Under which name a file notes the checksum of its tensors; PEFT's own files have none.
_SUM = "fleetlora.sha256"

#: Under which name a head's file holds its :class:`HeadInfo`, as JSON.
_INFO = "fleetlora.head"


def save_peft(
    adapter: Adapter, directory: str | Path, base_model: str | Path, info: HeadInfo | None = None
) -> None:
    """Write an adapter so that PEFT can load it.

    Each file is written aside, forced to the disk and then put in its place.

    Args:
        adapter: The adapter.
        directory: Where to; made if absent.
        base_model: Path or hub id of the backbone, noted for whoever loads it.
        info: Notes kept with the head.
    """
    folder = Path(directory)
    head = {name: value.float().contiguous() for name, value in adapter.head.items()}
    said = {} if info is None else {_INFO: json.dumps(info)}
    notes = {"format": "pt", "alpha": repr(adapter.alpha), **said, _SUM: checksum(head, said.get(_INFO, ""))}
    _put(folder / HEAD, save(head, metadata=notes))
    if adapter.rank == 0:
        return
    flat: dict[str, Tensor] = {}
    for name in adapter.names:
        flat[f"{WITHIN}{name}.lora_A.weight"] = adapter.A[name].float().contiguous()
        flat[f"{WITHIN}{name}.lora_B.weight"] = adapter.B[name].float().contiguous()
    _put(folder / FACTORS, save(flat, metadata={"format": "pt", _SUM: checksum(flat)}))
    config = {
        "peft_type": "LORA",
        "task_type": "FEATURE_EXTRACTION",
        "base_model_name_or_path": str(base_model),
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "target_modules": list(adapter.names),
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "inference_mode": True,
    }
    _put(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())


def copy_peft(source: str | Path, target: str | Path) -> None:
    """Copy the files of an adapter, in place of those of any other adapter that is there.

    The head of the other goes first and the new one comes last, so that copying that is interrupted leaves
    no adapter rather than the parts of two. Other files stay.

    Raises:
        InputError: Both are the same directory, or it cannot be written to.
    """
    there, here = Path(source), Path(target)
    if here.exists() and here.samefile(there):
        raise InputError("is the adapter itself", where=str(here), mend="choose another directory")
    with refusing(here, "choose another directory"):
        for name in (HEAD, CONFIG, FACTORS):
            (here / name).unlink(missing_ok=True)
        for name in (FACTORS, CONFIG, HEAD):
            if (there / name).exists():
                with replacing(here / name, durable=True) as part:
                    shutil.copyfile(there / name, part)


def load_peft(directory: str | Path) -> Adapter:
    """Read an adapter that :func:`save_peft` or PEFT wrote, with its head.

    Raises:
        InputError: A file is absent, pickled or damaged, or its tensors do not make an adapter.
    """
    folder = Path(directory)
    head, notes = _read(folder / HEAD, "save the classification head (weight, bias) there")
    _check_head(head, folder / HEAD)
    if not (folder / CONFIG).exists() and not any(folder.glob("adapter_model.*")):
        return Adapter(0, _number(notes.get("alpha", "1"), folder / HEAD), {}, {}, head)
    config = _config(folder / CONFIG)
    if not (folder / FACTORS).exists() and any(folder.glob("adapter_model.*")):
        raise InputError(
            "holds pickled factors only, which can run code when they are read",
            where=str(folder),
            mend="save the adapter with PEFT's save_pretrained, which writes adapter_model.safetensors",
        )
    flat, _ = _read(folder / FACTORS, "save the adapter with PEFT's save_pretrained")
    A, B = _pairs(flat, int(config["r"]), folder / FACTORS)
    if _number(notes.get("alpha", repr(config["lora_alpha"])), folder / HEAD) != float(config["lora_alpha"]):
        raise InputError(
            f"lora_alpha is {config['lora_alpha']}, the head was saved with {notes['alpha']}",
            where=str(folder / CONFIG),
            mend="restore the files; they do not belong together, or one is damaged",
        )
    return Adapter(int(config["r"]), float(config["lora_alpha"]), A, B, head)


def load_head_info(directory: str | Path) -> HeadInfo:
    """Read the notes that :func:`save_peft` kept with a head.

    Raises:
        InputError: There is no head, it is damaged, or it holds no notes or none that fit it.
    """
    path = Path(directory) / HEAD
    head, notes = _read(path, "restore the file")
    if _INFO not in notes:
        raise InputError(
            "the head does not say which classes its rows stand for",
            where=str(path),
            mend="an earlier fleetlora wrote it: run the experiment again",
        )
    info = parse_json(notes[_INFO], str(path), "restore the file")
    check_shape(HeadInfo, info, path, "restore the file")
    if len(info["classes"]) != len(head["weight"]):
        problem = f"damaged: {len(head['weight'])} rows, and names of {len(info['classes'])} classes"
        raise InputError(problem, where=str(path), mend="restore the file")
    return cast(HeadInfo, info)


def _put(path: Path, content: bytes) -> None:
    with replacing(path, durable=True) as part:
        part.write_bytes(content)


def _read(path: Path, mend: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise InputError("no such file", where=str(path), mend=mend)
    check_size(path, WEIGHTS_BYTES)
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
            notes = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"not a readable safetensors file: {error}", where=str(path), mend="save it again"
        ) from error
    if _SUM in notes and notes[_SUM] != checksum(tensors, notes.get(_INFO, "")):
        raise InputError("damaged: its checksum is wrong", where=str(path), mend="restore the file")
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"tensor {name} holds values that are not finite", where=str(path))
    return tensors, notes


def _check_head(head: dict[str, Tensor], path: Path) -> None:
    if (
        set(head) != {"weight", "bias"}
        or head["weight"].dim() != 2
        or head["bias"].shape != head["weight"].shape[:1]
    ):
        shapes = {name: tuple(value.shape) for name, value in head.items()}
        raise InputError(
            f"a head is weight (classes, width) and bias (classes); this holds {shapes}", where=str(path)
        )


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError("no such file", where=str(path), mend="save the adapter with PEFT's save_pretrained")
    config = read_json(path, "save the adapter with PEFT's save_pretrained")
    try:
        fit = config["peft_type"] == "LORA" and int(config["r"]) >= 1 and float(config["lora_alpha"]) > 0
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"not a PEFT configuration: {error!r}", where=str(path)) from error
    odd = [key for key in ("use_rslora", "use_dora", "rank_pattern", "alpha_pattern") if config.get(key)]
    if not fit or odd or config.get("bias", "none") != "none":
        what = ", ".join(odd) or "its peft_type, r, lora_alpha or bias"
        raise InputError(
            f"not a plain LoRA configuration ({what})",
            where=str(path),
            mend="use LoRA with one rank and alpha",
        )
    return dict(config)


def _pairs(flat: dict[str, Tensor], rank: int, path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    A: dict[str, Tensor] = {}
    B: dict[str, Tensor] = {}
    for key, value in flat.items():
        for suffix, into in ((".lora_A.weight", A), (".lora_B.weight", B)):
            if key.startswith(WITHIN) and key.endswith(suffix):
                into[key[len(WITHIN) : -len(suffix)]] = value
                break
        else:
            raise InputError(f"unexpected tensor {key}", where=str(path), mend="save a plain LoRA adapter")
    if not A or set(A) != set(B):
        odd = sorted(set(A) ^ set(B))
        raise InputError(f"factors are missing: {odd[0] if odd else 'there are none'}", where=str(path))
    for name in A:
        if A[name].dim() != 2 or B[name].dim() != 2 or len(A[name]) != rank or B[name].shape[1] != rank:
            shapes = f"A {tuple(A[name].shape)}, B {tuple(B[name].shape)}"
            raise InputError(f"{name}: {shapes} are not factors of rank {rank}", where=str(path))
    return dict(sorted(A.items())), dict(sorted(B.items()))


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"alpha is {text!r}", where=str(path)) from error
