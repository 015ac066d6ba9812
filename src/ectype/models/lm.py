"""Language model: p(x | c) without a latent, the floor of every model of texts that has one.

    log p(x | c) = sum_t log p(x_t | x_1, ..., x_(t-1), c)

Its loss is the exact negative log-likelihood. A text VAE whose bound on log p(x) is much worse pays for its
code more than the code says; one that is as good and has a KL of 0 is this model.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ectype.context import Conditioner, Context
from ectype.data.batch import Batch
from ectype.likelihoods import Distribution, Likelihood
from ectype.likelihoods.normal import NormalDistribution
from ectype.models import Loss, Model
from ectype.noise import Noise


@final
class LM(Model):
    """Texts that are written symbol by symbol, each from those before it and the conditions.

    Arguments:
        decoder: (z, context) → a writer, for z (B, 0).
        likelihood: categorical.
        conditioner: conditions to a Context, or None.
    """

    needs = ("decoder", "likelihood", "conditioner")
    default_prior = "normal"
    coded = False
    exact = True
    latent = 0

    def __init__(
        self, decoder: nn.Module, likelihood: Likelihood, conditioner: Conditioner | None = None
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.likelihood = likelihood
        self.conditioner = conditioner

    def begin(self, items: int, some: Batch) -> None:
        """Nothing: there is no prior to start from items."""

    def decode(self, z: Tensor, context: Context | None = None) -> Distribution:
        p: Distribution = self.likelihood(self.decoder(z, context))
        return p

    def latents(self, n: int, context: Context | None = None) -> NormalDistribution:
        """The only code there is, of no numbers: (B, 0)."""
        nothing = torch.zeros(n, 0, device=next(self.parameters()).device)
        return NormalDistribution(nothing, nothing)

    def made(self, batch: Batch, noise: Noise = None) -> Tensor:
        context = self.condition(batch, noise)
        return self.decode(self.latents(len(batch)).mean, context).draw(noise)

    def loss(self, batch: Batch, player: str = "model", noise: Noise = None) -> Loss:
        context = self.condition(batch)
        p = self.decode(self.latents(len(batch)).mean, context)
        return Loss(-self.reconstruction(p, batch), batch.weight)
