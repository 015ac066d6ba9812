"""A set of tags, each of which an item has or has not.

    ["red", "small"]  --pack-->  [0, 1, 0, 1] of (blue, red, round, small)

An item without a single tag is a value like any other; one of which nothing is known is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from ectype.errors import DataError, ModelFileError, OutputError, did_you_mean
from ectype.kinds import Array, Kind
from ectype.kinds.label import listed
from ectype.kinds.lettering import lettered
from ectype.noise import Noise
from ectype.shapes import Row

BETWEEN = "|"


@final
class Attributes(Kind):
    """Tags of which an item has none, some or all.

    Arguments:
        tags: their names, in the order of the columns.
    """

    name = "attributes"

    def __init__(self, tags: Sequence[str]) -> None:
        self.tags = tuple(str(tag) for tag in tags)
        self.numbers = {tag: i for i, tag in enumerate(self.tags)}
        if not self.tags or len(self.numbers) != len(self.tags):
            raise DataError(f"attributes need different names, at least one; got {list(self.tags)[:20]}")

    @classmethod
    def fit(cls, items: Iterable[Any]) -> Self:
        """The tags that occur, in order of the alphabet."""
        tags = sorted({tag for item in items for tag in shares(item)})
        if not tags:
            raise DataError("no item has any tag: there is nothing to learn from")
        return cls(tags)

    @property
    def shape(self) -> Row:
        return Row((1,) * len(self.tags))

    @property
    def network(self) -> str:
        return "mlp"

    @property
    def likelihood(self) -> str:
        return "bernoulli"

    @property
    def likelihood_options(self) -> dict[str, object]:
        return {"levels": 2}

    def pack(self, item: Any) -> Array:
        """A list of tags, "red|small", or a mapping of tags to yes, no or a share, as float32 (k,).

        Raises DataError for a tag there is not, and for a share outside of 0 to 1.
        """
        row = np.zeros(len(self.tags), np.float32)
        for tag, share in shares(item).items():
            if tag not in self.numbers:
                raise DataError(
                    f"there is no tag '{tag}'{did_you_mean(tag, self.tags)}{listed(tag, self.tags)}"
                )
            row[self.numbers[tag]] = share
        return row

    def unpack(self, array: Array) -> list[str]:
        """The tags it has, as far as more than a half."""
        return [tag for tag, share in zip(self.tags, np.asarray(array), strict=True) if share > 0.5]

    def tensor(self, stored: Tensor, noise: Noise = None) -> Tensor:
        """x (B, k), float32: 1 where an item has the tag."""
        return stored.to(torch.float32)

    def stored(self, x: Tensor) -> Array:
        return x.detach().float().nan_to_num(0.0).clamp(0, 1).cpu().numpy()

    def write(self, items: Sequence[Any], folder: Path) -> list[Path]:
        """Write tags.txt, one item per line."""
        path = Path(folder) / "tags.txt"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{BETWEEN.join(item)}\n" for item in items), encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error}); choose another folder") from None
        return [path]

    def sheet(self, items: Sequence[Any], columns: int = 8) -> Pillow.Image:
        """The tags as text, in cells."""
        return lettered([", ".join(item) or "–" for item in items], columns)

    def state(self) -> dict[str, Any]:
        return {"tags": list(self.tags)}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        try:
            tags = state["tags"]
            if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
                raise TypeError("tags are a list of names")
            return cls(tags)
        except (KeyError, TypeError, DataError) as error:
            raise ModelFileError(f"the model file describes no attributes ({error}): damaged") from None


def shares(item: Any) -> dict[str, float]:
    """Tags and how far an item has each, 0 to 1, of anything `pack` takes; DataError for anything else."""
    if isinstance(item, str):
        item = [tag.strip() for tag in item.split(BETWEEN) if tag.strip()]
    if not isinstance(item, Mapping):
        if not isinstance(item, Sequence | set | frozenset) or not all(
            isinstance(t, str | int) for t in item
        ):
            raise DataError(f"{item!r} is no list of tags, such as 'red{BETWEEN}small'")
        return {str(tag): 1.0 for tag in item}
    try:
        found = {str(tag): float(share) for tag, share in item.items() if share is not None}
    except (TypeError, ValueError):
        raise DataError(f"{item!r} says not yes, no or a number from 0 to 1 for each tag") from None
    outside = [tag for tag, share in found.items() if not 0 <= share <= 1]
    if outside:
        raise DataError(
            f"an item has a tag to a share from 0 to 1, and '{outside[0]}' to {found[outside[0]]:g}"
        )
    return found
