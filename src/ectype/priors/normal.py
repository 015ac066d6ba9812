"""The standard normal prior, and with a condition a learned conditional normal."""

from __future__ import annotations

from typing import final

import torch
from torch import nn

from ectype.context import Context
from ectype.likelihoods.normal import NormalDistribution
from ectype.priors import Posterior, Prior
from ectype.shapes import Shape


@final
class StandardNormal(Prior):
    """N(0, 1); with a condition N(m(c), s(c)), which starts at N(0, 1) and learns."""

    def __init__(self, latent: int, shape: Shape, *, context: int = 0) -> None:
        super().__init__(latent, shape, context=context)
        self.head = nn.Linear(context, 2 * latent) if context else None
        if self.head is not None:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)
        self.register_buffer("zero", torch.zeros(1), persistent=False)

    def forward(self, n: int, context: Context | None, posterior: Posterior) -> NormalDistribution:
        if self.head is not None and context is not None:
            mean, log_scale = self.head(context.vector).float().chunk(2, 1)
            return NormalDistribution(mean, log_scale.clamp(-5, 3))
        zero = self.get_buffer("zero").expand(n, self.latent)
        return NormalDistribution(zero, zero)
