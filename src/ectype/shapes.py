"""The form of one item's tensor, in pure Python.

A shape says what a network has to read or write and nothing about what it means: an image and a
spectrogram are both a `Grid`, a caption and a label are both `Tokens`. Letters used in every
docstring of the package (the legend):

    B batch   K samples per item   T steps   C channels or features   D latent numbers
    H W height and width   V vocabulary   N items in a data set   M mixture components
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Numbers on a grid: an image is `Grid(C, (H, W))`, a waveform `Grid(1, (T,))`."""

    channels: int
    size: tuple[int, ...]

    @property
    def form(self) -> tuple[int, ...]:
        """The tensor's shape without the batch: `(C, *size)`."""
        return (self.channels, *self.size)

    @property
    def sites(self) -> int:
        """How many scalar values one item has; bits/dim divides by it."""
        return prod(self.form)


@dataclass(frozen=True)
class Tokens:
    """Integers below `vocabulary`: a text is `Tokens(V, (T,))`, a label `Tokens(V, ())`."""

    vocabulary: int
    size: tuple[int, ...] = ()

    @property
    def form(self) -> tuple[int, ...]:
        return self.size

    @property
    def sites(self) -> int:
        return prod(self.size)


@dataclass(frozen=True)
class Row:
    """One row of columns: width 1 is a number, width k a category of k values."""

    widths: tuple[int, ...]

    @property
    def form(self) -> tuple[int, ...]:
        return (len(self.widths),)

    @property
    def sites(self) -> int:
        return len(self.widths)


@dataclass(frozen=True)
class Series:
    """`features` numbers at each of `length` steps: the tensor is `(C, T)`."""

    features: int
    length: int

    @property
    def form(self) -> tuple[int, ...]:
        return (self.features, self.length)

    @property
    def sites(self) -> int:
        return self.features * self.length


@dataclass(frozen=True)
class Joint:
    """Several things at once, such as a picture and its caption: one flat row, part after part."""

    parts: tuple[Grid | Tokens | Row | Series, ...]

    @property
    def form(self) -> tuple[int, ...]:
        return (self.sites,)

    @property
    def sites(self) -> int:
        return sum(part.sites for part in self.parts)

    def split(self, x: Tensor) -> list[Tensor]:
        """x (B, sites) as one tensor (B, *form) per part, of x's dtype."""
        pieces = x.split([part.sites for part in self.parts], 1)
        return [p.reshape(len(x), *part.form) for p, part in zip(pieces, self.parts, strict=True)]


Shape = Grid | Tokens | Row | Series | Joint


def shape_state(shape: Shape) -> dict[str, object]:
    """A shape as JSON: its name and its fields."""
    if isinstance(shape, Joint):
        return {"name": "Joint", "parts": [shape_state(part) for part in shape.parts]}
    return {"name": type(shape).__name__, **asdict(shape)}


def parts_of(shape: Shape) -> tuple[Shape, ...]:
    """The parts of a joint shape; any other is its own only part."""
    return shape.parts if isinstance(shape, Joint) else (shape,)


def has_tokens(shape: Shape) -> bool:
    """Whether any part is a choice, through which there is no gradient."""
    return any(isinstance(part, Tokens) for part in parts_of(shape))
