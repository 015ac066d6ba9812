"""Autoencoder: a deterministic code and its reconstruction.

    x ─ encoder ─→ z (+ noise) ─ decoder ─→ p(x | z)          loss = -log p(x | z) + penalty · |z|² / 2

It has no density of its own; generation goes through what is fitted to the codes after training (the
priors `fitted` and `gan`). The small penalty keeps the code from growing without bound, which is also how it
would escape the noise (Ghosh et al. 2020, "From variational to deterministic autoencoders",
equation 8 with the L2 decoder term left to weight decay).
"""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from ectype.context import Conditioner, Context
from ectype.data.batch import Batch
from ectype.errors import UsageError
from ectype.likelihoods import Distribution, Likelihood
from ectype.likelihoods.point import PointDistribution
from ectype.models import Autoencoder, Latents, Loss
from ectype.models.hiding import checked_hide, left
from ectype.noise import Noise, normal
from ectype.priors import Prior


@final
class AE(Autoencoder):
    """Autoencoder with a deterministic code.

    Arguments:
        corruption: standard deviation of normal noise added to the code while training.
        penalty: weight of |z|² / 2, nats.
        hide: share of an item's values that the encoder does not see at each training step.
    """

    default_prior = "fitted"
    per_latent = 1

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        prior: Prior,
        conditioner: Conditioner | None = None,
        *,
        corruption: float = 0.0,
        penalty: float = 0.01,
        hide: float = 0.0,
    ) -> None:
        super().__init__(encoder, decoder, likelihood, prior, conditioner)
        if not (corruption >= 0 and penalty >= 0):
            raise UsageError(f"corruption and penalty are not negative, got {corruption} and {penalty}")
        if not prior.after_training:  # its codes would follow no density that can be drawn from
            raise UsageError("an autoencoder does not train its prior: use the prior fitted or gan, or a vae")
        self.corruption = corruption
        self.penalty = penalty
        self.hide = checked_hide(hide)

    def posterior(
        self, x: Tensor, context: Context | None = None, seen: Tensor | None = None
    ) -> PointDistribution:
        return PointDistribution(self.encoder(x, context, seen).float())

    def draws(self, q: Distribution, context: Context | None, k: int, noise: Noise) -> Latents:
        return Latents(q.mean.repeat(k, 1), q, self.latents(len(q.mean), context))

    def loss(self, batch: Batch, player: str = "model", noise: Noise = None) -> Loss:
        context = self.condition(batch)
        seen = left(batch, self.likelihood.shape, self.hide if self.training else 0.0, noise)
        z = self.posterior(batch.x, context, seen).value
        penalty = 0.5 * self.penalty * (z * z).sum(1)
        if self.training and self.corruption > 0:
            z = z + self.corruption * normal(z.shape, noise, z.device)
        distortion = -self.reconstruction(self.decode(z, context), batch)
        return Loss(distortion + penalty, batch.weight, {"distortion": distortion.detach()})
