"""Latents to raw items, so that no item depends on how many are made.

Floating-point results may change with the size of a batch: another size, another order of sums.
Everything here is therefore decoded in chunks of one fixed size. A chunk is always whole (sampling
makes all of its items and drops those nobody asked for), so the first four of sixteen are exactly
the four of `--count 4`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ectype.errors import UsageError
from ectype.jobs.inputs import Given, context_of, device_of
from ectype.likelihoods.normal import NormalDistribution
from ectype.likelihoods.written import WrittenDistribution
from ectype.noise import PerItem, mix

if TYPE_CHECKING:
    from ectype.context import Context
    from ectype.likelihoods import Distribution
    from ectype.models import Model
    from ectype.runs import Run

CHUNK = 64
"""Items decoded together, always."""

MOST_BEAMS = 100
_PIXELS = 1  # mixed into the seed, so that the noise of p(x | z) is not the noise z was made of


def latents(
    run: Run,
    count: int,
    *,
    given: Given | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    truncation: float | None = None,
    guidance: float = 1.0,
) -> Tensor:
    """The first `count` latents (N, D) of a seed under the given conditions.

    Arguments:
        given: conditions of all items, or one mapping for each.
        temperature: what the normal numbers that a latent is made of are multiplied by.
        truncation: the furthest any number of a latent lies from it, in the prior's standard deviations.
        guidance: how strongly conditions act, as `inputs.guided` has it.
    """
    if count < 1:
        raise UsageError(f"count is at least 1, not {count}")
    if not temperature >= 0:
        raise UsageError(f"temperature is 0 or more, not {temperature}")
    drawn = []
    with evaluating(run):
        for start, context in _contexts(run, given, count, guidance):
            p = run.model.latents(CHUNK, context)
            z = p.draw(PerItem(seed, range(start, start + CHUNK), temperature=temperature))
            drawn.append(z if truncation is None else truncated(p, z, truncation))
    return torch.cat(drawn)[:count]


def truncated(p: Distribution, z: Tensor, bound: float) -> Tensor:
    """Draws z (B, D) of a normal p as draws of p truncated to |ε| <= bound, ε = (z - mean) / std.

        ε' = Φ⁻¹(Φ(-bound) + Φ(ε) (Φ(bound) - Φ(-bound)))

    Brock, Donahue and Simonyan 2019, "Large scale GAN training for high fidelity natural image synthesis",
    section 3.1, who draw again what lies outside; the inverse distribution function gives the same
    distribution, moves every item a little instead of some altogether, and needs no further noise.
    Raises UsageError for a bound that is not above 0, and for a p that is not normal.
    """
    if not bound > 0:
        raise UsageError(f"truncation is above 0, not {bound}")
    if not isinstance(p, NormalDistribution):
        raise UsageError("truncation needs a normal prior, and this model's is another: use --temperature")
    scale = torch.exp(p.log_scale)
    e = ((z - p.mean) / scale).double()
    # from -bound on both sides, and in the tail where Φ is exact: Φ(ε) near 1 has no digits left
    low, inside = _phi(-bound), 1 - 2 * _phi(-bound)
    half = torch.special.ndtri(low + torch.special.ndtr(-e.abs()) * inside)
    inner = torch.copysign(half.abs(), e).clamp(-bound, bound)
    return p.mean + scale * inner.to(z.dtype)


def _phi(x: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def numbered(run: Run, numbers: Sequence[int], seed: int = 0) -> Tensor:
    """The latents (N, D) of a seed with these numbers, of a model without conditions."""
    with evaluating(run):
        return run.model.latents(len(numbers)).draw(PerItem(seed, numbers))


def items(
    run: Run,
    z: Tensor,
    *,
    given: Given | None = None,
    noise: bool = False,
    seed: int = 0,
    guidance: float = 1.0,
    temperature: float = 1.0,
    nucleus: float = 1.0,
) -> list[Any]:
    """Latents (N, D) decoded to raw items under the given conditions.

    Arguments:
        given: conditions of all items, or one mapping for each.
        noise: draw x from p(x | z) instead of showing its mean; kinds without a mean always draw.
        seed: of that draw; item i's noise depends on (seed, i) only.
        guidance: as in `latents`.
        temperature, nucleus: of symbols that are drawn, as `Distribution.tempered` has them.

    Raises UsageError for a nucleus where no symbols are drawn.
    """
    if nucleus != 1 and run.model.likelihood.shown != "draw":
        raise UsageError("nucleus is for texts and labels, whose symbols are drawn: leave it out here")
    made: list[Any] = []
    with evaluating(run):
        for start, context in _contexts(run, given, len(z), guidance):
            part = z[start : start + CHUNK].to(device_of(run))
            whole = torch.cat([part, part[-1:].expand(CHUNK - len(part), -1)])
            stream = noise_of_pixels(seed, range(start, start + CHUNK))
            p = run.model.decode(whole, context).tempered(temperature, nucleus)
            x = shown(p, noise, stream)
            made += [run.kind.unpack(array) for array in run.kind.stored(x[: len(part)])]
    return made


def _contexts(
    run: Run, given: Given | None, count: int, guidance: float
) -> Iterator[tuple[int, Context | None]]:
    """Where each chunk of `count` items starts, and its context; a last chunk is filled up."""
    if given is None or isinstance(given, Mapping):
        context = context_of(run, given, CHUNK, guidance)
        yield from ((start, context) for start in range(0, count, CHUNK))
        return
    if len(given) != count:
        raise UsageError(f"conditions for {len(given)} items, and there are {count}")
    for start in range(0, count, CHUNK):
        part = list(given[start : start + CHUNK])
        yield start, context_of(run, part + part[-1:] * (CHUNK - len(part)), CHUNK, guidance)


def likeliest(model: Model, z: Tensor, context: Context | None, beam: int = 1) -> Tensor:
    """The most probable items (B, *form) at z (B, D), the mean where there is one.

    Arguments:
        beam: beginnings of each text that go on together (`WrittenDistribution.likeliest`); 1: the most
            probable symbol after each beginning.

    Raises UsageError for a beam where no symbols are written.
    """
    if beam == 1:
        return model.decode(z, context).mean
    if not 1 < beam <= MOST_BEAMS:
        raise UsageError(f"beam is a number from 1 to {MOST_BEAMS}, not {beam}")
    p = model.decode(z.repeat(beam, 1), None if context is None else context.repeat(beam))
    if not isinstance(p, WrittenDistribution):
        raise UsageError("beam is for texts, which are written symbol by symbol: leave it out here")
    return p.likeliest(beam)


def shown(p: Distribution, noise: bool, stream: PerItem) -> Tensor:
    """What is shown of p(x | z), (B, *form): its mean, or a draw where asked or where it has no mean."""
    return p.draw(stream) if noise else p.show(stream)


def noise_of_pixels(seed: int, numbers: Iterable[int]) -> PerItem:
    """The noise of p(x | z) of made items, by their numbers."""
    return PerItem(mix(seed, _PIXELS), numbers)


@contextmanager
def evaluating(run: Run) -> Iterator[None]:
    """No gradients and no dropout inside the block."""
    training = run.model.training
    run.model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        run.model.train(training)
