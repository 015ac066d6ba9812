"""What one example *is*: raw item ↔ stored array ↔ the tensor a model sees.

    raw item  --pack-->  stored array (uint8, integers, floats)  --tensor-->  x (model scale)
    raw item <--unpack-- stored array                           <--stored--   x

A kind is fitted once (size, channels, classes, scale), saved with the model as JSON, and from then
on raw goes in and raw comes out. The same kinds serve as conditions: a condition is a kind that is
read instead of written. Kinds know arrays and files, never networks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from PIL import Image as Pillow
from torch import Tensor

from ectype.catalog import find
from ectype.noise import Noise
from ectype.shapes import Shape

Array = np.ndarray[Any, Any]


class Kind(ABC):
    """One sort of data. Subclasses are final: adapt one by wrapping it."""

    name: ClassVar[str]
    """Its name in the catalog."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """The form of one item's tensor."""

    @property
    @abstractmethod
    def network(self) -> str:
        """The catalog's network that suits it when the user names none."""

    @property
    @abstractmethod
    def likelihood(self) -> str:
        """The catalog's likelihood that suits it when the user names none."""

    @property
    def latent(self) -> int | None:
        """Numbers in a code that suit it when the user names none; None: by the size of an item."""
        return None

    @property
    def prior(self) -> str | None:
        """The prior that suits it where the family trains one and the user names none; None: the family's."""
        return None

    @property
    def usual(self) -> dict[str, object]:
        """Options of the parts that suit it when the user names none."""
        return {}

    @property
    def likelihood_options(self) -> dict[str, object]:
        """What a likelihood has to know about the data, such as how many levels a pixel has."""
        return {}

    @property
    def network_options(self) -> dict[str, object]:
        """What a network has to know about the data, such as which network suits each of its parts."""
        return {}

    @property
    def random(self) -> bool:
        """Whether x is random given the stored value, so that `tensor` takes noise."""
        return False

    def seen(self, stored: Tensor) -> Tensor | None:
        """Which values of stored arrays (B, *stored form) are there, (B, *form) bool; None: all."""
        return None

    def source(self, stored: Tensor) -> Tensor:
        """What of stored arrays (B, *stored form) was read; the rest was computed from it."""
        return stored

    @abstractmethod
    def pack(self, item: Any) -> Array:
        """One raw item as its stored array; raises DataError where it does not fit."""

    @abstractmethod
    def unpack(self, array: Array) -> Any:
        """One stored array as a raw item."""

    @abstractmethod
    def tensor(self, stored: Tensor, noise: Noise = None) -> Tensor:
        """Stored arrays (B, *stored form) to the model's x (B, *form), on any device.

        `noise` is used only by kinds whose x is random given the stored value (dynamic
        binarisation); None then means the generator of the process.
        """

    @abstractmethod
    def stored(self, x: Tensor) -> Array:
        """The model's x (B, *form) rounded and clipped to stored arrays (B, *stored form)."""

    @abstractmethod
    def write(self, items: Sequence[Any], folder: Path) -> list[Path]:
        """Write raw items as files a person can open; returns the paths, in order."""

    @abstractmethod
    def sheet(self, items: Sequence[Any], columns: int = 8) -> Pillow.Image:
        """One picture that shows the items side by side."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What was fitted, as JSON; `restore` is its inverse."""

    @classmethod
    @abstractmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        """The kind that `state` described; raises ModelFileError where that is not possible."""


def state_of(kind: Kind) -> dict[str, Any]:
    """A kind as JSON, its name with it; `restored` is the inverse."""
    return {"name": kind.name, "state": kind.state()}


def restored(state: Mapping[str, Any]) -> Kind:
    """The kind that `state_of` described; raises ModelFileError or UsageError where there is none such."""
    kind: Kind = find("kinds", state["name"]).restore(state["state"])
    return kind
