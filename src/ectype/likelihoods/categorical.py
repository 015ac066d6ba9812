"""Categorical: one of V values per site, V logits each, or a text that a writer writes.

log p(x = v) = l_v - log sum_w exp l_w
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from ectype.errors import UsageError
from ectype.likelihoods import Choices, Likelihood
from ectype.likelihoods.written import Writer, WrittenDistribution, check_courage, inside
from ectype.noise import Noise, uniform
from ectype.shapes import Shape, Tokens


@final
class CategoricalDistribution(Choices):
    """Independent categories with `logits` (B, *size, V)."""

    def __init__(self, logits: Tensor) -> None:
        self.log_p = F.log_softmax(logits, -1)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_p.gather(-1, x.long().unsqueeze(-1)).squeeze(-1)

    def perturbed(self, noise: Noise = None) -> Tensor:
        """log p plus Gumbel noise (B, *size, V), whose argmax is a draw from p."""
        u = uniform(self.log_p.shape, noise, self.log_p.device).clamp(1e-20, 1 - 1e-7)
        return self.log_p - torch.log(-torch.log(u))

    def draw(self, noise: Noise = None) -> Tensor:
        return self.perturbed(noise).argmax(-1)

    def tempered(self, temperature: float = 1.0, nucleus: float = 1.0) -> CategoricalDistribution:
        check_courage(temperature, nucleus)
        # at 0 the most probable one is left
        return CategoricalDistribution(inside(self.log_p / max(temperature, 1e-6), nucleus))

    @property
    def mode(self) -> Tensor:
        return self.log_p.argmax(-1)


@final
class Categorical(Likelihood):
    """p(x | z) for tokens and labels."""

    discrete = True
    shown = "draw"

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        if not isinstance(shape, Tokens):
            raise UsageError(f"categorical needs tokens, and this data is a {type(shape).__name__}")
        self.numbers = (*shape.size, shape.vocabulary)
        self.register_buffer("origin", torch.zeros(shape.vocabulary))

    def begin(self, x: Tensor) -> None:
        """0 means how often each value occurs, at whatever site, by Laplace's rule of succession."""
        values = x[~x.isnan()].long()
        counts = torch.bincount(values, minlength=len(self.get_buffer("origin")))
        self.get_buffer("origin").copy_(torch.log((counts + 1) / (values.numel() + len(counts))))

    def forward(self, h: Tensor | Writer) -> CategoricalDistribution | WrittenDistribution:
        if isinstance(h, Writer):
            return WrittenDistribution(h, self.shape.sites)
        return CategoricalDistribution(h + self.get_buffer("origin"))
