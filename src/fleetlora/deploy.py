"""A run's adapter put to use: frozen backbone, low-rank factors and head as one classifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fleetlora.errors import InputError

if TYPE_CHECKING:
    from fleetlora.lora import Adapter, Backbone, HeadInfo
    from fleetlora.tasks.encode import Encoder, Inputs

__all__ = ["Classifier", "load_adapter"]


@dataclass(frozen=True, eq=False)
class Classifier:
    """What :func:`load_adapter` returns. Its answers are those of the model that the run tested.

    The adapter is merged into the backbone during a call and taken out after it, so classifiers may share a
    backbone, one call at a time.

    Attributes:
        classes: Class names; scores have their order.
        backbone: The frozen encoder; ``backbone.to("cuda")`` moves it.
        adapter: The low-rank factors and the head.
    """

    classes: tuple[str, ...]
    backbone: Backbone
    adapter: Adapter
    _encoder: Encoder

    def predict(self, inputs: Inputs) -> list[str]:
        """Return the most likely class of each input.

        Args:
            inputs: N texts; or images, (N, H, W, 3) uint8 or N paths or contents of image files.

        Raises:
            InputError: One cannot be used; names its row.
        """
        return [self.classes[code] for code in self._logits(inputs).argmax(axis=1)]

    def scores(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return how likely each class is, (N, classes); a row sums to 1.

        Args:
            inputs: As :meth:`predict` takes them.

        Raises:
            InputError: One cannot be used; names its row.
        """
        logits = self._logits(inputs)
        likely = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: npt.NDArray[np.float32] = likely / likely.sum(axis=1, keepdims=True)
        return shares

    def _logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        from fleetlora.lora import logits_of

        if not len(inputs):
            return np.empty((0, len(self.classes)), dtype=np.float32)
        return logits_of(self.backbone, self.adapter, self._encoder(inputs))


def load_adapter(directory: str | Path, backbone: str | Path | Backbone | None = None) -> Classifier:
    """Load an adapter that a run left, ready to classify.

    Args:
        directory: ``RUN/adapters/TASK``, or a directory that ``fleetlora export`` wrote.
        backbone: Directory, asset or hub id of the backbone, or the ``backbone`` of another classifier; what
            the run was configured with if not given.

    Raises:
        InputError: It is no adapter, has no head, is damaged, was written before heads had class names, or
            belongs to another backbone, or the backbone is not to be had.
        MissingDependencyError: A library for training is missing.
    """
    from fleetlora.lora import check_fit, load_head_info, load_peft
    from fleetlora.tasks import Encoder

    folder = Path(directory)
    if not any((folder / name).is_file() for name in ("head.safetensors", "adapter_config.json")):
        raise InputError(
            "holds no adapter" if folder.is_dir() else "no such directory",
            where=str(folder),
            mend="give RUN/adapters/TASK, or a directory that `fleetlora export` wrote",
        )
    adapter, info = load_peft(folder), load_head_info(folder)
    encoder = _backbone(backbone, info)
    check_fit(encoder, adapter)
    _check_weights(encoder, info, folder)
    limit = info["max_tokens"] or encoder.most_tokens
    return Classifier(tuple(info["classes"]), encoder, adapter, Encoder(info["kind"], encoder.path, limit))


def _backbone(given: str | Path | Backbone | None, info: HeadInfo) -> Backbone:
    from fleetlora.assets import resolve
    from fleetlora.lora import Backbone

    if isinstance(given, Backbone):
        return given
    name = str(given or info["backbone"])
    try:
        return Backbone.from_path(resolve(name), info["pooling"], name)
    except InputError as error:
        if given is not None:
            raise
        mend = "tell where the backbone is: load_adapter(directory, backbone=…)"
        raise InputError(error.problem, where=error.where, mend=mend) from error


def _check_weights(backbone: Backbone, info: HeadInfo, folder: Path) -> None:
    """Refuse a backbone that only looks like the one an adapter was made for."""
    from fleetlora.lora import weights_sha256

    if backbone.pooling != info["pooling"] or weights_sha256(backbone) != info["backbone_sha256"]:
        raise InputError(
            f"the adapter was made for {info['backbone']}, whose weights or pooling are others",
            where=str(folder),
            mend=f"give that backbone, not {backbone.path}",
        )
