"""One pass over the data that fits what is not trained by gradients: the density of the codes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ectype.data.batch import Batch
from ectype.models import Autoencoder


@torch.no_grad()
def codes_of(model: Autoencoder, batches: Iterable[Batch]) -> tuple[Tensor, Tensor | None]:
    """Means of q(z | x, c) (N, D) and the context vectors (N, C) they belong to."""
    codes, vectors = [], []
    for batch in batches:
        context = model.condition(batch)
        codes.append(model.posterior(batch.x, context, batch.seen).mean.float().cpu())
        if context is not None:
            vectors.append(context.vector.float().cpu())
    if not codes:
        return torch.zeros(0, model.latent), None
    return torch.cat(codes), torch.cat(vectors) if vectors else None


def fit_prior(model: Autoencoder, train: Iterable[Batch], select: Iterable[Batch]) -> None:
    """Fit the model's prior to the codes of `train`, judged on those of `select`."""
    codes, vectors = codes_of(model, train)
    held_out, _ = codes_of(model, select)
    model.prior.fit(codes, held_out, vectors)
