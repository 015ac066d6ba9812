"""One pass over the data that fits what is not trained by gradients: the density of the codes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ectype.data.batch import Batch
from ectype.models import Autoencoder


@torch.no_grad()
def codes_of(
    model: Autoencoder, batches: Iterable[Batch], *, drawn: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Codes (N, D) and the context vectors (N, C) they belong to.

    Arguments:
        drawn: one draw of q(z | x, c) per item, the same every time, instead of its mean.
    """
    codes, vectors = [], []
    noise = None
    for batch in batches:
        noise = noise or torch.Generator(batch.x.device).manual_seed(0)
        context = model.condition(batch)
        q = model.posterior(batch.x, context, batch.seen)
        codes.append((q.draw(noise) if drawn else q.mean).float().cpu())
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
    codes, vectors = codes_of(model, train, drawn=True)
    held_out, _ = codes_of(model, select, drawn=True)
    model.prior.fit(codes, held_out, vectors)
