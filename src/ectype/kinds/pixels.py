"""Pillow pictures ↔ arrays: orientation, palettes, alpha, 1 and 16 bits, size."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from ectype.errors import DataError

Array = np.ndarray[Any, Any]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_TURNED = (5, 6, 7, 8)
"""EXIF orientations whose width is the height."""


def channels_of(image: Pillow.Image) -> int:
    """1 (grey), 3 (colour) or 4 (with alpha), from the header; raises DataError for float pixels."""
    if image.mode == "F":
        raise DataError("floating-point pixels have no known white: save them as 16-bit or as .npy")
    if image.mode in _ALPHA or "transparency" in image.info:
        return 4
    return 1 if image.mode == "1" or image.mode[0] in "LI" and image.mode != "LAB" else 3


def deep(image: Pillow.Image) -> bool:
    """Whether it has 16-bit grey levels."""
    return image.mode.startswith("I")


def upright_size(image: Pillow.Image) -> tuple[int, int]:
    """Height and width as it is to be looked at, without decoding it."""
    width, height = image.size
    if image.format == "PNG" and "exif" not in image.info:
        return height, width  # asking further would decode the whole file
    if image.format == "TIFF":
        return height, width  # Pillow has turned it already
    return (width, height) if image.getexif().get(0x0112) in _TURNED else (height, width)


def decode(image: Pillow.Image, channels: int, size: tuple[int, int], sixteen: bool = False) -> Array:
    """A picture as (C, H, W) levels, uint8 or (sixteen) uint16.

    Turned upright by its EXIF orientation, alpha laid over white where the target has none, scaled
    (Lanczos) to cover the size and cut around the centre.
    """
    image.draft(None, (2 * max(size), 2 * max(size)))  # lets JPEG decode at a fraction of its size
    image = ImageOps.exif_transpose(image)
    if deep(image):
        grey: Array = np.clip(np.asarray(image), 0, 65535).astype(np.float32)
        fitted = _fit(Pillow.fromarray(grey), size)
        levels: Array = np.clip(np.rint(np.asarray(fitted)), 0, 65535).astype(np.uint16)
        if sixteen and channels == 1:
            return levels[None]
        image = Pillow.fromarray(((levels.astype(np.uint32) + 128) // 257).astype(np.uint8))
    array = np.asarray(_fit(_convert(image, channels), size))
    array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return array.astype(np.uint16) * 257 if sixteen else array


def _convert(image: Pillow.Image, channels: int) -> Pillow.Image:
    mode = MODES[channels]
    if image.mode == mode and "transparency" not in image.info:
        return image
    if channels < 4 and channels_of(image) == 4:
        rgba = image.convert("RGBA")
        image = Pillow.alpha_composite(Pillow.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert(mode)


def _fit(image: Pillow.Image, size: tuple[int, int]) -> Pillow.Image:
    target = (size[1], size[0])
    return image if image.size == target else ImageOps.fit(image, target, Pillow.Resampling.LANCZOS)


def to_picture(levels: Array, white: int) -> Pillow.Image:
    """Levels (C, H, W) from 0 to `white` as a Pillow picture: 16-bit grey, or 8 bits per channel."""
    if white > 255 and levels.shape[0] == 1:
        return Pillow.fromarray((levels[0].astype(np.uint32) * 65535 // white).astype(np.uint16))
    eight = levels if white == 255 else (levels.astype(np.uint32) * 255 + white // 2) // white
    bytes_ = np.ascontiguousarray(eight.astype(np.uint8).transpose(1, 2, 0))
    return Pillow.fromarray(bytes_[..., 0] if bytes_.shape[2] == 1 else bytes_)


def on_white(image: Pillow.Image) -> Pillow.Image:
    """The picture in 8-bit RGB for showing; what is transparent becomes white."""
    if deep(image):
        image = Pillow.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return _convert(image, 3)
