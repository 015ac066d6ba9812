"""One pass over the data that fits what is not trained by gradients: the density of the codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ectype.data.batch import Batch
from ectype.likelihoods import Distribution
from ectype.likelihoods.normal import NormalDistribution
from ectype.models import Autoencoder
from ectype.noise import Noise


def means(q: Distribution, noise: Noise) -> Tensor:
    """The means (B, D) of posteriors."""
    return q.mean


def drawn(q: Distribution, noise: Noise) -> Tensor:
    """One draw (B, D) of each posterior."""
    return q.draw(noise)


def moments(q: Distribution, noise: Noise) -> Tensor:
    """Means and log widths (B, 2D) of normal posteriors."""
    if not isinstance(q, NormalDistribution):
        raise TypeError(f"a posterior of a mean and a width is normal, not {type(q).__name__}")
    return torch.cat([q.mean, q.log_scale], 1)


@torch.no_grad()
def codes_of(
    model: Autoencoder,
    batches: Iterable[Batch],
    of: Callable[[Distribution, Noise], Tensor] = means,
) -> tuple[Tensor, Tensor | None]:
    """Codes (N, D) and the context vectors (N, C) they belong to.

    Arguments:
        of: what is taken of q(z | x, c): means, drawn (the same every time) or moments (N, 2D).
    """
    codes, vectors = [], []
    noise = None
    for batch in batches:
        noise = noise or torch.Generator(batch.x.device).manual_seed(0)
        context = model.condition(batch)
        codes.append(of(model.posterior(batch.x, context, batch.seen), noise).float().cpu())
        if context is not None:
            vectors.append(context.vector.float().cpu())
    if not codes:
        return torch.zeros(0, model.latent), None
    return torch.cat(codes), torch.cat(vectors) if vectors else None


def fit_prior(model: Autoencoder, train: Iterable[Batch], select: Iterable[Batch]) -> None:
    """Fit the model's prior to the codes of `train`, judged on those of `select`.

    Draws, not means: the prior that fits a VAE is the mean of its posteriors, widths included. One
    fitted to the means alone is far too narrow, and the KL against it enormous.
    """
    codes, vectors = codes_of(model, train, drawn)
    held_out, _ = codes_of(model, select, drawn)
    model.prior.fit(codes, held_out, vectors)
