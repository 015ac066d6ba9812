"""Generative adversarial network: a generator that a critic cannot tell from the data.

    z ~ p(z | c) ─ decoder ─→ x̂ ─┐
                          data x ─┴─ critic ─→ logits f, r ─→ the losses in adversarial.py

    critic      mean softplus(f - r) + γ/2 (|∇D(x)|² + |∇D(x̂)|²)
    generator   mean softplus(r - f)

Huang, Gokaslan, Kuleshov and Tompkin 2024, "The GAN is dead; long live the GAN! A modern baseline GAN",
section 2: pairing alone or one penalty alone diverges, both penalties with pairing do not. γ is not a
knob: it follows how well the critic tells the two apart (`GAN.follow`), starting from the item's size.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from ectype.context import Conditioner, Context
from ectype.data.batch import Batch
from ectype.errors import UsageError
from ectype.kinds import Kind
from ectype.likelihoods import Distribution, Latent, Likelihood
from ectype.models import Loss, Model, Stage
from ectype.models.adversarial import CRITIC, GENERATOR
from ectype.models.balance import PICTURES, Balance
from ectype.models.critic import Critic
from ectype.noise import Noise
from ectype.priors import Prior
from ectype.priors.normal import StandardNormal
from ectype.shapes import Grid, Tokens

_OF_TEXTS = (
    "a gan of texts is for study: a language model (--model lm) makes the better texts in the same time, "
    "nearer to real ones and no less different"
)

# deep and narrow: two wide layers, or leaky ones, reach half the quality in the same time; without the
# waves the critic does not see how wide a narrow mode is, and it comes out half as wide
_VECTORS = {"hidden": (128,) * 5, "waves": 6}
# 1e-3 and 2e-3 are less far in the same time (docs/log.md, 2026-11-21)
_PICTURES_RATE = 3e-3
_SETTLED = (
    1 / 3
)  # of a run: asked earlier, a generator makes one clear item of each condition and stays there


@final
class GAN(Model):
    """Generator and critic.

    Arguments:
        critic: how real an item looks.
        decoder: the generator, (z, context) → (B, *likelihood.numbers).
        likelihood: what the decoder's numbers mean; what it emits has to have a gradient.
        prior: p(z | c).
        conditioner: the generator's reading of conditions, or None.
        adversary: relativistic, ns, hinge or wasserstein.
        regularizer: r1r2, r1, gp (the Wasserstein critic's) or none.
        gamma: weight of the gradient penalty; default: follows the game by itself.
        augment: probability of each augmentation; default: from the size of the data.
        smoothing: weight of the divergence of a free text's vector, which the generator then reads as a draw
            around it (Zhang et al. 2017, "StackGAN", section 3.2, has 2); 0: as it is.
        mismatch: weight of the critic's telling an item's conditions from those of the batch's others;
            default: 0.5, for texts 0.1.
        contrast: weight of the generator's being asked the same, from a third of the run on, until it fits
            its conditions as well as real items do; for captions that say several things 0.5. It costs
            diversity where conditions say little.
    """

    default_prior = "normal"
    needs = ("critic", "decoder", "likelihood", "prior", "conditioner")
    adversarial = True
    coupled = True
    betas = (0.0, 0.99)
    usual: ClassVar = {"mlp": _VECTORS, "joint": _VECTORS, "conv": PICTURES}

    def __init__(
        self,
        critic: Critic,
        decoder: nn.Module,
        likelihood: Likelihood,
        prior: Prior,
        conditioner: Conditioner | None = None,
        *,
        adversary: Literal["relativistic", "ns", "hinge", "wasserstein"] = "relativistic",
        regularizer: Literal["r1r2", "r1", "gp", "none"] = "r1r2",
        gamma: float | None = None,
        augment: float | None = None,
        smoothing: float = 0.0,
        mismatch: float | None = None,
        contrast: float = 0.0,
    ) -> None:
        super().__init__()
        _check(likelihood, prior, smoothing, contrast)
        self.critic = critic
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior = prior
        self.conditioner = conditioner
        self.latent = prior.latent
        if isinstance(likelihood.shape, Grid):
            self.default_rate = _PICTURES_RATE
        if isinstance(likelihood.shape, Tokens) and likelihood.shape.size:
            self.remark = _OF_TEXTS
        self.adversary = adversary
        self.smoothing = smoothing
        self.contrast = contrast
        self.balance = Balance(
            likelihood.shape, regularizer=regularizer, gamma=gamma, augment=augment, mismatch=mismatch
        )

    @classmethod
    def suited(cls, kind: Kind) -> tuple[str, str]:
        if not isinstance(kind.shape, Tokens):
            return kind.network, "point"
        # what writes symbol by symbol would make a critic's gradient pass through every choice before
        return "sequence" if kind.shape.size else kind.network, "gumbel"

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (Stage("adversarial", ("critic", "generator")),)

    def player(self, name: str) -> list[nn.Parameter]:
        parts = {"critic": (self.critic,), "generator": (self.decoder, self.prior, self.conditioner)}[name]
        return [p for part in parts if part is not None for p in part.parameters() if p.requires_grad]

    def begin(self, items: int, some: Batch) -> None:
        super().begin(items, some)
        self.balance.begin(items)

    def decode(self, z: Tensor, context: Context | None = None) -> Distribution:
        p: Distribution = self.likelihood(self.decoder(z, context))
        return p

    def latents(self, n: int, context: Context | None = None) -> Latent:
        p: Latent = self.prior(n, context, _no_posterior)
        return p

    def guided(self, context: Context, null: Context, scale: float) -> Context:
        """In the same direction, and no longer than what the generator has been trained with."""
        # at twice the distance hardly a made digit is near a real one; shortened, nearly all are
        return context.guided(null, scale).within(context, null)

    def loss(self, batch: Batch, player: str = "generator", noise: Noise = None) -> Loss:
        if player == "critic":
            with torch.no_grad():
                fake = self._emitted(self.condition(batch, noise), len(batch), noise)
            return self.balance.critic_loss(self.critic, batch, fake, CRITIC[self.adversary], noise)
        context = self.condition(batch, noise)
        fake = self._emitted(context, len(batch), noise)
        contrast = self.contrast if self.progress >= _SETTLED else 0.0
        game = GENERATOR[self.adversary]
        loss = self.balance.generator_loss(self.critic, batch, fake, game, noise, contrast=contrast)
        if context is None or context.kl is None:
            return loss
        return replace(loss, each=loss.each + self.smoothing * context.kl[: len(loss.each)])

    def _emitted(self, context: Context | None, n: int, noise: Noise) -> Tensor:
        """New items as a critic reads them, with a gradient."""
        return self.decode(self.latents(n, context).draw(noise), context).emitted(noise)

    def steadied(self, factor: float, augmentation: float) -> dict[str, Tensor]:
        calmer = self.balance.steadied(factor, augmentation)
        return {f"balance.{name}": value for name, value in calmer.items()}

    def restrain(self) -> None:
        self.critic.restrain()

    def follow(self, player: str, loss: Loss, broken: Tensor) -> None:
        if player == "critic":
            self.balance.follow(loss.parts["accuracy"], len(loss.each), broken)


def _check(likelihood: Likelihood, prior: Prior, smoothing: float, contrast: float) -> None:
    """Raises UsageError for parts and options that make no GAN."""
    if likelihood.density:
        raise UsageError(
            "a gan emits items and no density of them: use the likelihood point, or gumbel for tokens"
        )
    if not isinstance(prior, StandardNormal):
        raise UsageError("a gan draws its latent from the prior normal, and has no codes to fit another to")
    for name, weight in (("smoothing", smoothing), ("contrast", contrast)):
        if not 0 <= weight < math.inf:
            raise UsageError(f"{name} is the weight of a loss, 0 or more, not {weight}")


def _no_posterior(x: Tensor, context: Context | None) -> Distribution:
    raise UsageError("a gan has no posterior")
