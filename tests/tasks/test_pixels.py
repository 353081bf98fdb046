from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fleetlora.errors import InputError
from fleetlora.tasks.pixels import PixelRules, decode
from tests.tasks.makers import images, save_image_backbone

VIT = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.1, 0.2, 0.5],
    "rescale_factor": 1 / 255,
    "resample": 2,
    "size": {"height": 16, "width": 12},
}
CLIP = {**VIT, "size": {"shortest_edge": 20}, "do_center_crop": True, "crop_size": 16, "resample": 3}


def rules_of(folder: Path, preprocessor: dict[str, Any] | None) -> PixelRules:
    return PixelRules.of(save_image_backbone(folder, preprocessor))


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def test_pixels_are_scaled_and_shifted_as_the_preprocessor_says(tmp_path: Path) -> None:
    pixels = images(2, 16, 12)
    found = rules_of(tmp_path, VIT).normalised(pixels)
    by_hand = (pixels / 255 - np.asarray([0.5, 0.4, 0.3])) / np.asarray([0.1, 0.2, 0.5])
    assert found.dtype == np.float32
    assert np.allclose(found, by_hand.transpose(0, 3, 1, 2), atol=1e-5)


def test_without_a_preprocessor_pixels_run_from_minus_one_to_one_at_the_models_size(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, None)
    assert (rules.size, rules.mean, rules.std) == ((32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert rules.normalised(np.asarray([[[[0, 255, 0]]]], np.uint8)).ravel().tolist() == [-1, 1, -1]


@pytest.mark.parametrize(
    ("mode", "resample"), [(2, Image.Resampling.BILINEAR), (3, Image.Resampling.BICUBIC)]
)
@pytest.mark.parametrize("shape", [(40, 30), (9, 7), (16, 50)])
def test_resizing_agrees_with_pillow_within_one_level(
    tmp_path: Path, mode: int, resample: Image.Resampling, shape: tuple[int, int]
) -> None:
    pixels = images(3, *shape)
    found = rules_of(tmp_path, {**VIT, "resample": mode}).fitted(pixels)
    pillow = np.stack([np.asarray(Image.fromarray(one).resize((12, 16), resample)) for one in pixels])
    assert found.shape == (3, 16, 12, 3)
    assert np.abs(found.astype(int) - pillow).max() <= 1


def test_the_shorter_edge_is_resized_and_the_middle_cut_out(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, CLIP)
    assert (rules.resized(40, 60), rules.resized(60, 40)) == ((20, 30), (30, 20))
    pixels = np.zeros((1, 40, 60, 3), np.uint8)
    pixels[:, 15:25, 25:35] = 255  # a white middle
    cut = rules.fitted(pixels)
    assert cut.shape == (1, 16, 16, 3)
    assert cut[0, 8, 8, 0] == 255
    assert cut[0, 0, 0, 0] == 0


def test_an_image_smaller_than_the_cut_gets_a_black_rim(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, {**CLIP, "do_resize": False, "crop_size": {"height": 6, "width": 4}})
    cut = rules.fitted(np.full((1, 3, 8, 3), 9, np.uint8))
    assert cut[0, :, :, 0].tolist() == [[0] * 4, [9] * 4, [9] * 4, [9] * 4, [0] * 4, [0] * 4]


def test_steps_that_are_switched_off_do_nothing(tmp_path: Path) -> None:
    off = {"do_resize": False, "do_rescale": False, "do_normalize": False, "size": 5, "image_mean": [9, 9, 9]}
    rules = rules_of(tmp_path, off)
    pixels = images(1, 4, 4)
    assert np.array_equal(rules.normalised(rules.fitted(pixels)), pixels.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("size", [16, [16, 16], {"height": 16, "width": 16}])
def test_a_size_may_be_written_in_three_ways(tmp_path: Path, size: Any) -> None:
    assert rules_of(tmp_path, {**VIT, "size": size}).size == (16, 16)


@pytest.mark.parametrize(
    "wrong", [{"size": {"longest_edge": 5}}, {"size": "big"}, {"resample": 1}, {"image_mean": [1, 2]}]
)
def test_a_preprocessor_that_cannot_be_followed_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"preprocessor_config\.json"):
        rules_of(tmp_path, {**VIT, **wrong})


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_broken_preprocessor_is_refused(tmp_path: Path, content: str) -> None:
    save_image_backbone(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(content, "utf-8")
    with pytest.raises(InputError, match=r"preprocessor_config\.json"):
        PixelRules.of(tmp_path)


def test_files_and_bytes_of_any_size_and_colour_are_decoded_to_the_backbones(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, VIT)
    grey, colour = images(1, 20, 30)[0, :, :, 0], images(1, 12, 16)[0]
    (tmp_path / "a.png").write_bytes(png(grey))
    palette = io.BytesIO()
    Image.fromarray(colour).quantize(8).save(palette, "GIF")
    found = decode([tmp_path / "a.png", png(colour, "JPEG"), palette.getvalue()], rules, str)
    assert (found.shape, found.dtype) == ((3, 16, 12, 3), np.uint8)
    assert (found[0, :, :, 0] == found[0, :, :, 2]).all()


def test_a_photo_on_its_side_is_turned_upright() -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    Image.fromarray(images(1, 4, 8)[0]).save(stream, "JPEG", exif=exif)
    assert decode([stream.getvalue()], PixelRules(), str).shape == (1, 8, 4, 3)


@pytest.mark.parametrize("content", [b"", b"not an image at all", png(images(1, 40, 40)[0])[:200]])
def test_an_unreadable_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(InputError, match="not a readable image") as caught:
        decode([tmp_path / "bad.png"], PixelRules(), lambda _row: "bad.png")
    assert caught.value.where == "bad.png"


def test_an_absent_image_is_named() -> None:
    with pytest.raises(InputError, match="No such file"):
        decode([Path("nowhere.png")], PixelRules(), str)


def test_images_of_several_sizes_need_a_backbone_that_states_one() -> None:
    mixed = [png(images(1, 8, 8)[0]), png(images(1, 9, 8)[0])]
    with pytest.raises(InputError, match="8x9, those before it 8x8"):
        decode(mixed, PixelRules(), str)
