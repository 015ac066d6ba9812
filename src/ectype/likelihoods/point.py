"""All mass on one value: what a deterministic code is, and what a generator without a density emits.

    log p(x) = 0 where x is the value, minus infinity elsewhere

There is no bound on log p(x) to be had from it; families that use it are trained and judged otherwise.
"""

from __future__ import annotations

from typing import Any, final

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

    Grids are emitted around 0, shifted to [0, 1] and cut off there, so that a critic judges what a user will
    get: a black background is black, where without a cut it kept noise that the critic could not remove. The
    gradient of a cut value passes where it leads back; a saturated tanh would have none to come back by.
    """

    discrete = False
    several = True
    density = False

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        if has_tokens(shape):
            use = "gumbel in a gan, categorical in a vae"
            if isinstance(shape, Joint):
                use = "a vae for items with a choice among their parts (a text, a label, a length)"
            raise UsageError(f"the likelihood point has no gradient through a choice of tokens: use {use}")
        self.numbers = shape.form
        self.forms = tuple(part.form for part in parts_of(shape))

    def forward(self, h: Tensor) -> PointDistribution:
        h = h.float()
        if not isinstance(self.shape, Joint):
            return PointDistribution(_placed(h, self.shape))
        pieces = zip(self.shape.split(h), self.shape.parts, strict=True)
        return PointDistribution(torch.cat([_placed(piece, part).flatten(1) for piece, part in pieces], 1))


class _Within(torch.autograd.Function):
    """Values cut off at 0 and 1; the gradient of what lies outside passes where a descent leads back."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        ctx.save_for_backward(h)
        return h.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (h,), (gradient,) = ctx.saved_tensors, gradients
        away = ((h < 0) & (gradient > 0)) | ((h > 1) & (gradient < 0))
        return gradient.masked_fill(away, 0)


def _placed(h: Tensor, shape: Shape) -> Tensor:
    if not isinstance(shape, Grid):
        return h
    placed: Tensor = _Within.apply(0.5 * h + 0.5)  # type: ignore[no-untyped-call]
    return placed
