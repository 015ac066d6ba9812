"""What a source holds, before a kind is fitted to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image as Pillow

Array = np.ndarray[Any, Any]
Column = Sequence[Any] | Array
"""One value per item: names, whole numbers, lists of tags or numbers, pictures (None: missing), or an array
of floats (NaN: missing)."""

SPLITS = ("train", "select", "test")
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "select": "select",
    "valid": "select",
    "val": "select",
    "validation": "select",
    "dev": "select",
    "test": "test",
    "testing": "test",
    "t10k": "test",
}


@dataclass(frozen=True)
class Picture:
    """A picture that is not decoded yet.

    Arguments:
        name: where it is, for messages.
        open: the picture, lazily decoded; may raise whatever Pillow raises for a damaged file.
        stamp: changes when the file does; names the cached copy.
    """

    name: str
    open: Callable[[], Pillow.Image]
    stamp: str = ""


@dataclass
class Found:
    """What a source holds: pictures, texts, or one array whose first axis is the items.

    Arguments:
        pictures: not decoded yet.
        texts: none is empty.
        cut: symbols of the pieces that the texts are to be cut into; None: each text is an item.
        values: (N, ...) numbers, perhaps memory-mapped.
        first: whether channels stand before height and width in `values`; None: not known.
        columns: further values of each item by name; "label" is the main one.
        split: each item's official split ("" where it has none), or None.
        groups: a value per item; items of one value stay in one split (None: alone). None: there are none.
        names: each item's name, without folder and ending.
        paths: each item's path below the source, by which tables beside the data name it.
        notes: what was left out and why, for the reader.
        captions: a sentence per item.
        centres: (M, D) the known modes of a mixture.
        bits: of the values, where the source knows better than the values tell.
        features: names of the numbers at each step of a series.
        varies: whether series differ in length; None: an array where those that end in NaN throughout do.
        steps: how many each series has, gaps at its end among them; None: up to the last of which anything is
            known.
    """

    pictures: list[Picture] | None = None
    texts: list[str] | None = None
    cut: int | None = None
    values: Array | None = None
    first: bool | None = None
    columns: dict[str, Column] = field(default_factory=dict)
    split: list[str] | None = None
    groups: list[str | None] | None = None
    names: list[str] | None = None
    paths: list[str] | None = None
    notes: list[str] = field(default_factory=list)
    captions: list[str] | None = None
    centres: Array | None = None
    bits: int | None = None
    features: list[str] | None = None
    varies: bool | None = None
    steps: list[int] | None = None

    def __len__(self) -> int:
        if self.pictures is not None:
            return len(self.pictures)
        if self.texts is not None:
            return len(self.texts)
        return 0 if self.values is None else len(self.values)

    def keep(self, at: Sequence[int]) -> None:
        """Forget all items but those; one that is named twice is there twice."""

        def chosen(column: Column) -> Column:
            return column[np.asarray(at)] if isinstance(column, np.ndarray) else [column[i] for i in at]

        self.columns = {name: chosen(column) for name, column in self.columns.items()}
        self.split = None if self.split is None else [self.split[i] for i in at]
        self.groups = None if self.groups is None else [self.groups[i] for i in at]
        self.names = None if self.names is None else [self.names[i] for i in at]
        self.paths = None if self.paths is None else [self.paths[i] for i in at]
        self.pictures = None if self.pictures is None else [self.pictures[i] for i in at]
        self.texts = None if self.texts is None else [self.texts[i] for i in at]
        self.captions = None if self.captions is None else [self.captions[i] for i in at]
        self.steps = None if self.steps is None else [self.steps[i] for i in at]
        self.values = None if self.values is None else self.values[np.asarray(at)]
