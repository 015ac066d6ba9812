"""All mass on one value: what a deterministic code is, and what a generator without a density emits.

    log p(x) = 0 where x is the value, minus infinity elsewhere

There is no bound on log p(x) to be had from it; families that use it are trained and judged otherwise.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ectype.errors import UsageError
from ectype.likelihoods import Distribution, Likelihood
from ectype.noise import Noise
from ectype.shapes import Grid, Joint, Shape, has_tokens, parts_of


@final
class PointDistribution(Distribution):
    """All mass on `value` (B, *form)."""

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def log_prob(self, x: Tensor) -> Tensor:
        """log of the mass: 0 on the value, minus infinity elsewhere."""
        return torch.where(x == self.value, 0.0, -torch.inf)

    def draw(self, noise: Noise = None) -> Tensor:
        return self.value

    @property
    def mean(self) -> Tensor:
        return self.value

    @property
    def mode(self) -> Tensor:
        return self.value


@final
class Point(Likelihood):
    """The decoder's numbers are the item.

    Grids are emitted around 0 and shifted to [0, 1]; nothing squashes them: a generator that leaves the
    range is told so by the critic, and a saturated tanh would leave it no gradient to come back by.
    """

    discrete = False
    density = False

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        if has_tokens(shape):
            raise UsageError(
                "point has no gradient through a choice of tokens: use gumbel in a gan, categorical in a vae"
            )
        self.numbers = shape.form
        self.forms = tuple(part.form for part in parts_of(shape))

    def forward(self, h: Tensor) -> PointDistribution:
        h = h.float()
        if not isinstance(self.shape, Joint):
            return PointDistribution(_placed(h, self.shape))
        pieces = zip(self.shape.split(h), self.shape.parts, strict=True)
        return PointDistribution(torch.cat([_placed(piece, part).flatten(1) for piece, part in pieces], 1))


def _placed(h: Tensor, shape: Shape) -> Tensor:
    return 0.5 * h + 0.5 if isinstance(shape, Grid) else h
