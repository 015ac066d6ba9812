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


Shape = Grid | Tokens | Row | Series


def shape_state(shape: Shape) -> dict[str, object]:
    """A shape as JSON: its name and its fields."""
    return {"name": type(shape).__name__, **asdict(shape)}
