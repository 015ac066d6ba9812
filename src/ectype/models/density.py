"""A prior fitted to the posteriors of a model that holds still.

    loss   KL(q(z | x, c) || p(z | c)) = E_q[log q(z | x, c) - log p(z | c)]      one draw of z each time

Only the prior moves; the ELBO gains what the KL loses. The prior that is best for given posteriors is
their mean (Hoffman and Johnson 2016, "ELBO surgery", section 2), and codes that lie on a thin surface need
a learner of their own: the second stage of Dai and Wipf 2019, "Diagnosing and enhancing VAE models".
"""

from __future__ import annotations

from typing import Any, final

from torch import Tensor

from ectype.context import Conditioner, Context
from ectype.data.batch import Batch
from ectype.likelihoods import Distribution, Latent
from ectype.likelihoods.normal import NormalDistribution
from ectype.likelihoods.point import PointDistribution
from ectype.models import Loss, Model
from ectype.noise import Noise
from ectype.priors import Prior

BATCH = 256
"""Posteriors a step, or more: they cost little, and fewer leave a flow behind (docs/log.md, 2026-11-22)."""

LONG = 2000
"""Steps from which on it begins with new weights: those that followed moving codes learn more slowly from
then on, and are ahead only in fewer steps (docs/log.md, 2026-11-22)."""


@final
class Density(Model):
    """The prior alone; an item is a posterior, its means and log widths in one row (B, 2D).

    Arguments:
        prior: p(z | c), with a density.
        conditioner: of the conditions that the rows have, or None.
    """

    default_rate = 5e-3

    def __init__(self, prior: Prior, conditioner: Conditioner | None = None) -> None:
        super().__init__()
        self.prior = prior
        self.conditioner = conditioner
        self.latent = prior.latent

    def loss(self, batch: Batch, player: str = "model", noise: Noise = None) -> Loss:
        q = NormalDistribution(*batch.x.float().chunk(2, 1))
        z = q.draw(noise)
        p = self.latents(len(batch), self.condition(batch))
        kl = q.log_prob(z).sum(1) - p.log_prob(z)
        return Loss(kl, batch.weight, {"kl": kl.detach()})

    def decode(self, z: Tensor, context: Context | None = None) -> Distribution:
        return PointDistribution(z)

    def latents(self, n: int, context: Context | None = None) -> Latent:
        p: Latent = self.prior(n, context, _nobody)
        return p


def _nobody(x: Tensor, context: Context | None) -> Any:
    raise TypeError("a prior that asks the model's posterior cannot be fitted without it")
