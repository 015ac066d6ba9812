"""A text or a picture as a frozen encoder sees it; only ever a condition.

    "a red cat"  --encoder-->  row (D,)  --standardised-->  x
    stored: the row's 4 · D bytes, then those of the text or picture itself

The row is computed once per item, by whoever has many (`data.embedding`) or here for what somebody types.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from ectype.errors import DataError, ModelFileError, UsageError
from ectype.kinds import Array, Kind
from ectype.kinds.encoders import Encoder
from ectype.kinds.image import Image
from ectype.kinds.lettering import lettered
from ectype.kinds.text import written
from ectype.kinds.vector import Vector
from ectype.noise import Noise
from ectype.shapes import Row

LONGEST = 1024
"""Bytes of a text that are kept beside its row, for reports; the encoder reads all of it."""


@final
class Embedded(Kind):
    """What an encoder makes of a text or a picture.

    Arguments:
        encoder: which one.
        numbers: its rows, standardised.
        image: the pictures it reads; None: texts.
        room: bytes that are kept of a text.
    """

    name = "embedded"

    def __init__(
        self, encoder: Encoder, numbers: Vector, image: Image | None, *, room: int = LONGEST
    ) -> None:
        if (image is None) != (encoder.reads == "text") or not 0 <= room <= LONGEST:
            raise DataError(f"the encoder reads {encoder.reads}s, and room={room}")
        self.encoder, self.numbers, self.image, self.room = encoder, numbers, image, room
        self.bytes = 4 * len(numbers.mean)

    @property
    def shape(self) -> Row:
        return self.numbers.shape

    @property
    def network(self) -> str:
        return self.numbers.network

    @property
    def likelihood(self) -> str:
        return self.numbers.likelihood

    def source(self, stored: Tensor) -> Tensor:
        return stored[:, self.bytes :]

    def pack(self, item: Any) -> Array:
        """A text or picture as uint8 (4 · D + bytes of the item); raises DataError for anything else."""
        item = self.read(item)
        return self.beside(self.encoder([item]), [item])[0]

    def read(self, item: Any) -> Any:
        """What the encoder is shown: a text that is not empty, or a picture of the kind's size."""
        if self.image is not None:
            return self.image.unpack(self.image.pack(item))
        if not isinstance(item, str):
            raise DataError(f"{item!r} is no text")
        if not item.strip():
            raise DataError("the text is empty: say something, or leave it out")
        return item

    def beside(self, rows: Array, items: Sequence[Any]) -> Array:
        """Stored arrays (N, 4 · D + bytes) of rows (N, D) and the texts or pictures they were made from.

        A picture may be one that is packed already.
        """
        if rows.shape[1:] != (len(self.numbers.mean),):
            raise DataError(
                f"the encoder makes rows of {rows.shape[1]} numbers, not {len(self.numbers.mean)}"
            )
        heads = np.ascontiguousarray(rows, np.float32).view(np.uint8)
        return np.concatenate([heads, np.stack([self._kept(item) for item in items])], 1)

    def _kept(self, item: Any) -> Array:
        if self.image is not None:
            array = item if isinstance(item, np.ndarray) else self.image.pack(item)
            return np.ascontiguousarray(array).view(np.uint8).reshape(-1)
        text = str(item).encode("utf-8", "replace")[: self.room]
        return np.frombuffer(text.ljust(self.room, b"\0"), np.uint8)

    def unpack(self, array: Array) -> Any:
        """The text or picture itself; nothing is read off the row."""
        kept = np.ascontiguousarray(array[self.bytes :])
        if self.image is None:
            return kept.tobytes().rstrip(b"\0").decode("utf-8", "ignore")
        blank = self._blank(self.image)
        return self.image.unpack(kept.view(blank.dtype).reshape(blank.shape))

    def _blank(self, image: Image) -> Array:
        return image.stored(torch.zeros(1, *image.shape.form))[0]

    def tensor(self, stored: Tensor, noise: Noise = None) -> Tensor:
        """Stored arrays (B, bytes) to standardised rows (B, D)."""
        heads = (
            stored[:, : self.bytes].reshape(-1).clone()
        )  # of their own: a float begins at every fourth byte
        return self.numbers.tensor(heads.view(torch.float32).view(len(stored), -1))

    def stored(self, x: Tensor) -> Array:
        """Standardised rows (B, D) as stored arrays of no text, or of a black picture."""
        rows = self.numbers.stored(x)
        kept = self.room if self.image is None else self._blank(self.image).nbytes
        heads = np.ascontiguousarray(rows).view(np.uint8)
        return np.concatenate([heads, np.zeros((len(rows), kept), np.uint8)], 1)

    def write(self, items: Sequence[Any], folder: Path) -> list[Path]:
        """Write the texts or pictures themselves."""
        return written(items, folder) if self.image is None else self.image.write(items, folder)

    def sheet(self, items: Sequence[Any], columns: int = 8) -> Pillow.Image:
        """The texts or pictures themselves."""
        if self.image is None:
            return lettered([str(item) for item in items], columns)
        return self.image.sheet(items, columns)

    def state(self) -> dict[str, Any]:
        return {
            "encoder": self.encoder.name,
            "revision": self.encoder.revision,
            "reads": self.encoder.reads,
            "numbers": self.numbers.state(),
            "image": None if self.image is None else self.image.state(),
            "room": self.room,
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        try:
            encoder = Encoder(str(state["encoder"]), str(state["revision"]), str(state["reads"]))
            image = None if state["image"] is None else Image.restore(state["image"])
            return cls(encoder, Vector.restore(state["numbers"]), image, room=int(state["room"]))
        except (KeyError, TypeError, ValueError, DataError, UsageError) as error:
            raise ModelFileError(f"the model file describes no embedded kind ({error}): damaged") from None
