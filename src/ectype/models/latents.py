"""How many numbers a latent has, and samples of it with the densities that they are weighed by."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ectype.likelihoods import Distribution
from ectype.likelihoods.normal import NormalDistribution, normal_kl


@dataclass(frozen=True)
class Latents:
    """K samples of the latent for each of B items, K-major; densities are computed when asked for.

    Arguments:
        z: (K·B, D).
        q: q(z | x, c), a batch of B.
        p: p(z | c), a batch of B.
    """

    z: Tensor
    q: Distribution
    p: Distribution

    @property
    def log_q(self) -> Tensor:
        """log q(z | x, c), (K·B,) nats."""
        return self._density(self.q)

    @property
    def log_p(self) -> Tensor:
        """log p(z | c), (K·B,) nats."""
        return self._density(self.p)

    @property
    def kl(self) -> Tensor | None:
        """The exact KL(q || p) per dimension (B, D), or None where it has no closed form."""
        if isinstance(self.q, NormalDistribution) and isinstance(self.p, NormalDistribution):
            return normal_kl(self.q, self.p)
        return None

    def _density(self, of: Distribution) -> Tensor:
        if of.joint:
            return of.log_prob(self.z)
        return of.log_prob(self.z.view(-1, *self.q.mean.shape)).sum(2).flatten()


def room(values: int, *, picture: bool = False) -> int:
    """Latent numbers for items of so many values: the power of two from 1.4 √values on, from 2 to 128.

    Of a picture, whose values are counted as places, from √values on, and from 16 on where so many fit. What
    has to be told costs nats: of 32 x 32 pixels in colour 128 numbers learn later than 32 do (docs/log.md,
    2026-11-21). Where they are noise to be drawn from, more cost nothing.
    """
    usual = min(128, max(2, 2 ** math.ceil(math.log2(1.4 * math.sqrt(max(1, values))))))
    return max(min(16, usual), min(128, 2 ** math.ceil(math.log2(values) / 2))) if picture else usual
