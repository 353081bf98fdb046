"""From the rows a source read to the examples a backbone takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeGuard

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fleetlora.errors import ConfigError, InputError
from fleetlora.rng import stream
from fleetlora.settings import Settings, quantity
from fleetlora.tasks.backbone_files import backbone_dir
from fleetlora.tasks.classes import class_codes
from fleetlora.tasks.examples import ImageExamples, TaskData, TextExamples
from fleetlora.tasks.pixels import PixelRules, decode
from fleetlora.tasks.raw import RawSplit, RawTask
from fleetlora.tasks.subsets import stratified_rows
from fleetlora.tasks.tokens import Tokens, encode, load_tokenizer, tokenise

__all__ = ["Encoder", "Encoding", "Labelled", "encode_task", "label_task"]

Codes = npt.NDArray[np.int64]

#: Rows without labels: texts, or images as :class:`RawSplit` holds them.
Inputs = Sequence[str] | Sequence[Path | bytes] | npt.NDArray[np.uint8]

_MENDS = {
    "text": "give a list of texts",
    "image": "give (N, height, width, 3) uint8, or a list of paths or contents of image files",
}

_SURROGATE = re.compile("[\ud800-\udfff]")


class Encoding(Settings):
    """How much of a task is used, and in which form."""

    max_tokens: int = quantity(64, "tokens", "longest text, special tokens included; the rest is cut", ge=1)
    max_train: int | None = quantity(
        None, "1", "most training rows, drawn with the classes' shares kept; all if not given", ge=1
    )
    max_test: int | None = quantity(None, "1", "most test rows, drawn likewise; all if not given", ge=1)
    allow_missing_classes: bool = Field(False, description="accept a test set that lacks some of the classes")


def encode_task(
    name: str, raw: RawTask, backbone: str | Path, encoding: Encoding | None = None, *, seed: int = 0
) -> TaskData:
    """Return a task's rows as a backbone takes them.

    Texts are tokenised with the backbone's own tokenizer and the tokens kept in the cache; images are fitted
    to the sizes its ``preprocessor_config.json`` states.

    Args:
        name: The task's name.
        raw: The rows.
        backbone: Directory, asset (``asset:minilm``) or model id of the hub.
        encoding: Lengths and limits; the defaults if not given.
        seed: Seed of the subsets that ``max_train`` and ``max_test`` draw.

    Raises:
        InputError: The rows cannot be used; names the place.
        ConfigError: A limit does not fit the backbone or the data.
        MissingDependencyError: A library for this kind of data is missing.
    """
    encoding = encoding or Encoding()
    classes, sides = _chosen(name, raw, encoding, seed)
    folder = backbone_dir(backbone)
    train, test = (_examples(split, codes, folder, encoding.max_tokens) for split, codes in sides)
    cut = encoding.max_tokens if raw.train.texts is not None else None
    return TaskData(name, classes, train, test, cut)


@dataclass(frozen=True)
class Labelled:
    """A task without its texts or images: all that a partition needs.

    Attributes:
        labels: (N,) int64 class of each training row.
        group: (N,) int64 origin of each training row, or None.
    """

    labels: Codes
    group: Codes | None


def label_task(name: str, raw: RawTask, encoding: Encoding, *, seed: int = 0) -> Labelled:
    """Return the labels of the training rows that :func:`encode_task` would keep.

    Raises:
        InputError: The rows cannot be used; names the place.
        ConfigError: A limit does not fit the data.
    """
    _, ((split, codes), _) = _chosen(name, raw, encoding, seed)
    return Labelled(codes, _groups(split))


def _chosen(
    name: str, raw: RawTask, encoding: Encoding, seed: int
) -> tuple[tuple[str, ...], list[tuple[RawSplit, Codes]]]:
    """Return the classes, and the rows of the training and the test side that are used."""
    classes, train_codes, test_codes = class_codes(raw, allow_missing=encoding.allow_missing_classes)
    sides = []
    for side, split, codes, limit in (
        ("train", raw.train, train_codes, encoding.max_train),
        ("test", raw.test, test_codes, encoding.max_test),
    ):
        if limit is not None and limit < len(np.unique(codes)):
            raise ConfigError(
                f"{limit} rows cannot hold {len(np.unique(codes))} classes",
                where=f"tasks.{name}.encoding.max_{side}",
                mend=f"set it to at least {len(np.unique(codes))}",
            )
        rows = stratified_rows(codes, limit or len(codes), stream(seed, "tasks", name, side))
        sides.append((split.take(rows), codes[rows]))
    return classes, sides


def _groups(split: RawSplit) -> Codes | None:
    if split.group is None:
        return None
    return np.unique(split.group, return_inverse=True)[1].astype(np.int64)


class Encoder:
    """Takes rows without labels as :func:`encode_task` takes a task's, and leaves nothing in the cache.

    Args:
        kind: ``text`` or ``image``.
        backbone: Directory, asset (``asset:minilm``) or model id of the hub.
        max_tokens: Tokens that texts are cut to.

    Raises:
        InputError: The backbone has no usable tokenizer or image preprocessor.
        MissingDependencyError: A library for this kind of data is missing.
    """

    def __init__(self, kind: Literal["text", "image"], backbone: str | Path, max_tokens: int) -> None:
        self.kind, self.folder, self.max_tokens = kind, backbone_dir(backbone), max_tokens
        self._tokenizer = load_tokenizer(self.folder) if kind == "text" else None

    def __call__(self, inputs: Inputs) -> TextExamples | ImageExamples:
        """Return ``inputs`` as examples, all of class 0.

        Args:
            inputs: N texts; or images, (N, H, W, 3) uint8 or N paths or contents of image files.

        Raises:
            InputError: They are of another kind, or one cannot be used; names its row.
        """
        codes = np.zeros(len(inputs), np.int64)
        texts = [one for one in inputs if isinstance(one, str)]
        images = inputs if _is_pixels(inputs) else [one for one in inputs if isinstance(one, (Path, bytes))]
        usable = texts if self.kind == "text" else images
        if len(usable) != len(inputs) or isinstance(inputs, str):
            raise InputError(
                f"these are not the {self.kind}s that the adapter is for", mend=_MENDS[self.kind]
            )
        if self.kind == "text":
            return _texts(RawSplit(codes, texts=texts), codes, self._tokens)
        return _images(RawSplit(codes, images=images), codes, self.folder)

    def _tokens(self, texts: Sequence[str]) -> Tokens:
        return encode(texts, self._tokenizer, self.max_tokens)


def _is_pixels(inputs: Inputs) -> TypeGuard[npt.NDArray[np.uint8]]:
    return isinstance(inputs, np.ndarray) and inputs.dtype == np.uint8 and inputs.shape[3:] == (3,)


def _examples(split: RawSplit, codes: Codes, backbone: Path, max_tokens: int) -> TextExamples | ImageExamples:
    if split.texts is not None:
        return _texts(split, codes, lambda texts: tokenise(texts, backbone, max_tokens))
    return _images(split, codes, backbone)


def _texts(split: RawSplit, codes: Codes, tokens_of: Callable[[Sequence[str]], Tokens]) -> TextExamples:
    _check_texts(split)
    examples = TextExamples(codes, tokens_of(split.texts or ()), _groups(split))
    empty = np.flatnonzero(examples.lengths == 0)
    if len(empty):
        where = split.where(int(empty[0]))
        raise InputError("the backbone sees no token in the text", where=where, mend="remove the row")
    return examples


def _images(split: RawSplit, codes: Codes, backbone: Path) -> ImageExamples:
    rules, group = PixelRules.of(backbone), _groups(split)
    if isinstance(split.images, np.ndarray):
        return ImageExamples(codes, split.images, rules, group)
    pixels = decode(split.images or (), rules, split.where)
    return ImageExamples(codes, pixels, replace(rules, size=None, shortest_edge=None, crop=None), group)


def _check_texts(split: RawSplit) -> None:
    for row, text in enumerate(split.texts or ()):
        if not text.strip():
            raise InputError("the text is empty", where=split.where(row), mend="fill it in or remove the row")
        if not text.isascii() and _SURROGATE.search(text):
            raise InputError(
                "the text has half a surrogate pair",
                where=split.where(row),
                mend="save the file as UTF-8 again",
            )
