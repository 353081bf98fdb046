"""Texts to token numbers, with the backbone's own tokenizer, kept in a cache keyed by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fleetlora.errors import ConfigError, InputError, MissingDependencyError, first_line
from fleetlora.files import replacing
from fleetlora.limits import WEIGHTS_BYTES, check_size
from fleetlora.tasks.backbone_files import read_json

__all__ = ["Tokens", "encode", "load_tokenizer", "tokenise"]

_FORMAT = "fleetlora-tokens-1"
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "config.json",  # names the model type, which picks the tokenizer's class
)


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token numbers of many texts, one after the other.

    Args:
        ids: (T,) int32 tokens of all texts, special tokens included.
        offsets: (N+1,) int64; text i is ``ids[offsets[i]:offsets[i+1]]``.
        pad_id: Token that fills a batch; masked, so its value is without effect.
    """

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    pad_id: int


def tokenise(texts: Sequence[str], backbone: Path, max_tokens: int) -> Tokens:
    """Return the tokens of ``texts``, each cut to ``max_tokens``, from the cache where they were made before.

    Args:
        texts: N texts.
        backbone: Directory with the tokenizer's files.
        max_tokens: Longest row, special tokens included.

    Raises:
        ConfigError: The backbone takes fewer tokens.
        InputError: The directory has no usable tokenizer.
        MissingDependencyError: The ``transformers`` library is missing.
    """
    from fleetlora.assets import derived_dir

    _check_limit(backbone, max_tokens)
    path = derived_dir("tokens") / f"{_content_key(texts, backbone, max_tokens)}.safetensors"
    found = _read(path, len(texts))
    if found is None:
        found = encode(texts, load_tokenizer(backbone), max_tokens)
        _write(path, found)
    return found


def _check_limit(backbone: Path, max_tokens: int) -> None:
    positions = read_json(backbone / "config.json").get("max_position_embeddings")
    stated = read_json(backbone / "tokenizer_config.json").get("model_max_length")
    limits = [int(limit) for limit in (positions, stated) if isinstance(limit, (int, float)) and limit > 0]
    if limits and max_tokens > min(limits):
        raise ConfigError(
            f"{max_tokens} is more than the backbone takes",
            where="encoding.max_tokens",
            mend=f"set it to at most {min(limits)}",
        )


def _content_key(texts: Sequence[str], backbone: Path, max_tokens: int) -> str:
    """Return a name that changes with anything the tokens depend on."""
    digest = hashlib.blake2b(digest_size=20)
    for part in (_FORMAT, _version("transformers"), _version("tokenizers"), str(max_tokens)):
        digest.update(part.encode() + b"\0")
    for name in _TOKENIZER_FILES:
        path = backbone / name
        if path.is_file():
            digest.update(name.encode() + b"\0" + hashlib.blake2b(path.read_bytes()).digest())
    encoded = [text.encode() for text in texts]
    digest.update(np.asarray([len(text) for text in encoded], dtype="<i8").tobytes())
    digest.update(b"".join(encoded))
    return digest.hexdigest()


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"


def load_tokenizer(backbone: Path) -> Any:
    """Return the tokenizer of a backbone's directory.

    Raises:
        InputError: The directory has no usable tokenizer.
        MissingDependencyError: The ``transformers`` library is missing.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingDependencyError(
            "texts need the 'transformers' library",
            where=str(backbone),
            mend="pip install 'fleetlora[train]'",
        ) from error
    mend = "give a backbone directory with tokenizer.json (or vocab.txt) and config.json"
    try:
        found = AutoTokenizer.from_pretrained(str(backbone), trust_remote_code=False, local_files_only=True)
    except Exception as error:  # the library raises whatever its parsers meet in a broken file
        reason = first_line(error)
        raise InputError(f"no usable tokenizer: {reason}", where=str(backbone), mend=mend) from error
    if len(found) <= len(
        set(found.all_special_tokens)
    ):  # what the library makes of a folder without vocabulary
        raise InputError("no usable tokenizer: its vocabulary is empty", where=str(backbone), mend=mend)
    return found


def encode(texts: Sequence[str], tokenizer: Any, max_tokens: int) -> Tokens:
    """Return the tokens of ``texts``, each cut to ``max_tokens``, without a look into the cache.

    Raises:
        ConfigError: ``max_tokens`` leaves no room beside the special tokens.
    """
    if max_tokens <= tokenizer.num_special_tokens_to_add():
        raise ConfigError(
            f"{max_tokens} leaves no room beside the special tokens",
            where="encoding.max_tokens",
            mend=f"set it to at least {tokenizer.num_special_tokens_to_add() + 1}",
        )
    rows = _rows(texts, tokenizer, max_tokens)
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    ids = np.fromiter(chain.from_iterable(rows), np.int32, int(offsets[-1]))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    return Tokens(ids, offsets, int(pad))


def _rows(texts: Sequence[str], tokenizer: Any, max_tokens: int) -> list[list[int]]:
    """Tokenise only as many words of each text as can count; whole texts where that might not be enough.

    A text gives at least one token per word, save for words of nothing but control characters, so its first
    ``2 * max_tokens`` words fill a row, and no word so far behind the cut reaches back into it.
    """
    if tokenizer.truncation_side != "right":
        return _call(list(texts), tokenizer, max_tokens)
    words = 2 * max_tokens
    parts = [text.split(None, words) for text in texts]
    long = [row for row, part in enumerate(parts) if len(part) > words]
    short = list(texts)
    for row in long:
        short[row] = texts[row][: len(texts[row]) - len(parts[row][words])]
    rows = _call(short, tokenizer, max_tokens)
    again = [row for row in long if len(rows[row]) < max_tokens]
    for row, whole in zip(again, _call([texts[row] for row in again], tokenizer, max_tokens), strict=True):
        rows[row] = whole
    return rows


def _call(texts: list[str], tokenizer: Any, max_tokens: int) -> list[list[int]]:
    if not texts:
        return []
    encoded = tokenizer(
        texts,
        truncation=True,
        max_length=max_tokens,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    rows: list[list[int]] = encoded["input_ids"]
    return rows


def _read(path: Path, n_texts: int) -> Tokens | None:
    """Return the tokens of a cache file, None where it is absent, damaged or of another shape."""
    if not path.is_file():
        return None
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        return None
    try:
        check_size(path, WEIGHTS_BYTES)
        arrays = load_file(path)
    except (SafetensorError, OSError, InputError, KeyError, ValueError, TypeError):
        return None
    if not _is_whole(arrays, n_texts):
        return None
    return Tokens(arrays["ids"], arrays["offsets"], int(arrays["pad_id"][0]))


def _is_whole(arrays: dict[str, npt.NDArray[Any]], n_texts: int) -> bool:
    """Return whether arrays are the tokens of so many texts."""
    if set(arrays) != {"ids", "offsets", "pad_id"}:
        return False
    ids, offsets, pad = arrays["ids"], arrays["offsets"], arrays["pad_id"]
    if ids.dtype != np.int32 or ids.ndim != 1 or offsets.dtype != np.int64 or pad.shape != (1,):
        return False
    if offsets.shape != (n_texts + 1,) or pad.dtype.kind != "i":
        return False
    return bool(offsets[0] == 0 and offsets[-1] == len(ids) and (np.diff(offsets) >= 0).all())


def _write(path: Path, tokens: Tokens) -> None:
    from safetensors.numpy import save

    from fleetlora.assets import cache_errors

    data = save({"ids": tokens.ids, "offsets": tokens.offsets, "pad_id": np.asarray([tokens.pad_id])})
    with cache_errors(path), replacing(path) as part:
        part.write_bytes(data)
