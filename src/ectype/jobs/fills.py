"""Items made from part of what they are to be: drawn under a condition, or searched for in the latent.

    drawn      z ~ p(z | c), x = E[p(x | z, c)]        for a model that was trained with the condition
    searched   z₁ … z₃₂ ~ p(z | c); the z that misfits least what is known, then refined to misfit less

Drawn under a condition is exact as far as the model is. The search serves every model that makes pictures,
also one that never saw a hole: the nearest of some draws from the prior is a draw from the posterior by
rejection (approximate Bayesian computation; Marin, Pudlo, Robert and Ryder 2012, "Approximate Bayesian
computational methods", algorithm 2), and moving it until the known pixels fit is the closest encoding of Yeh
et al. 2017, "Semantic image inpainting with deep generative models", section 3.2. What the known pixels do
not decide stays as it was drawn, so that fills differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ectype.errors import UsageError
from ectype.jobs.decoding import noise_of_pixels, shown
from ectype.jobs.outputs import refuse
from ectype.models.inversion import Misfit, refined
from ectype.noise import PerItem, mix

if TYPE_CHECKING:
    from ectype.context import Context
    from ectype.likelihoods import Distribution
    from ectype.runs import Run

CANDIDATES = 32
"""Latents drawn for each fill that is searched for."""
STEPS = 100
"""By which the nearest of them is refined."""


def check(draws: int, temperature: float, out: Path | None, overwrite: bool) -> None:
    """Raise UsageError for a number of draws or a temperature that is none, OutputError as `refuse` does."""
    if out is not None:
        refuse(out, overwrite)
    if draws < 1:
        raise UsageError(f"draws is at least 1, not {draws}")
    if not temperature >= 0:
        raise UsageError(f"temperature is 0 or more, not {temperature}")


def drawn(
    run: Run,
    context: Context | None,
    numbers: Sequence[int],
    draw: int,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    nucleus: float = 1.0,
) -> Tensor:
    """One item for each under its context (B, *form).

    Arguments:
        numbers: of the items; what is drawn for item i depends on (seed, draw, i) only.
        draw: its number among those of one item.
        temperature: what the normal numbers that a latent is made of are multiplied by; of texts also what
            symbols are drawn with.
        nucleus: share of the probability these are drawn from.
    """
    prior = run.model.latents(len(numbers), context)
    z = prior.draw(PerItem(mix(seed, draw), numbers, temperature=temperature))
    p = run.model.decode(z, context).tempered(temperature, nucleus)
    return shown(p, False, noise_of_pixels(mix(seed, draw), numbers))


def searched(
    run: Run,
    context: Context | None,
    numbers: Sequence[int],
    draw: int,
    far: Misfit,
    *,
    seed: int = 0,
    temperature: float = 1.0,
) -> Distribution:
    """What each item may be, p(x | z) of a z that agrees with what is known of it.

    Arguments: as of `drawn`, and
        far: how badly p(x | z) agrees with what is known.
    """
    stream = PerItem(mix(seed, draw), numbers, temperature=temperature)
    p = run.model.latents(len(numbers), context)
    best = p.mean
    least = torch.full((len(best),), torch.inf, device=best.device)
    for _ in range(CANDIDATES):
        z = p.draw(stream)
        now = far(run.model.decode(z, context))
        best = torch.where((now < least).unsqueeze(1), z, best)
        least = torch.minimum(now, least)
    best = refined(run.model, far, best, context, steps=STEPS)
    return run.model.decode(best, context)
