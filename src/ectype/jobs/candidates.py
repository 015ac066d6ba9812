"""Codes of items of which only some is known: one of many candidates, drawn by its weight.

    p(x' | x_S, c) = E[p(x' | z, c)],  z ~ p(z | x_S, c) ∝ p(z | c) p(x_S | z, c)      x_S what is known

What an encoder says of a part is one normal, which the codes that fit it seldom are, and a draw from the
prior may have nothing to do with it. Both are candidates, half and half, and one of them is drawn with the
weight p(x_S | z) p(z) / (p(z) / 2 + q(z | x_S) / 2): sampling importance resampling (Rubin 1988, "Using the
SIR algorithm to simulate posterior distributions") with a defensive mixture (Hesterberg 1995, "Weighted
average importance sampling and defensive mixture distributions"). Where codes have no density, all
candidates are the prior's; a model without a latent needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ectype.noise import mix

if TYPE_CHECKING:
    from ectype.context import Context
    from ectype.models import Model

CANDIDATES = 128
"""Codes among which that of each draw is chosen."""
_CODES = 4  # mixed into the seed, so that codes and symbols do not share their noise


def code(model: Model, x: Tensor, context: Context | None, seed: int, seen: Tensor | None = None) -> Tensor:
    """One draw (1, D) from p(z | what is known, c), for one item x (1, *form) and its context.

    Arguments:
        seed: of this draw.
        seen: which sites of x are known, as p(x | z) has them (1, sites); all of them by default.
    """
    from ectype.models import Autoencoder, Latents

    p = model.latents(1, context)
    if not model.coded:
        return p.mean
    stream = torch.Generator(x.device).manual_seed(mix(seed, _CODES))
    many = CANDIDATES
    log_p = log_q = torch.zeros(many, device=x.device)
    if isinstance(model, Autoencoder) and model.bounded:
        q = model.posterior(x, context, seen)
        guessed = model.draws(q, context, many // 2, stream).z
        z = torch.cat([_prior(model, context, many - many // 2, stream), guessed])
        known = Latents(z, q, p)
        log_p, log_q = known.log_p, known.log_q
    else:
        z = _prior(model, context, many, stream)
    many_contexts = None if context is None else context.repeat(many)
    said = model.decode(z, many_contexts).log_prob(x.expand(many, *x.shape[1:]))
    if seen is not None:
        said = torch.where(seen, said, 0.0)
    return z[chosen(said.flatten(1).sum(1), log_p, log_q, stream)]


def chosen(said: Tensor, log_p: Tensor, log_q: Tensor, stream: torch.Generator) -> Tensor:
    """The number (1,) of one of K candidates, half of them drawn from p and half from q, by its weight.

    Arguments:
        said: log p(what is known | z) of each, (K,) nats.
        log_p, log_q: of each under both, (K,) nats; alike where all were drawn from p.
    """
    weight = said + log_p - torch.logaddexp(log_p, log_q)
    return torch.multinomial(torch.softmax(weight, 0), 1, generator=stream)


def _prior(model: Model, context: Context | None, count: int, stream: torch.Generator) -> Tensor:
    return model.latents(count, None if context is None else context.repeat(count)).draw(stream)
