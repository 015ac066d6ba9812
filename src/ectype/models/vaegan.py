"""VAE-GAN: any autoencoder whose decoder also has to satisfy a critic.

    x ─ encoder ─→ z ─ decoder ─→ h ─ likelihood ─→ p(x | z, c)   distortion, KL, critic features of x̂ and x
    z' ~ p(z | c), or a code ─ decoder ─→ h' ─→ x̂' ─ critic ─→ f      the adversary

    phase 1     autoencoder alone: distortion + KL
    phase 2     critic         the adversary of adversarial.py on x and x̂', with penalties (balance.py)
                autoencoder    distortion + KL + w_f |F(x) - F(x̂)|² / E|F(x) - F̄|² + w_a · adversary(r, f)

Larsen, Sønderby, Larochelle and Winther 2016, "Autoencoding beyond pixels using a learned similarity
metric", equations 7 and 8 and algorithm 1. Who gets which gradient: the encoder distortion, features and
KL, never the adversary (z' carries none back to it); the decoder distortion, features and the adversary;
the critic the adversary alone, with the opposite sign. Instead of a constant to tune, w_a and w_f are set
at each step so that the gradient at the decoder's output h is a fixed share of the distortion's (the
rule of Esser, Rombach and Ommer 2021, "Taming transformers for high-resolution image synthesis",
equation 7, with the output in place of the last layer).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn

from ectype.context import Context
from ectype.data.batch import Batch
from ectype.errors import UsageError
from ectype.likelihoods import Distribution
from ectype.models import Autoencoder, Latents, Loss, Model, Stage
from ectype.models.adversarial import CRITIC, GENERATOR
from ectype.models.balance import PICTURES, Balance
from ectype.models.critic import Critic
from ectype.noise import Noise, uniform
from ectype.shapes import Grid, has_tokens

_PICTURES_RATE = 2e-3


@final
class VAEGAN(Autoencoder):
    """An autoencoder and a critic.

    Arguments:
        autoencoder: an AE or a VAE.
        critic: how real an item looks.
        around: which family the autoencoder is of: vae or ae.
        adversary: relativistic, ns, hinge or wasserstein.
        regularizer: r1r2, r1, gp or none.
        gamma: weight of the gradient penalty; default: follows the game by itself.
        augment: probability of each augmentation; default: from the size of the data.
        phase: share of training that the autoencoder is alone.
        adversarial_weight: the adversary's gradient, as a share of the distortion's.
        feature_weight: the same for the distance of critic features.
    """

    needs = ("autoencoder", "critic")
    adversarial = True
    coupled = True
    betas = (0.0, 0.99)
    usual: ClassVar = {"conv": PICTURES}

    def __init__(
        self,
        autoencoder: Autoencoder,
        critic: Critic,
        *,
        around: Literal["vae", "ae"] = "vae",
        adversary: Literal["relativistic", "ns", "hinge", "wasserstein"] = "relativistic",
        regularizer: Literal["r1r2", "r1", "gp", "none"] = "r1r2",
        gamma: float | None = None,
        augment: float | None = None,
        mismatch: float | None = None,
        phase: float = 0.3,
        adversarial_weight: float = 1.0,
        feature_weight: float = 0.5,
    ) -> None:
        Model.__init__(self)  # the parts live in the autoencoder, and once only
        if has_tokens(autoencoder.likelihood.shape):
            raise UsageError("a vaegan has no gradient through a choice of tokens; use a vae")
        if not (0 <= phase < 1 and adversarial_weight >= 0 and feature_weight >= 0):
            raise UsageError(
                "phase is a share of training below 1, and adversarial_weight and feature_weight are not "
                f"negative; got {phase}, {adversarial_weight} and {feature_weight}"
            )
        self.autoencoder = autoencoder
        self.critic = critic
        self.latent = autoencoder.latent
        self.adversary = adversary
        self.phase = phase
        self.adversarial_weight = adversarial_weight
        self.feature_weight = feature_weight
        self.bounded = autoencoder.bounded
        shape = autoencoder.likelihood.shape
        if isinstance(shape, Grid):
            self.default_rate = _PICTURES_RATE
        self.balance = Balance(
            shape, regularizer=regularizer, gamma=gamma, augment=augment, mismatch=mismatch
        )

    def __getattr__(self, name: str) -> Any:
        """Encoder, decoder, likelihood, prior and conditioner are the autoencoder's."""
        if name in ("encoder", "decoder", "likelihood", "prior", "conditioner"):
            return getattr(super().__getattr__("autoencoder"), name)
        return super().__getattr__(name)

    @property
    def stages(self) -> tuple[Stage, ...]:
        moving = [
            Stage("reconstruction", ("autoencoder",), self.phase),
            Stage("adversarial", ("critic", "autoencoder"), 1 - self.phase),
        ]
        return (*moving[self.phase == 0 :], *(s for s in self.autoencoder.stages if not s.players))

    @property
    def settled(self) -> bool:
        return super().settled and self.autoencoder.settled

    def player(self, name: str) -> list[nn.Parameter]:
        part = {"critic": self.critic, "autoencoder": self.autoencoder}[name]
        return [p for p in part.parameters() if p.requires_grad]

    def begin(self, items: int, some: Batch) -> None:
        self.autoencoder.begin(items, some)
        self.balance.begin(items)

    def posterior(
        self, x: Tensor, context: Context | None = None, seen: Tensor | None = None
    ) -> Distribution:
        return self.autoencoder.posterior(x, context, seen)

    def draws(self, q: Distribution, context: Context | None, k: int, noise: Noise) -> Latents:
        return self.autoencoder.draws(q, context, k, noise)

    def settle(self, train: Iterable[Batch], select: Iterable[Batch]) -> None:
        self.autoencoder.settle(train, select)

    def loss(self, batch: Batch, player: str = "autoencoder", noise: Noise = None) -> Loss:
        if player == "critic":
            with torch.no_grad():
                context = self.condition(batch)
                z = self.posterior(batch.x, context, batch.seen).draw(noise)
                fake = self.decode(self._mixed(z, context, noise), context).mean
            return self.balance.critic_loss(self.critic, batch, fake, CRITIC[self.adversary], noise)
        self.autoencoder.progress = self.progress
        with _watched(self.decoder) as passed:
            own = self.autoencoder.loss(batch, noise=noise)
        if self.progress < self.phase or not torch.is_grad_enabled():
            none = own.each.new_zeros(())
            return Loss(own.each, own.weight, own.parts | {"adversary": none, "features": none})
        pulled, parts = self._pulled(batch, own, *passed[-1], noise)
        # the pull has its gradient and no value: `each` stays what the autoencoder is alone
        return Loss(own.each + (pulled - pulled.detach()), own.weight, own.parts | parts)

    def _mixed(self, z: Tensor, context: Context | None, noise: Noise) -> Tensor:
        """Latents (B, D) that the critic sees decoded: draws of the prior, and codes in every second row.

        Both have to look real: what is sampled, and what is reconstructed. No gradient leads back from
        here to the encoder. A prior that is not known before the end is left out.
        """
        if self.prior.after_training:
            return z.detach()
        with torch.no_grad():
            drawn = self.latents(len(z), context).draw(noise)
        coin = uniform((len(z), 1), noise, z.device) < 0.5
        return torch.where(coin, drawn, z.detach())

    def _pulled(
        self, batch: Batch, own: Loss, z: Tensor, h: Tensor, noise: Noise
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """h · ∂/∂h of what the critic adds, per item (B,), in shares of the distortion's gradient."""
        n, context = len(batch), self.condition(batch)
        (slope,) = torch.autograd.grad(own.each.sum(), h, retain_graph=True)
        # of K samples of each item the first is pulled, as hard as all of them together
        length = slope.float().unflatten(0, (-1, n)).sum(0).norm()
        z, h = z[:n], h[:n]
        h_made = self.decoder(self._mixed(z, context, noise), context)
        far = self._features(batch, h.detach().requires_grad_())
        leaf = h_made.detach().requires_grad_()
        fake = self.likelihood(leaf).mean
        game = self.balance.generator_loss(self.critic, batch, fake, GENERATOR[self.adversary], noise)
        (push,) = torch.autograd.grad(game.each.sum(), leaf)
        pulled = self._share(h_made, push, length, self.adversarial_weight)
        pulled = pulled + self._share(h, far[1], length, self.feature_weight)
        return pulled, {"adversary": game.each.detach(), "features": far[0]}

    def _features(self, batch: Batch, leaf: Tensor) -> tuple[Tensor, Tensor]:
        """Distance of critic features of items and reconstructions (B/pack,), and its gradient at `leaf`."""
        batch = self.critic.whole(batch)
        with self.critic.held():
            context = self.critic.condition(batch)
            with torch.no_grad():
                real = self.critic.features(batch.x.float(), context, batch.seen)
            made = self.critic.features(self.likelihood(leaf).mean[: len(batch)], context, batch.seen)
        # relative to how much items differ, or the critic could make it large by scaling its features
        spread = (real - real.mean(0)).square().sum(1).mean().clamp(min=1e-12)
        far = (made - real).square().sum(1) / spread
        (slope,) = torch.autograd.grad(far.sum(), leaf)
        return far.detach(), slope

    @staticmethod
    def _share(h: Tensor, slope: Tensor, length: Tensor, share: float) -> Tensor:
        """h · slope per item (B,), with the slope scaled to `share` of a length."""
        scaled = slope.float() * (share * length / slope.float().norm().clamp(min=1e-12))
        return (h.float() * scaled).flatten(1).sum(1)

    def steadied(self, factor: float, augmentation: float) -> dict[str, Tensor]:
        calmer = self.balance.steadied(factor, augmentation)
        return {f"balance.{name}": value for name, value in calmer.items()}

    def restrain(self) -> None:
        self.critic.restrain()

    def follow(self, player: str, loss: Loss, broken: Tensor) -> None:
        if player == "critic":
            self.balance.follow(loss.parts["accuracy"], len(loss.each), broken)


@contextmanager
def _watched(decoder: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Collects latents and outputs (z, h) of every call of a decoder inside the block."""
    passed: list[tuple[Tensor, Tensor]] = []
    handle = decoder.register_forward_hook(lambda _, given, out: passed.append((given[0], out)))
    try:
        yield passed
    finally:
        handle.remove()
