"""How a condition is read: the network of its kind, and what of it goes where.

    label, tags, numbers   vector
    text                   vector, one token per symbol
    picture                vector, one token per place of its smallest level, and for pictures the grid

A reader turns a condition (B, *form) into a `Reading` for the conditioner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.catalog import find
from ectype.context import Ports, Reading
from ectype.networks import conv, recurrent
from ectype.networks.blocks import Stem
from ectype.shapes import Grid, Shape

_NARROW = {"width": 16, "depth": 1}  # of a picture that is a condition: it is read, not made


def _picture(shape: Shape) -> bool:
    return isinstance(shape, Grid) and len(shape.size) == 2


def ports_of(conditions: Sequence[tuple[str, Shape]], output: Shape, width: int) -> Ports:
    """Which ways in a context has, for items of the output's shape.

    Arguments:
        conditions: network and shape of each.
        width: C, of vectors and tokens.
    """
    if not conditions:
        return Ports()
    pictures = [c for _, c in conditions if isinstance(c, Grid) and _picture(c)]
    lie = isinstance(output, Grid) and _picture(output)
    networks = {network for network, _ in conditions}
    return Ports(
        width,
        # what lies on the grid need not be attended to as well
        "recurrent" in networks or ("conv" in networks and not lie),
        sum(c.channels + 1 for c in pictures) if lie else 0,
        (output.size[0], output.size[1]) if isinstance(output, Grid) and lie else (1, 1),
    )


def reader(network: str, shape: Shape, output: Shape, width: int, *, attended: bool = True) -> nn.Module:
    """What reads a condition of this shape for items of the output's shape.

    Arguments:
        network: the condition's kind's.
        width: C, of vectors and tokens.
        attended: whether its steps or places are, one by one; a critic reads conditions as a whole.
    """
    options = _NARROW if network == "conv" else {}
    encoder: nn.Module = find("networks", network).Encoder(shape, width, **options)
    for part in encoder.modules():
        if isinstance(part, Stem):  # a condition is there as a whole or not at all: nothing to fill in
            part.fill.requires_grad_(False)
    if isinstance(shape, Grid) and _picture(shape) and isinstance(output, Grid) and _picture(output):
        return OnGrid(encoder, shape, (output.size[0], output.size[1]))
    if not attended:
        return encoder
    if isinstance(encoder, recurrent.Encoder):
        return InTokens(encoder, width)
    return InPlaces(encoder, width) if isinstance(encoder, conv.Encoder) else encoder


def vector_of(read: Tensor | Reading) -> Tensor:
    """The condition as a whole (B, width), of whatever a reader gives."""
    return read.vector if isinstance(read, Reading) else read


@final
class InPlaces(nn.Module):
    """A picture as a vector and as one token per place of its smallest level."""

    def __init__(self, encoder: conv.Encoder, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokens = nn.Linear(encoder.channels, width)

    def forward(self, x: Tensor) -> Reading:
        """x (B, C, H, W) to vector and tokens."""
        h = self.encoder.places(x)
        return Reading(self.encoder.whole(h), self.tokens(h.flatten(2).transpose(1, 2)))


@final
class InTokens(nn.Module):
    """A text as a vector and as one token per symbol."""

    def __init__(self, encoder: recurrent.Encoder, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokens = nn.Linear(encoder.width, width)

    def forward(self, x: Tensor) -> Reading:
        """x (B, T) to vector, tokens and mask."""
        states, mask = self.encoder.states(x)
        return Reading(self.encoder.whole(states, mask), self.tokens(states), mask)


@final
class OnGrid(nn.Module):
    """A picture as a vector and as channels on the output's grid, one of them 1 everywhere: "it is here".

    Arguments:
        encoder: (B, C, h, w) to (B, width).
        shape: of the condition.
        size: H and W of the output; a condition of another size is scaled to it.
    """

    def __init__(self, encoder: nn.Module, shape: Grid, size: tuple[int, int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.aligned = (shape.channels + 1, *size)

    def forward(self, x: Tensor) -> Reading:
        """x (B, C, h, w) to its vector and (B, C + 1, H, W)."""
        vector: Tensor = self.encoder(x)
        size = self.aligned[1:]
        grid = 2 * x.float() - 1
        if grid.shape[2:] != size:
            grid = F.interpolate(grid, size, mode="bilinear", antialias=True)
        return Reading(vector, aligned=torch.cat([grid, torch.ones_like(grid[:, :1])], 1))
