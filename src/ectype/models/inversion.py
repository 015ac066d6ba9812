"""Reading with a model that only makes: an encoder trained after the fact, and codes refined one by one.

    ε ~ N(0, 1)     z = m(c) + s(c) ε ─ generator ─→ x̂     p(z | c) = N(m, s²)
    x ─ encoder ─→ e(x)    E(x) = m(c) + s(c) e(x)

    loss = mean_D (ε - e(x̂))² + (mean |x̂ - G(E(x̂))|² + mean |x - G(E(x))|²) / v

The generator G stays as it is. The first term alone learns from made items only and is wrong on real ones;
the others alone leave the codes anywhere. The first is the latent regressor of Donahue, Krähenbühl and
Darrell 2017, "Adversarial feature learning", section 4; an encoder that gives real items back, and a code
that is refined from its answer, are in Zhu, Krähenbühl, Shechtman and Efros 2016, "Generative visual
manipulation on the natural image manifold", section 4.1. v is the variance of the items around their mean,
so that each of the three terms is about 1 for an encoder that says nothing.

    refined     z* = argmin_z mean |x - G(z)|², by Adam from E(x): the best z on the way; or another misfit
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self, final

import torch
from torch import Tensor, nn

from ectype.context import Context
from ectype.data.batch import Batch
from ectype.errors import UsageError
from ectype.likelihoods import Distribution, Latent
from ectype.likelihoods.normal import NormalDistribution
from ectype.likelihoods.point import PointDistribution
from ectype.models import Autoencoder, Latents, Loss, Model, Stage
from ectype.noise import Noise
from ectype.shapes import has_tokens

_RATE = 0.1  # of Adam at its first step, in units of the code's own length per dimension


def check_invertible(model: Model) -> None:
    """Raise UsageError for a model that needs no other encoder, or whose items give no gradient to a code."""
    if isinstance(model, Autoencoder):
        raise UsageError("this model has an encoder of its own: there is nothing to invert")
    if has_tokens(model.likelihood.shape):
        raise UsageError("what chooses symbols cannot be inverted: a code has no gradient; train a vae")


@final
class Inverted(Autoencoder):
    """A model that only makes, with an encoder beside it: it reads as an autoencoder does.

    Arguments:
        model: what is inverted; its prior is normal, and it is not changed.
        encoder: (x, context, seen) → (B, D), codes in standard units.
    """

    per_latent = 1

    def __init__(self, model: Model, encoder: nn.Module) -> None:
        Model.__init__(self)  # the parts are the model's
        check_invertible(model)
        self.model = model
        self.encoder = encoder
        self.likelihood = model.likelihood
        self.prior = model.prior
        self.conditioner = model.conditioner
        self.latent = model.latent
        self.register_buffer("spread", torch.ones(()), persistent=False)

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (Stage("inversion", ("encoder",)),)

    def player(self, name: str) -> list[nn.Parameter]:
        return [p for p in {"encoder": self.encoder}[name].parameters() if p.requires_grad]

    def begin(self, items: int, some: Batch) -> None:
        """Take v from real items."""
        x = some.known.double()
        variance = (x - x.nanmean(0)).square().nanmean(0).nanmean().nan_to_num(1.0)
        self.get_buffer("spread").copy_(variance.clamp(min=1e-6))

    def train(self, mode: bool = True) -> Self:
        """Only the encoder trains: what is inverted is the generator that makes items, without dropout."""
        super().train(mode)
        self.model.eval()
        return self

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, gradients pass through the model's weights and reach none of them."""
        held = [p for p in self.model.parameters() if p.requires_grad]
        for parameter in held:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in held:
                parameter.requires_grad_(True)

    def decode(self, z: Tensor, context: Context | None = None) -> Distribution:
        return self.model.decode(z, context)

    def latents(self, n: int, context: Context | None = None) -> Latent:
        return self.model.latents(n, context)

    def posterior(
        self, x: Tensor, context: Context | None = None, seen: Tensor | None = None
    ) -> PointDistribution:
        return PointDistribution(self._placed(self.encoder(x, context, seen).float(), context))

    def draws(self, q: Distribution, context: Context | None, k: int, noise: Noise) -> Latents:
        return Latents(q.mean.repeat(k, 1), q, self.latents(len(q.mean), context))

    def loss(self, batch: Batch, player: str = "encoder", noise: Noise = None) -> Loss:
        """The three terms, each per item (B,) and without a unit; parts: code, made, real."""
        n, context = len(batch), self.condition(batch)
        with torch.no_grad():
            z = self.latents(n, context).draw(noise)
            made = self.decode(z, context).mean
        x, seen = torch.cat([batch.x.to(made.dtype), made]), batch.seen
        if seen is not None:
            seen = torch.cat([seen, torch.ones_like(seen)])
        twice = None if context is None else context.repeat(2)
        e = self.encoder(x, twice, seen).float()
        back = self.decode(self._placed(e, twice), twice).mean
        far = distance(x, back, seen) / self.get_buffer("spread")
        code = (self.standard(z, context) - e[n:]).square().mean(1)
        parts = {"code": code.detach(), "made": far[n:].detach(), "real": far[:n].detach()}
        return Loss(code + far[n:] + far[:n], batch.weight, parts)

    def standard(self, z: Tensor, context: Context | None = None) -> Tensor:
        """Codes z (B, D) as ε (B, D), which the prior draws from N(0, 1)."""
        p = self._normal(len(z), context)
        return (z - p.mean) * torch.exp(-p.log_scale)

    def _placed(self, e: Tensor, context: Context | None) -> Tensor:
        """The inverse of `standard`."""
        p = self._normal(len(e), context)
        return p.mean + torch.exp(p.log_scale) * e

    def _normal(self, n: int, context: Context | None) -> NormalDistribution:
        p = self.latents(n, context)
        if not isinstance(p, NormalDistribution):
            raise UsageError("only a model whose prior is normal can be inverted")
        return p


def distance(x: Tensor, y: Tensor, seen: Tensor | None = None) -> Tensor:
    """Mean squared difference over the seen sites of each item, (B,), for x and y (B, *form)."""
    gap = (x.float() - y.float()).square()
    if seen is None:
        return gap.flatten(1).mean(1)
    sites = (seen.unsqueeze(1) if seen.dim() < x.dim() else seen).bool().expand_as(gap)
    # where, not times: an unseen site may hold NaN
    total = torch.where(sites, gap, torch.zeros_like(gap)).flatten(1).sum(1)
    return total / sites.flatten(1).sum(1).clamp(min=1)


Misfit = Callable[[Distribution], Tensor]
"""How badly what p(x | z) says agrees with what is known of each item, (B,)."""


def misfit(x: Tensor, seen: Tensor | None = None) -> Misfit:
    """The `distance` of a distribution's mean from x (B, *form) over the seen sites, None for all."""
    with torch.inference_mode(False):  # what was computed in inference mode has no gradient, its copy may
        x, seen = x.clone(), None if seen is None else seen.clone()
    return lambda p: distance(x, p.mean, seen)


def refined(model: Model, far: Misfit, z: Tensor, context: Context | None = None, *, steps: int) -> Tensor:
    """Codes (B, D) whose p(x | z) misfits less than that of z (B, D), or z where none was found.

        m ← 0.9 m + 0.1 g     v ← 0.999 v + 0.001 g²     z ← z - rate · m̂ / (√v̂ + ε)

    Kingma and Ba 2015, "Adam", algorithm 1. The rate falls to 0 as a cosine, from a tenth of the code's
    root mean square, so that no prior's scale has to be known. No item's way depends on another's.

    Arguments:
        model: decodes; its weights get no gradient.
        far: what is made small.
        steps: how often each code is moved.
    """
    with torch.inference_mode(False), torch.enable_grad():
        z, context = z.detach().clone().float(), _copied(context)
        length = z.square().mean(1, keepdim=True).sqrt().clamp(min=1e-3)
        best, least = z.clone(), torch.full((len(z),), torch.inf, device=z.device)
        first, second = torch.zeros_like(z), torch.zeros_like(z)
        for step in range(steps + 1):
            leaf = z.requires_grad_()
            now = far(model.decode(leaf, context))
            (slope,) = torch.autograd.grad(now.sum(), leaf)
            with torch.no_grad():
                better = now < least  # NaN is less than nothing
                best, least = torch.where(better.unsqueeze(1), z, best), torch.where(better, now, least)
                first.lerp_(slope, 0.1)
                second.lerp_(slope.square(), 0.001)
                move = first / (1 - 0.9 ** (step + 1))
                move = move / ((second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-12)
                rate = 0.5 * _RATE * (1 + torch.cos(torch.tensor(torch.pi * step / max(1, steps))))
                z = z.detach() - rate.to(z.device) * length * move
        return best.detach()


def _copied(context: Context | None) -> Context | None:
    if context is None:
        return None
    aligned = None if context.aligned is None else context.aligned.detach().clone()
    tokens = context.tokens.detach().clone()
    return Context(context.vector.detach().clone(), tokens, context.mask.clone(), aligned)
