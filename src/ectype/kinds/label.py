"""One of a few named classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw
from torch import Tensor

from ectype.errors import DataError, ModelFileError, OutputError, did_you_mean
from ectype.kinds import Array, Kind
from ectype.noise import Noise
from ectype.shapes import Tokens

_LISTED = 20


@final
class Label(Kind):
    """One of a few named classes.

    Arguments:
        classes: their names, in the order of their numbers.
    """

    name = "label"

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(str(c) for c in classes)
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise DataError(f"a label needs different class names, at least one; got {list(self.classes)}")
        self.numbers = {c: i for i, c in enumerate(self.classes)}

    @classmethod
    def fit(cls, values: Iterable[str | int]) -> Self:
        """The classes that occur, in order of number where all are whole numbers, else of the alphabet."""
        names = {str(v) for v in values}
        numeric = all(map(_whole, names))
        return cls(sorted(names, key=int) if numeric else sorted(names))

    @property
    def shape(self) -> Tokens:
        return Tokens(len(self.classes), ())

    @property
    def network(self) -> str:
        return "mlp"

    @property
    def likelihood(self) -> str:
        return "categorical"

    def pack(self, item: Any) -> Array:
        """A class's name, or its number where no class is called by a number, as an int64 array of form ().

        Raises DataError for an unknown label, with the nearest known one.
        """
        if isinstance(item, Tensor | np.ndarray | np.generic) and not item.ndim:
            item = item.item()
        if isinstance(item, float) and item.is_integer() and str(item) not in self.numbers:
            item = int(item)
        name = str(item)
        if name in self.numbers:
            return np.asarray(self.numbers[name], np.int64)
        # of classes called 1, 2 and 3, 0 is none and not the first
        if isinstance(item, int) and 0 <= item < len(self.classes) and not any(map(_whole, self.classes)):
            return np.asarray(item, np.int64)
        raise DataError(
            f"there is no label '{name}'{did_you_mean(name, self.classes)}{listed(name, self.classes)}"
        )

    def unpack(self, array: Array) -> str:
        return self.classes[int(array)]

    def tensor(self, stored: Tensor, noise: Noise = None) -> Tensor:
        """Class numbers (B,), int64."""
        return stored.long()

    def stored(self, x: Tensor) -> Array:
        return x.detach().long().clamp(0, len(self.classes) - 1).cpu().numpy()

    def write(self, items: Sequence[Any], folder: Path) -> list[Path]:
        """Write labels.txt, one label per line."""
        path = Path(folder) / "labels.txt"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{item}\n" for item in items), encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error}); choose another folder") from None
        return [path]

    def sheet(self, items: Sequence[Any], columns: int = 8) -> Pillow.Image:
        """The labels as text, in columns."""
        texts = [str(item) for item in items]
        cell = max([8, *map(len, texts)]) * 7 + 6
        columns = max(1, min(columns, len(texts)))
        page = Pillow.new("RGB", (columns * cell, max(1, -(-len(texts) // columns)) * 18), "white")
        draw = ImageDraw.Draw(page)
        for i, text in enumerate(texts):
            draw.text((i % columns * cell + 3, i // columns * 18 + 3), text, fill="black")
        return page

    def state(self) -> dict[str, Any]:
        return {"classes": list(self.classes)}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        try:
            classes = state["classes"]
            if not isinstance(classes, list) or not all(isinstance(c, str) for c in classes):
                raise TypeError("classes are a list of names")
            return cls(classes)
        except (KeyError, TypeError, DataError) as error:
            raise ModelFileError(f"the model file describes no label kind ({error}): damaged") from None


def _whole(name: str) -> bool:
    return name.lstrip("-").isdecimal()


def listed(name: str, known: Sequence[str]) -> str:
    """The first names there are, for a message that has just asked whether one of them was meant."""
    if "did you mean" not in did_you_mean(name, known):
        return ""
    shown = ", ".join(sorted(known)[:_LISTED]) + (", …" if len(known) > _LISTED else "")
    return f" (there are: {shown})"
