"""Bounds on log p(x): the ELBO and the importance-weighted bound of K samples.

    L_K(x) = E[ log 1/K sum_k w_k ],  w_k = p(x | z_k) p(z_k) / q(z_k | x),  ELBO = L_1 <= L_K <= log p(x)

Burda, Grosse and Salakhutdinov 2016, "Importance weighted autoencoders", equation 8 and theorem 1.
Each item is encoded once; the K samples are decoded in chunks that fit the cache, and the sum of the
weights is kept as a running log-sum-exp, so K costs time and no memory. How many samples a chunk has
depends on the size of an item only, never on the batch, or an item's noise would depend on its company.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ectype.data.batch import Batch
from ectype.errors import DataError, UsageError
from ectype.hardware import computing, is_convolutional
from ectype.models import Autoencoder
from ectype.noise import PerItem
from ectype.shapes import Tokens

_VALUES = 600_000  # decoded numbers per chunk; from 4 million on, page faults double the time
_ITEMS = 16  # items per chunk when K is large: each costs one call for its noise


@dataclass(frozen=True)
class Bounds:
    """Per-item results, each (N,) in nats.

    Arguments:
        elbo: mean of log w_k over the K samples.
        iwae: log of the mean of w_k over the same samples, so never below `elbo`.
        distortion: -E[log p(x | z)].
        kl: KL(q || p), exact where it has a closed form, else from the samples.
        samples: K.
    """

    elbo: Tensor
    iwae: Tensor
    distortion: Tensor
    kl: Tensor
    samples: int


@torch.inference_mode()
def bounds(
    model: Autoencoder,
    batches: Iterable[Batch],
    *,
    samples: int = 100,
    seed: int = 0,
    precision: str = "fp32",
) -> Bounds:
    """ELBO and IWAE-K bound of every item of `batches`.

    The noise of an item depends on (seed, item) only, so a subset has the same values.

    Arguments:
        samples: K.
        seed: of the noise.
        precision: fp32, or bf16 where a hundredth of a nat does not matter.
    """
    if samples < 1:
        raise UsageError(f"samples is at least 1, not {samples}")
    if not model.bounded:
        raise UsageError("this model's codes have no density, so there is no bound on log p(x)")
    rows: list[Tensor] = []
    start = 0
    for batch in batches:
        for part in _parts(batch, _values(model), samples):
            index = range(start, start + len(part)) if part.index is None else part.index.tolist()
            start += len(part)
            with computing(is_convolutional(model), part.x.device, precision):
                rows.append(_bounds_of_part(model, part, samples, PerItem(seed, index)).cpu())
    if not rows:
        raise DataError("there are no items to evaluate")
    elbo, iwae, distortion, kl = torch.cat(rows, 1)
    return Bounds(elbo, iwae, distortion, kl, samples)


def _values(model: Autoencoder) -> int:
    """Decoded numbers of one item; of a symbol there are as many as the vocabulary has symbols."""
    shape = model.likelihood.shape
    return shape.sites * shape.vocabulary if isinstance(shape, Tokens) else shape.sites


def _chunk(sites: int, samples: int) -> int:
    """How many of the K samples are decoded at a time."""
    return max(1, min(samples, _VALUES // (_ITEMS * sites)))


def _parts(batch: Batch, sites: int, samples: int) -> Iterator[Batch]:
    """The batch in parts of which one chunk of samples fits the cache."""
    size = max(1, _VALUES // (_chunk(sites, samples) * sites))
    for at in range(0, len(batch), size):
        rows = slice(at, at + size)
        yield replace(
            batch,
            x=batch.x[rows],
            given={k: v[rows] for k, v in batch.given.items()},
            kept={k: v[rows] for k, v in batch.kept.items()},
            seen=None if batch.seen is None else batch.seen[rows],
            mask=None if batch.mask is None else batch.mask[rows],
            weight=None if batch.weight is None else batch.weight[rows],
            index=None if batch.index is None else batch.index[rows],
        )


def _bounds_of_part(model: Autoencoder, batch: Batch, samples: int, noise: PerItem) -> Tensor:
    """ELBO, IWAE bound, distortion and KL of one part of a batch: (4, B)."""
    n = len(batch)
    context = model.condition(batch)
    q = model.posterior(batch.x, context, batch.seen)
    chunk = _chunk(_values(model), samples)
    largest = torch.full((n,), -math.inf, device=batch.x.device)
    total = torch.zeros(n, device=batch.x.device)  # sum of w_k / exp(largest)
    elbo, distortion, kl = (torch.zeros(n, device=batch.x.device) for _ in range(3))
    done = 0
    while done < samples:
        k = min(chunk, samples - done)
        latents = model.draws(q, context, k, noise)
        p = model.decode(latents.z, context if context is None else context.repeat(k))
        log_p = model.reconstruction(p, batch, k).view(k, n)
        ratio = (latents.log_q - latents.log_p).view(k, n)
        log_w = log_p - ratio
        higher = torch.maximum(largest, log_w.amax(0))
        total = total * torch.exp(largest - higher) + torch.exp(log_w - higher).sum(0)
        largest = higher
        elbo += log_w.sum(0)
        distortion -= log_p.sum(0)
        kl += ratio.sum(0) if latents.kl is None else k * latents.kl.sum(1)
        done += k
    iwae = largest + torch.log(total) - math.log(samples)
    return torch.stack([elbo / samples, iwae, distortion / samples, kl / samples])
