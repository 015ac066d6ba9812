"""A fixed space in which made items are compared with real ones, and a distance there.

    x ─ pooled to at most 16 × 16 ─ principal axes of the training items (at most 64) ─→ (N, d)

Of items of several parts each part has unit variance, and a text is how often each symbol occurs in it.

    energy   (2 E|x - y| - E|x - x'| - E|y - y'|) / E|x - x'|
    shared   Σ_k min(share of x in cell k, share of y in cell k)

Székely and Rizzo 2013, "Energy statistics: a class of statistics based on distances", equation 5, as an
unbiased estimate: 0 on average for two samples of one distribution, so it can be a little below; 2 and
more for what has nothing to do with the data. It is 0 for no other distribution, modes left out
included. The space is the same for every model of a data set and learns nothing from any of them.

What is shared tells modes that are gone from items that are a little off, which a distance adds up. The
cells are those of 16 items x far from each other (Gonzalez 1985, "Clustering to minimize the maximum
intercluster distance", section 3); shares of them are compared by Richardson and Weiss 2018, "On GANs and
GMMs", section 2.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from ectype.shapes import Grid, Joint, Shape, Tokens

_SIDE = 16
_AXES = 64
_CELLS = 16


@final
class Space:
    """Principal axes of the training items.

    Arguments:
        shape: of the items.
        x: (N, *form) training items; a few thousand are enough.
    """

    def __init__(self, shape: Shape, x: Tensor) -> None:
        self.shape = shape
        self.spreads: list[float] = []
        flat = self._flat(x)
        self.middle = flat.mean(0)
        centred = (flat - self.middle).double()
        values, vectors = torch.linalg.eigh(centred.T @ centred / max(1, len(x) - 1))
        self.axes = vectors.flip(1)[:, :_AXES].float()

    def __call__(self, x: Tensor) -> Tensor:
        """Items (N, *form) to coordinates (N, d)."""
        return (self._flat(x) - self.middle) @ self.axes

    def _flat(self, x: Tensor) -> Tensor:
        if not isinstance(self.shape, Joint):
            return _numbers(x, self.shape)
        pieces = zip(self.shape.split(x), self.shape.parts, strict=True)
        rows = [_counted(_numbers(piece, part), part) for piece, part in pieces]
        if not self.spreads:
            self.spreads = [float(row.var(0).sum().sqrt().clamp(min=1e-6)) for row in rows]
        return torch.cat([row / spread for row, spread in zip(rows, self.spreads, strict=True)], 1)


def _numbers(x: Tensor, shape: Shape) -> Tensor:
    """Items (N, *form) of one kind as rows of numbers."""
    if isinstance(shape, Tokens):
        x = F.one_hot(x.long(), shape.vocabulary) if x.dim() == 1 + len(shape.size) else x
    elif isinstance(shape, Grid) and len(shape.size) == 2:
        h, w = shape.size
        x = F.adaptive_avg_pool2d(x.float(), (min(h, _SIDE), min(w, _SIDE)))
    return x.detach().float().cpu().flatten(1)


def _counted(x: Tensor, shape: Shape) -> Tensor:
    """Of tokens how often each occurs (N, V): beside another part their places would be most of the row."""
    return x.reshape(len(x), -1, shape.vocabulary).sum(1) if isinstance(shape, Tokens) else x


def energy(x: Tensor, y: Tensor) -> float:
    """Energy distance of coordinates (N, d) and (M, d), in units of the mean distance within x."""
    if len(x) < 2 or len(y) < 2:
        return float("nan")
    across = torch.cdist(x, y).double().mean()
    own = within(x)
    return float((2 * across - own - within(y)) / own.clamp(min=1e-12))


def within(x: Tensor) -> Tensor:
    """Mean distance of two different items of (N, d)."""
    return torch.cdist(x, x).double().sum() / (len(x) * (len(x) - 1))


def shared(x: Tensor, y: Tensor) -> float:
    """How much of the cells of x (N, d) is taken by y (M, d) too: 1 all, a half where half of the modes are.

    Two samples of one distribution come to less than 1, of 256 items each to about 0.9.
    """
    apart = torch.cdist(x, x)
    nearest = apart[(x - x.mean(0)).square().sum(1).argmin()].clone()
    marks = [int(nearest.argmin())]
    for _ in range(min(_CELLS, len(x)) - 1):
        marks.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, apart[marks[-1]])
    cells = (torch.cdist(items, x[marks]).argmin(1) for items in (x, y))
    first, second = (torch.bincount(at, minlength=len(marks)) / len(at) for at in cells)
    return float(torch.minimum(first, second).sum())
