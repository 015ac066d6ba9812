"""Normal with a learned scale: real numbers, one mean each.

    log p(x) = -(x - m)^2 / (2 s^2) - log s - log(2 pi) / 2

The scale is learned, one for everything, one per channel or column, or one per site from the
decoder. A fixed scale of one is mean squared error in disguise and weighs the KL arbitrarily
(Rybkin, Daniilidis and Levine 2021, "Simple and effective VAE training with calibrated decoders").
"""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from torch import Tensor

from ectype.likelihoods import Latent, Likelihood
from ectype.likelihoods.scale import LearnedScale, width
from ectype.noise import Noise, normal
from ectype.shapes import Shape

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@final
class NormalDistribution(Latent):
    """Independent normals, mean (B, *form) and log standard deviation that broadcasts to it."""

    def __init__(self, mean: Tensor, log_scale: Tensor) -> None:
        self._mean = mean
        self.log_scale = log_scale

    def log_prob(self, x: Tensor) -> Tensor:
        d = (x - self._mean) * torch.exp(-self.log_scale)
        return -0.5 * d * d - self.log_scale - _HALF_LOG_2PI

    def numbers(self, noise: Noise = None) -> Tensor:
        return normal(self._mean.shape, noise, self._mean.device)

    def of_noise(self, e: Tensor) -> Tensor:
        return self._mean + width(self.log_scale) * e

    def noise_of(self, x: Tensor) -> Tensor:
        return (x - self._mean) / width(self.log_scale)

    @property
    def mean(self) -> Tensor:
        return self._mean

    @property
    def mode(self) -> Tensor:
        return self._mean


def normal_kl(q: NormalDistribution, p: NormalDistribution) -> Tensor:
    """KL(q || p) of diagonal normals, (B, D) nats: one value per dimension."""
    ratio = torch.exp(2 * (q.log_scale - p.log_scale))
    shift = (q.mean - p.mean) * torch.exp(-p.log_scale)
    return 0.5 * (ratio + shift * shift - 1) + p.log_scale - q.log_scale


@final
class Normal(Likelihood):
    """p(x | z) for real numbers, and for images where a density is enough.

    Arguments:
        scale: one learned scale for all ("shared"), per channel or column, or per site.
        floor: the smallest standard deviation; it bounds the density, so it is part of the model. 0.001, of
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

    def forward(self, h: Tensor) -> NormalDistribution:
        return NormalDistribution(*self.scale(h))
