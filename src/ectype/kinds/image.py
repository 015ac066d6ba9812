"""Pictures of any size and aspect, with 1, 3 or 4 channels and 1 to 16 bits.

    stored (C, H, W) levels  --/ top-->  x in [0, 1]

A black-and-white kind comes in three sorts which are never mixed: pictures that are binary
(`binarise` None, bits 1), grey pictures drawn once ("static"), and grey pictures drawn anew each
time a batch is made ("dynamic"): P(x = 1) is the grey value (Salakhutdinov and Murray 2008, "On the
quantitative analysis of deep belief networks"; Burda, Grosse and Salakhutdinov 2015, "Importance
weighted autoencoders", section 5, compares the two).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from ectype.errors import DataError, ModelFileError, OutputError
from ectype.kinds import Array, Kind
from ectype.kinds.levels import dtype, requantise, scale_of, top
from ectype.kinds.pixels import MODES, decode, on_white, to_picture
from ectype.noise import Noise, uniform
from ectype.shapes import Grid

BINARISE = (None, "static", "dynamic")
CUT = 1.05
"""How far a picture's aspect may be from another's, as a factor, to count as the same but for rounding."""


@final
class Image(Kind):
    """Pictures, all of one size.

    Arguments:
        channels: 1 grey, 3 colour, 4 colour and alpha.
        size: height and width in pixels.
        bits: of each channel of the data, 1 to 16.
        binarise: None, "static" or "dynamic"; then the model sees one bit, and `depth` is `bits`.
    """

    name = "image"

    def __init__(
        self, channels: int, size: tuple[int, int], *, bits: int = 8, binarise: str | None = None
    ) -> None:
        height, width = size
        if channels not in MODES:
            raise DataError(f"pictures of {channels} channels: 1 (grey), 3 (colour) or 4 (alpha) can be read")
        if not 1 <= bits <= 16 or min(height, width) < 1:
            raise DataError(f"pictures of {height}x{width} with {bits} bits: 1 to 16 bits can be read")
        if binarise not in BINARISE:
            raise DataError(f"binarise={binarise!r}: 'static' (drawn once), 'dynamic' (drawn anew) or None")
        self.channels = channels
        self.size = (int(height), int(width))
        self.depth = bits
        self.bits = 1 if binarise else bits
        self.binarise = binarise
        self.white = top(1 if binarise == "static" else bits)

    @property
    def shape(self) -> Grid:
        return Grid(self.channels, self.size)

    @property
    def network(self) -> str:
        return "conv" if max(self.size) >= 8 else "mlp"

    @property
    def likelihood(self) -> str:
        return "bernoulli" if self.bits == 1 else "logistic"

    @property
    def likelihood_options(self) -> dict[str, object]:
        # a density finer than a fifth of the range fills the code with what nobody sees and no prior can
        # draw (docs/log.md, 2026-11-22)
        return {"levels": 2**self.bits, "floor": 0.2}

    @property
    def random(self) -> bool:
        return self.binarise == "dynamic"

    def pack(self, item: Any) -> Array:
        """A Pillow picture, a file's path or an array as levels (C, H, W).

        Arrays are (H, W), (H, W, C) or (C, H, W). What has another size is scaled to cover it and cut
        around the centre; what is to be one bit is split in the middle (`binarise` draws elsewhere).
        """
        levels, bits = self.grey(item)
        return requantise(levels, bits, 1 if self.binarise == "static" else self.depth)

    def grey(self, item: Any) -> tuple[Array, int]:
        """The item as levels (C, H, W) before they are reduced to the kind's bits, and their bits."""
        sixteen = self.depth > 8
        if isinstance(item, str | Path):
            try:
                with Pillow.open(item) as opened:
                    return self.grey(opened)
            except OSError as error:
                raise DataError(f"{item}: no readable picture ({error})") from None
        if not isinstance(item, Pillow.Image):
            item = self._picture(np.asarray(item))
        return decode(item, self.channels, self.size, sixteen), 16 if sixteen else 8

    def _picture(self, array: Array) -> Pillow.Image:
        if array.ndim == 2:
            array = array[None]
        elif array.ndim == 3 and array.shape[0] not in MODES and array.shape[2] in MODES:
            array = array.transpose(2, 0, 1)
        if array.ndim != 3 or array.shape[0] not in MODES or array.size == 0:
            raise DataError(f"form {array.shape} is no picture's: (H, W), (H, W, C) or (C, H, W) is")
        low, high = float(array.min()), float(array.max())
        if not np.isfinite([low, high]).all():
            raise DataError("a picture with values that are not numbers (NaN or infinite)")
        whole = array.dtype.kind != "f" or bool((array == np.rint(array)).all())
        scale = scale_of(low, high, array.dtype.kind, whole, binary=False, where="the picture")
        if self.bits == 1 and whole and high <= 1:
            scale = scale_of(0, 1, "b", True, binary=True, where="the picture")
        return to_picture(scale.levels(array), top(scale.bits))

    def unpack(self, array: Array) -> Pillow.Image:
        """Levels (C, H, W) as a picture: mode L, RGB or RGBA, or 16-bit grey."""
        return to_picture(np.asarray(array), self.white)

    def tensor(self, stored: Tensor, noise: Noise = None) -> Tensor:
        """Levels (B, C, H, W) to float32 x (B, C, H, W) in [0, 1]; "dynamic" draws zeros and ones."""
        if self.binarise == "dynamic":
            p = stored.to(torch.float32).mul_(1 / self.white)
            return (uniform(tuple(p.shape), noise, p.device) < p).to(torch.float32)
        if self.bits == 1:
            return (stored > 127).to(torch.float32)
        return stored.to(torch.float32).mul_(1 / self.white)

    def stored(self, x: Tensor) -> Array:
        """x (B, C, H, W) in [0, 1] to levels; a mean between black and white stays grey, also for one bit."""
        # a model that diverged says NaN, which has no level: black
        levels = x.detach().float().nan_to_num(0.0).mul(self.white).round().clamp(0, self.white)
        return levels.cpu().numpy().astype(dtype(8 if self.white == 255 else self.depth))

    def write(self, items: Sequence[Any], folder: Path) -> list[Path]:
        """Write pictures as 0000.png, 0001.png, …; raises OutputError where that is not possible."""
        paths = [Path(folder) / f"{i:04d}.png" for i in range(len(items))]
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            for item, path in zip(items, paths, strict=True):
                item.save(path)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error}); choose another folder") from None
        return paths

    def sheet(self, items: Sequence[Any], columns: int = 8) -> Pillow.Image:
        """The pictures side by side, small ones enlarged by a whole factor to about 64 pixels."""
        height, width = self.size
        zoom = max(1, 64 // max(height, width))
        step = (width * zoom + 2, height * zoom + 2)
        columns = max(1, min(columns, len(items)))
        rows = -(-len(items) // columns)
        page = Pillow.new("RGB", (columns * step[0] + 2, max(rows, 1) * step[1] + 2), "gainsboro")
        for i, item in enumerate(items):
            tile = on_white(item).resize((width * zoom, height * zoom), Pillow.Resampling.NEAREST)
            page.paste(tile, (i % columns * step[0] + 2, i // columns * step[1] + 2))
        return page

    def state(self) -> dict[str, Any]:
        return {
            "channels": self.channels,
            "size": list(self.size),
            "bits": self.depth,
            "binarise": self.binarise,
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        try:
            channels, (height, width), bits = state["channels"], state["size"], state["bits"]
            return cls(int(channels), (int(height), int(width)), bits=int(bits), binarise=state["binarise"])
        except (KeyError, TypeError, ValueError, DataError) as error:
            raise ModelFileError(f"the model file describes no image kind ({error}): damaged") from None


def same_aspect(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (height, width) have one aspect, but for what rounding to whole pixels does."""
    ratio = one[0] * other[1] / (one[1] * other[0])
    return max(ratio, 1 / ratio) <= CUT
