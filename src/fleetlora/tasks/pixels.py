"""Images to a vision backbone's input: the sizes and scaling its ``preprocessor_config.json`` states."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fleetlora.errors import InputError, MissingDependencyError
from fleetlora.limits import IMAGE_PIXELS, too_large
from fleetlora.tasks.backbone_files import read_json

__all__ = ["PixelRules", "decode"]

Size = tuple[int, int]
Triple = tuple[float, float, float]
_LONGEST_EDGE = 8192
_MODES = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class PixelRules:
    """How pixels become a backbone's input: resize, cut the middle out, scale, shift.

    Args:
        size: (height, width) every image is resized to, or None to keep it.
        shortest_edge: Length the shorter edge is resized to instead, the aspect kept, or None.
        crop: (height, width) of the middle part that is kept, or None for all of it.
        mean: Subtracted per channel, after ``scale``.
        std: Divided by per channel.
        scale: Factor from 0..255 to the mean's range.
        mode: Interpolation, as torch names it.
    """

    size: Size | None = None
    shortest_edge: int | None = None
    crop: Size | None = None
    mean: Triple = (0.5, 0.5, 0.5)
    std: Triple = (0.5, 0.5, 0.5)
    scale: float = 1 / 255
    mode: str = "bilinear"

    @classmethod
    def of(cls, backbone: Path) -> PixelRules:
        """Return the rules of a backbone directory; mean and std are 0.5 where it states none.

        Raises:
            InputError: The directory's preprocessor is broken or asks for what is not supported.
        """
        path = backbone / "preprocessor_config.json"
        stated = read_json(path) or read_json(backbone / "processor_config.json").get("image_processor", {})
        if not isinstance(stated, dict):
            raise InputError(
                "image_processor is no object", where=str(path), mend="download the backbone again"
            )
        if not stated:
            edge = read_json(backbone / "config.json").get("image_size")
            return cls(size=None if edge is None else _pair(edge, path))
        return cls._stated(stated, path)

    @classmethod
    def _stated(cls, stated: dict[str, Any], path: Path) -> PixelRules:
        resample = stated.get("resample", 2)
        if not isinstance(resample, int) or resample not in _MODES:
            raise InputError(
                f"resample {resample!r} is not supported",
                where=str(path),
                mend="set it to 2 (bilinear) or 3 (bicubic)",
            )
        size: Any = stated.get("size")
        shortest: int | None = None
        if isinstance(size, dict) and "shortest_edge" in size:
            size, shortest = None, _pair(size["shortest_edge"], path)[0]
        resizes = stated.get("do_resize", True)
        crops = stated.get("do_center_crop", False) and stated.get("crop_size") is not None
        normalises = stated.get("do_normalize", True)
        scale = (
            _number(stated.get("rescale_factor", 1 / 255), path) if stated.get("do_rescale", True) else 1.0
        )
        return cls(
            size=_pair(size, path) if resizes and size is not None else None,
            shortest_edge=shortest if resizes else None,
            crop=_pair(stated["crop_size"], path) if crops else None,
            mean=_triple(stated.get("image_mean", 0.5), path) if normalises else (0.0, 0.0, 0.0),
            std=_triple(stated.get("image_std", 0.5), path, divides=True) if normalises else (1.0, 1.0, 1.0),
            scale=scale,
            mode=_MODES[resample],
        )

    def resized(self, height: int, width: int) -> Size:
        """Return the (height, width) an image of that size is resized to, before the cut."""
        if self.size is not None:
            return self.size
        if self.shortest_edge is None:
            return height, width
        edge = self.shortest_edge
        return (edge, edge * width // height) if height <= width else (edge * height // width, edge)

    def fitted(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return (b, H, W, 3) uint8 images resized and cut, still uint8."""
        target = self.resized(*images.shape[1:3])
        if target != images.shape[1:3]:
            images = _interpolate(images, target, self.mode)
        return _middle(images, self.crop) if self.crop is not None else images

    def normalised(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return (b, 3, h, w) float32 of fitted images (b, h, w, 3) uint8."""
        std = np.asarray(self.std, np.float32)
        factor = np.float32(self.scale) / std
        shift = np.asarray(self.mean, np.float32) / std
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
        planes *= factor[:, None, None]
        planes -= shift[:, None, None]
        return planes


def _pair(size: Any, path: Path) -> Size:
    if isinstance(size, dict):
        size = (size.get("height"), size.get("width"))
    elif isinstance(size, int):
        size = (size, size)
    good = (
        isinstance(size, (list, tuple))
        and len(size) == 2
        and all(isinstance(n, int) and 0 < n <= _LONGEST_EDGE for n in size)
    )
    if not good:
        raise InputError(
            f"cannot use the size {size!r}", where=str(path), mend='give {"height": …, "width": …}'
        )
    return int(size[0]), int(size[1])


def _number(value: Any, path: Path, divides: bool = False) -> float:
    """Return a number that a backbone states, refusing what no image could be scaled by."""
    good = isinstance(value, (int, float)) and abs(value) < 1e6 and not (divides and abs(value) < 1e-6)
    if not good or not math.isfinite(value):
        raise InputError(f"cannot use {str(value)[:60]!r} as a number", where=str(path), mend="correct it")
    return float(value)


def _triple(values: Any, path: Path, divides: bool = False) -> Triple:
    values = [values] * 3 if isinstance(values, (int, float)) else values
    if not isinstance(values, (list, tuple)) or len(values) not in (1, 3):
        raise InputError(f"cannot use {values!r} per channel", where=str(path), mend="give three numbers")
    first, second, third = (
        _number(value, path, divides) for value in (values if len(values) == 3 else [*values] * 3)
    )
    return first, second, third


def _middle(images: npt.NDArray[np.uint8], crop: Size) -> npt.NDArray[np.uint8]:
    """Cut the middle out of (b, H, W, 3); where an image is smaller, black fills the rim."""
    rim = [max(want - have, 0) for want, have in zip(crop, images.shape[1:3], strict=True)]
    if any(rim):
        pads = [(0, 0), *((pad // 2, pad - pad // 2) for pad in rim), (0, 0)]
        images = np.pad(images, pads)
    top, left = ((have - want) // 2 for want, have in zip(crop, images.shape[1:3], strict=True))
    return images[:, top : top + crop[0], left : left + crop[1]]


def _interpolate(images: npt.NDArray[np.uint8], size: Size, mode: str) -> npt.NDArray[np.uint8]:
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("images need torch", mend="pip install 'fleetlora[train]'") from error
    planes = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    smooth = mode != "nearest-exact"
    resized = torch.nn.functional.interpolate(planes, size=size, mode=mode, antialias=smooth)
    return resized.permute(0, 2, 3, 1).numpy()


def decode(
    images: Sequence[Path | bytes], rules: PixelRules, where: Callable[[int], str]
) -> npt.NDArray[np.uint8]:
    """Return encoded images as one (N, h, w, 3) uint8 array, each fitted by the rules.

    Args:
        images: N paths or file contents.
        rules: Sizes; without any, all images must be of one size.
        where: Names the place of an image, for messages.

    Raises:
        InputError: An image cannot be read, or images of several sizes meet a backbone that states none.
        MissingDependencyError: Pillow is missing.
    """
    fitted: list[npt.NDArray[np.uint8]] = []
    for row, image in enumerate(images):
        pixels = rules.fitted(_open(image, where(row))[None])[0]
        if fitted and pixels.shape != fitted[0].shape:
            height, width, _ = fitted[0].shape
            raise InputError(
                f"the image is {pixels.shape[1]}x{pixels.shape[0]}, those before it {width}x{height}",
                where=where(row),
                mend="add a preprocessor_config.json with a size to the backbone, or resize the images",
            )
        fitted.append(pixels)
    return np.stack(fitted)


def _open(image: Path | bytes, where: str) -> npt.NDArray[np.uint8]:
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise MissingDependencyError(
            "image files need Pillow", where=where, mend="pip install 'fleetlora[train]'"
        ) from error
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened,
        ):
            if opened.width * opened.height > IMAGE_PIXELS:
                raise too_large(f"{opened.width}x{opened.height} pixels, at most {IMAGE_PIXELS}", where)
            return np.array(ImageOps.exif_transpose(opened).convert("RGB"))
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise errors of many kinds for a broken file
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "of no known format" if unknown else getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"not a readable image ({reason})", where=where, mend="replace or remove the file"
        ) from error
