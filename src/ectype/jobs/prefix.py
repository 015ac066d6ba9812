"""Texts that begin as somebody said: what follows is drawn, given the beginning.

    p(rest | b, c) = E[p(rest | b, z, c)],  z ~ p(z | b, c) ∝ p(z | c) p(b | z, c)      b the beginning

An encoder has read whole texts, so what it says of a beginning alone is a guess, and a draw from the prior
may have nothing to do with it. Both are candidates, half and half, and one of them is drawn with the weight
p(b | z) p(z) / (p(z) / 2 + q(z | b) / 2): sampling importance resampling (Rubin 1988, "Using the SIR
algorithm to simulate posterior distributions") with a defensive mixture (Hesterberg 1995, "Weighted average
importance sampling and defensive mixture distributions"). Where codes have no density, all candidates are
the prior's; a model without a latent needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ectype.errors import UsageError
from ectype.likelihoods.written import PADDING, WrittenDistribution, check_courage
from ectype.noise import mix

if TYPE_CHECKING:
    from ectype.context import Context
    from ectype.jobs.inputs import Given
    from ectype.models import Model
    from ectype.runs import Run

CANDIDATES = 128
"""Codes among which that of each draw is chosen."""
_CODES = 4  # mixed into the seed, so that codes and symbols do not share their noise


def continued(
    run: Run,
    prefix: str,
    *,
    given: Given | None,
    draws: int,
    temperature: float,
    nucleus: float,
    seed: int,
) -> list[str]:
    """Texts that begin with `prefix`, to the symbol; draw k depends on the seed and k alone.

    Arguments:
        given: conditions all of them have.
        temperature, nucleus: of the symbols that are drawn, as `Distribution.tempered` has them.

    Raises UsageError for a model that writes no texts and a beginning it does not know or has no room for.
    """
    from ectype.jobs.decoding import CHUNK, evaluating, noise_of_pixels
    from ectype.jobs.inputs import context_of, device_of

    check_courage(temperature, nucleus)
    begun = _symbols(run, prefix).to(device_of(run))
    length = run.kind.shape.sites
    made: list[str] = []
    with evaluating(run):
        context = context_of(run, given, CHUNK)
        one = None if context is None else context[:1]
        for start in range(0, draws, CHUNK):
            # always a whole chunk, so that a draw does not depend on how many there are
            numbers = range(start, start + CHUNK)
            codes = [_code(run.model, begun, length, one, mix(seed, k)) for k in numbers[: draws - start]]
            z = torch.cat(codes + codes[-1:] * (CHUNK - len(codes)))
            p = run.model.decode(z, context).tempered(temperature, nucleus)
            if not isinstance(p, WrittenDistribution):
                raise UsageError("this model writes a text at once: train one with --network recurrent")
            x = p.continued(begun.expand(CHUNK, -1), noise_of_pixels(seed, numbers))
            made += [run.kind.unpack(array) for array in run.kind.stored(x[: draws - start])]
    return made


def _symbols(run: Run, prefix: str) -> Tensor:
    """A beginning as symbols (1, t), without an end."""
    from ectype.jobs.inputs import asked
    from ectype.kinds.text import FIRST, Text

    if not isinstance(run.kind, Text):
        raise UsageError(f"a prefix begins a text, and this model makes items of the kind {run.kind.name}")
    row = torch.from_numpy(asked(run.kind, prefix)).long()
    return row[row >= FIRST].unsqueeze(0)


def _code(model: Model, begun: Tensor, length: int, context: Context | None, seed: int) -> Tensor:
    """One draw (1, D) from p(z | beginning, c), for a beginning (1, t) of a text with room for `length`."""
    from ectype.models import Autoencoder, Latents

    p = model.latents(1, context)
    if not model.coded:
        return p.mean
    stream = torch.Generator(begun.device).manual_seed(mix(seed, _CODES))
    x = F.pad(begun, (0, length - begun.shape[1]), value=PADDING)
    many = CANDIDATES
    log_p = log_q = torch.zeros(many, device=begun.device)
    if isinstance(model, Autoencoder) and model.bounded:
        q = model.posterior(x, context)
        guessed = model.draws(q, context, many // 2, stream).z
        z = torch.cat([_prior(model, context, many - many // 2, stream), guessed])
        known = Latents(z, q, p)
        log_p, log_q = known.log_p, known.log_q
    else:
        z = _prior(model, context, many, stream)
    said = model.decode(z, None if context is None else context.repeat(many)).log_prob(x.expand(many, -1))
    return z[chosen(said.sum(1), log_p, log_q, stream)]


def chosen(said: Tensor, log_p: Tensor, log_q: Tensor, stream: torch.Generator) -> Tensor:
    """The number (1,) of one of K candidates, half of them drawn from p and half from q, by its weight.

    Arguments:
        said: log p(beginning | z) of each, (K,) nats.
        log_p, log_q: of each under both, (K,) nats; alike where all were drawn from p.
    """
    weight = said + log_p - torch.logaddexp(log_p, log_q)
    return torch.multinomial(torch.softmax(weight, 0), 1, generator=stream)


def _prior(model: Model, context: Context | None, count: int, stream: torch.Generator) -> Tensor:
    return model.latents(count, None if context is None else context.repeat(count)).draw(stream)
