"""Laplace with a learned scale: real numbers with heavier tails, an L1 reconstruction.

log p(x) = -|x - m| / b - log(2 b)
"""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from torch import Tensor

from ectype.likelihoods import Distribution, Likelihood
from ectype.likelihoods.scale import LearnedScale, width
from ectype.noise import Noise, uniform
from ectype.shapes import Shape


@final
class LaplaceDistribution(Distribution):
    """Independent Laplace variables, location (B, *form) and log scale that broadcasts to it."""

    def __init__(self, location: Tensor, log_scale: Tensor) -> None:
        self.location = location
        self.log_scale = log_scale

    def log_prob(self, x: Tensor) -> Tensor:
        return -(x - self.location).abs() * torch.exp(-self.log_scale) - self.log_scale - math.log(2)

    def draw(self, noise: Noise = None) -> Tensor:
        # inverse of the distribution function; u is kept off 0 and 1, where it is infinite
        u = uniform(self.location.shape, noise, self.location.device).clamp(1e-7, 1 - 1e-7) - 0.5
        return self.location - width(self.log_scale) * u.sign() * torch.log1p(-2 * u.abs())

    @property
    def mean(self) -> Tensor:
        return self.location

    @property
    def mode(self) -> Tensor:
        return self.location


@final
class Laplace(Likelihood):
    """p(x | z) with absolute errors.

    Arguments:
        scale: one learned scale for all ("shared"), per channel or column, or per site.
        floor: the smallest scale b; it bounds the density, so it is part of the model. 0.001, of
            pictures 0.2 of the range: finer, and the code fills with what nobody sees.
    """

    discrete = False

    def __init__(
        self,
        shape: Shape,
        *,
        scale: Literal["shared", "channel", "site"] = "channel",
        floor: float = 1e-3,
    ) -> None:
        super().__init__(shape)
        self.scale = LearnedScale(shape, scale, floor)
        self.numbers = self.scale.numbers

    def begin(self, x: Tensor) -> None:
        self.scale.begin(x)

    def forward(self, h: Tensor) -> LaplaceDistribution:
        return LaplaceDistribution(*self.scale(h))
