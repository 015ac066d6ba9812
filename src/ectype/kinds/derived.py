"""A condition that is made from the picture itself, so that nothing has to be prepared.

    known     the picture where it is known, 0 in the hole, and as a last channel where that is
    low       reduced by 4 in height and width (means of areas); low2, low8, … by another factor
    grey      without colour
    outline   the strength of edges, dark on white as a drawing is
    noisy     with normal noise of a strength that is drawn for each item, 0 to 0.3

While training it is derived from the very x of the batch; afterwards a user's own picture is packed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, final

import torch
from PIL import Image as Pillow
from torch import Tensor
from torch.nn import functional as F

from ectype.errors import DataError, ModelFileError, did_you_mean
from ectype.kinds import Array, Kind
from ectype.kinds.holes import drawn
from ectype.kinds.image import Image
from ectype.noise import Noise, normal, uniform
from ectype.shapes import Grid

WAYS = ("known", "low", "grey", "outline", "noisy")
STRONGEST = 0.3
"""The standard deviation of the strongest noise, x being in [0, 1]."""

_LOW = re.compile(r"low([1-9]\d{0,2})?")
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow makes grey


def is_way(name: str) -> bool:
    """Whether a condition of that name is made from the picture."""
    return name in WAYS or _LOW.fullmatch(name) is not None


@final
class Derived(Kind):
    """A condition made from the picture itself: a part of it, fewer pixels, no colour, edges, noise.

    Arguments:
        image: the pictures it is made from.
        how: known, low (or low2, low8, …), grey, outline or noisy.
    """

    name = "derived"

    def __init__(self, image: Image, how: str) -> None:
        if not is_way(how):
            raise DataError(f"nothing called '{how}' is made from a picture{did_you_mean(how, WAYS)}")
        low = _LOW.fullmatch(how)
        self.image = image
        self.how = how
        self.way = "low" if low else how
        factor = int(low[1] or 4) if low else 1
        self.size = (-(-image.size[0] // factor), -(-image.size[1] // factor))
        if low and (factor < 2 or max(image.size) < 2):
            raise DataError(f"'{how}' leaves pictures of {image.size[0]}x{image.size[1]} as they are")
        known = self.way == "known"
        channels = 4 if known else 1 if self.way in ("grey", "outline") else image.channels
        self.picture = Image(channels, self.size, bits=16 if image.depth > 8 and channels == 1 else 8)
        """What a user's picture is read as; `of` makes the condition of its x."""

    @property
    def shape(self) -> Grid:
        return Grid(self.image.channels + 1 if self.way == "known" else self.picture.channels, self.size)

    @property
    def network(self) -> str:
        return "conv" if max(self.size) >= 8 else "mlp"

    @property
    def likelihood(self) -> str:
        return "normal"

    def derive(self, x: Tensor, noise: Noise = None) -> Tensor:
        """The condition (B, *form) of items x (B, C, H, W) in [0, 1]; None: the generator of the process."""
        if self.way == "known":
            return _parted(x, drawn(len(x), self.image.size, noise).to(x.device))
        if self.way == "low":
            return F.adaptive_avg_pool2d(x, self.size)
        if self.way == "noisy":
            strength = STRONGEST * uniform((len(x), 1, 1, 1), noise, x.device)
            return (x + strength * normal(x.shape, noise, x.device)).clamp(0, 1)
        grey = _grey(x)
        return grey if self.way == "grey" else 1 - _edges(grey)

    def of_known(self, x: Tensor, known: Tensor) -> Tensor:
        """The condition "known" (B, C + 1, H, W) of items x (B, C, H, W) and a mask (1 or B, 1, H, W)."""
        return _parted(x, known.to(x).expand(len(x), -1, -1, -1))

    def of(self, x: Tensor) -> Tensor:
        """The condition (B, *form) of pictures x (B, C, h, w) that were read as `picture`."""
        if self.way != "known":
            return x
        colour = x if self.image.channels == 4 else x[:, :3]
        colour = _grey(colour) if self.image.channels == 1 else colour
        return _parted(colour.round() if self.image.bits == 1 else colour, (x[:, 3:] > 0.5).float())

    def plain(self, condition: Tensor) -> tuple[str, Tensor] | None:
        """The simple answer that a model has to beat, its name and (B, C, H, W); None where there is none."""
        if self.way == "low":
            larger = F.interpolate(condition, self.image.size, mode="bicubic", align_corners=False)
            return "bicubic upscaling", larger.clamp(0, 1)
        if self.way in ("noisy", "grey"):
            return f"the {self.way} picture itself", condition.expand(-1, self.image.channels, -1, -1)
        return None

    def pack(self, item: Any) -> Array:
        """A picture of the condition's own sort, as float32 (*form) in [0, 1].

        For "known" what is transparent is the hole, or a pair (picture, mask) says so: white is the hole.
        Raises DataError for what is no picture.
        """
        picture, hole = item if self.way == "known" and isinstance(item, tuple) else (item, None)
        levels = torch.tensor(self.picture.pack(picture))  # a copy: arrays of pictures are read-only
        found = self.of(self.picture.tensor(levels[None]))
        if hole is not None:
            white = torch.tensor(Image(1, self.size, bits=1).pack(hole))[None] > 127
            found = torch.where(white, torch.zeros_like(found), found)
        array: Array = found[0].numpy()
        return array

    def unpack(self, array: Array) -> Pillow.Image:
        """The condition as a picture; the hole of "known" is transparent."""
        x = torch.tensor(array)[None]
        if self.way == "known":
            colour = x[:, :-1].expand(-1, 3, -1, -1) if self.image.channels == 1 else x[:, :3]
            x = torch.cat([colour, x[:, -1:]], 1)
        return self.picture.unpack(self.picture.stored(x)[0])

    def tensor(self, stored: Tensor, noise: Noise = None) -> Tensor:
        """Stored conditions as they are, float32."""
        return stored.float()

    def stored(self, x: Tensor) -> Array:
        array: Array = x.detach().float().clamp(0, 1).cpu().numpy()
        return array

    def write(self, items: Sequence[Any], folder: Path) -> list[Path]:
        return self.picture.write(items, folder)

    def sheet(self, items: Sequence[Any], columns: int = 8) -> Pillow.Image:
        return self.image.sheet(items, columns)

    def state(self) -> dict[str, Any]:
        return {"image": self.image.state(), "how": self.how}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        try:
            return cls(Image.restore(state["image"]), str(state["how"]))
        except (KeyError, TypeError, DataError) as error:
            raise ModelFileError(f"the model file describes no derived kind ({error}): damaged") from None


def _parted(x: Tensor, known: Tensor) -> Tensor:
    """x (B, C, H, W) where it is known, and the mask (B, 1, H, W) behind it."""
    return torch.cat([torch.where(known.bool(), x, torch.zeros_like(x)), known], 1)


def _grey(x: Tensor) -> Tensor:
    """Brightness (B, 1, H, W) of (B, C, H, W); alpha is laid over white."""
    if x.shape[1] == 1:
        return x
    luma = (x[:, :3] * x.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return luma * x[:, 3:] + 1 - x[:, 3:] if x.shape[1] == 4 else luma


def _edges(grey: Tensor) -> Tensor:
    """The length of the gradient (B, 1, H, W) by Sobel's kernels, 1 for an edge from black to white."""
    across = grey.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    slopes = F.conv2d(padded, torch.stack([across, across.T]).unsqueeze(1))
    return slopes.square().sum(1, keepdim=True).sqrt().clamp(max=1)
