"""Codes of items of which only some is known: many candidates that move towards what fits.

    p(x' | x_S, c) = E[p(x' | z, c)],  z ~ p(z | x_S, c) ∝ p(z | c) p(x_S | z, c)      x_S what is known

What an encoder says of a part is one normal, which the codes that fit it seldom are, and a draw from the
prior may have nothing to do with it. The candidates are of both, half and half, which has the density
g(z) = p(z) / 2 + q(z | x_S) / 2, and they go from there to what is wanted by way of

    g(z)^(1 - b) (p(z) p(x_S | z))^b      b from 0 to 1

At each b they are drawn anew by their weight, and then each is moved a few times: sequential Monte Carlo (Del
Moral, Doucet and Jasra 2006, "Sequential Monte Carlo samplers"), b so far on that half of them count
(Jasra et al. 2011, "Inference for Lévy-driven stochastic volatility models via adaptive sequential Monte
Carlo"). A move is one of the numbers e that a code is made of and leaves their distribution as it is, however
thin a surface the prior makes of them (`Latent.stepped`).

Where codes have no density, all candidates are the prior's; a model without a latent needs none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ectype.likelihoods import Latent
from ectype.likelihoods.product import Product
from ectype.networks.joint import Decoder
from ectype.noise import mix, normal
from ectype.shapes import Joint

if TYPE_CHECKING:
    from ectype.context import Context
    from ectype.likelihoods import Distribution
    from ectype.models import Model

CANDIDATES = 128
_MOVES = 8  # after each weighing; with 3 pictures of captions are right less often (docs/log.md, 2026-11-22)
_WEIGHINGS = 32  # at most
_LEAST = 0.01  # the shortest move, in widths of a normal; the longest forgets all
_CODES = 4  # mixed into the seed, so that codes and symbols do not share their noise


@dataclass(frozen=True)
class Candidates:
    """K codes with what they are weighed by.

    Arguments:
        z: (K, D).
        e: the numbers they are made of (K, D).
        said: log p(what is known | z), (K,) nats.
        ahead: log g(z) / p(z), (K,) nats.
    """

    z: Tensor
    e: Tensor
    said: Tensor
    ahead: Tensor

    def at(self, which: Tensor) -> Candidates:
        """Those with these numbers."""
        return Candidates(self.z[which], self.e[which], self.said[which], self.ahead[which])

    def or_where(self, taken: Tensor, others: Candidates) -> Candidates:
        """Those of `others` where they are taken (K,)."""
        rows = taken.unsqueeze(1)
        return Candidates(
            torch.where(rows, others.z, self.z),
            torch.where(rows, others.e, self.e),
            torch.where(taken, others.said, self.said),
            torch.where(taken, others.ahead, self.ahead),
        )


class Search:
    """What is known of one item x (1, *form), and how well codes fit it.

    Arguments:
        seen: which sites of x are known, as p(x | z) has them (1, sites); all of them by default.
    """

    def __init__(self, model: Model, x: Tensor, context: Context | None, seen: Tensor | None) -> None:
        from ectype.models import Autoencoder

        self.model = model
        self.context = None if context is None else context.repeat(CANDIDATES)
        self.p = model.latents(CANDIDATES, self.context)
        self.q: Latent | None = None
        if isinstance(model, Autoencoder) and model.bounded:
            q = model.posterior(x, context, seen)
            if not isinstance(q, Latent):
                raise TypeError(f"a posterior with a density is normal, not {type(q).__name__}")
            self.q = q
        self.parts = _known(model, seen)
        shape = model.likelihood.shape
        if self.parts and seen is not None and isinstance(shape, Joint):
            x, seen = (_flat(shape, row, self.parts) for row in (x, seen))
        self.x = x.expand(CANDIDATES, *x.shape[1:])
        self.seen = seen

    def begin(self, stream: torch.Generator) -> Candidates:
        """Draws of the prior, every second one of the posterior's in its place."""
        e = self.p.numbers(stream)
        z = self.p.of_noise(e)
        if self.q is None:
            return self.judged(z, e)
        guess = self.q.of_noise(normal(e.shape, stream, self.x.device))
        z = torch.cat([z[::2], guess[1::2]])
        return self.judged(z, self.p.noise_of(z))

    def judged(self, z: Tensor, e: Tensor) -> Candidates:
        """Codes with what they are weighed by."""
        said = self._decoded(z).log_prob(self.x)
        if self.seen is not None:
            said = torch.where(self.seen, said, 0.0)
        ahead = torch.zeros(len(z), device=z.device)
        if self.q is not None:
            log_p, log_q = (_density(d, z) for d in (self.p, self.q))
            ahead = torch.logaddexp(log_p, log_q) - log_p - math.log(2)
        return Candidates(z, e, said.flatten(1).sum(1), ahead)

    def _decoded(self, z: Tensor) -> Distribution:
        decoder, likelihood = self.model.decoder, self.model.likelihood
        if self.parts and isinstance(decoder, Decoder) and isinstance(likelihood, Product):
            return likelihood.some(decoder.some(z, self.context, self.parts), self.parts)
        return self.model.decode(z, self.context)

    def moved(self, now: Candidates, b: float, stream: torch.Generator) -> Candidates:
        """Each a step further, or where it was."""
        size = _LEAST ** torch.rand((len(now.z), 1), generator=stream, device=now.z.device)
        e = self.p.stepped(now.e, size, stream)
        z = self.p.of_noise(e)
        new = self.judged(z, e)
        gain = (1 - b) * (new.ahead - now.ahead) + b * (new.said - now.said)
        taken = torch.rand(len(z), generator=stream, device=z.device).log() < gain
        return now.or_where(taken, new)


def drawn(
    model: Model,
    x: Tensor,
    context: Context | None,
    seed: int,
    draws: Iterable[int],
    seen: Tensor | None = None,
) -> Iterator[Tensor]:
    """The code (D,) of each of these draws, which depends on the seed and its number alone.

    Draws share a search of which they are different candidates.
    """
    of, z = -1, torch.empty(0)
    for k in draws:
        if k // CANDIDATES != of:
            of = k // CANDIDATES
            z = codes(model, x, context, mix(seed, of), seen)
        yield z[k % CANDIDATES]


@torch.no_grad()
def codes(model: Model, x: Tensor, context: Context | None, seed: int, seen: Tensor | None = None) -> Tensor:
    """`CANDIDATES` codes (K, D), each distributed as p(z | what is known, c), for one item and its context.

    They come of one search and are not independent of each other.

    Arguments:
        x: (1, *form).
        seen: which sites of x are known, as p(x | z) has them (1, sites); all of them by default.
    """
    if not model.coded:
        return model.latents(1, context).mean.expand(CANDIDATES, -1)
    stream = torch.Generator(x.device).manual_seed(mix(seed, _CODES))
    search = Search(model, x, context, seen)
    now, b = search.begin(stream), 0.0
    for left in range(_WEIGHINGS, 0, -1):
        # what is no number is no candidate; where none is, all are alike
        gain = (now.said - now.ahead).nan_to_num(-1e30, 1e30, -1e30)
        step = _step(gain, b, left)
        b += step
        now = now.at(torch.multinomial(torch.softmax(step * gain, 0), len(gain), True, generator=stream))
        for _ in range(_MOVES):
            now = search.moved(now, b, stream)
        if b >= 1:
            break
    return now.z


def _step(gain: Tensor, b: float, left: int) -> float:
    """How far b goes so that half of the candidates count; as far as it must to be 1 at the last weighing."""

    def count(step: float) -> float:
        return float(1 / torch.softmax(step * gain, 0).square().sum())

    low, high = 0.0, 1 - b
    if left == 1 or count(high) >= len(gain) / 2:
        return high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if count(middle) > len(gain) / 2 else (low, middle)
    # equal factors from here on, as what is known begins to count at 10^-5 where it is known well
    return max(high, b * ((1 / b) ** (1 / left) - 1)) if b else high


def _known(model: Model, seen: Tensor | None) -> list[int]:
    """Of a record whose parts have decoders of their own, those to be looked at; others are not decoded."""
    shape, apart = model.likelihood.shape, isinstance(model.likelihood, Product)
    if seen is None or not (apart and isinstance(shape, Joint) and isinstance(model.decoder, Decoder)):
        return []
    return [i for i, piece in enumerate(shape.split(seen)) if bool(piece.any())]


def _flat(shape: Joint, row: Tensor, parts: Sequence[int]) -> Tensor:
    """The values of these parts of one item, (1, values)."""
    pieces = shape.split(row)
    return torch.cat([pieces[i].reshape(1, -1) for i in parts], 1)


def _density(of: Distribution, z: Tensor) -> Tensor:
    """log of the density of K codes z (K, D), (K,) nats, whether a latent is one site or D."""
    log_p = of.log_prob(z)
    return log_p if of.joint else log_p.sum(1)
