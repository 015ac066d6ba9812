"""What the latent dimensions carry: KL per dimension and active units.

    KL_d     mean over items of KL(q(z_d | x, c) || p(z_d | c)), nats: what dimension d tells about x;
             for a prior that joins the dimensions, p(z_d) is the normal with the moments of all
             posteriors, and KL_d bounds the information of dimension d about x from above
    active   Var_x(E_q[z_d | x]) > 0.01: dimension d answers to x at all

Active units are Burda, Grosse and Salakhutdinov 2016, "Importance weighted autoencoders", section
5.2. A posterior that ignores x has none: that is posterior collapse, and KL 0 is its floor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ectype.data.batch import Batch
from ectype.errors import DataError, UsageError
from ectype.likelihoods.normal import NormalDistribution, normal_kl
from ectype.metrics import Score, mean_error
from ectype.models import Autoencoder
from ectype.noise import PerItem

THRESHOLD = 0.01
LEAST = 100
"""Items below which a variance over items says little."""


@dataclass(frozen=True)
class Posteriors:
    """What was read off the posteriors of N items.

    Arguments:
        means: (N, D) E_q[z | x, c].
        kl: (N,) nats per item; the closed form, or a one-sample Monte-Carlo estimate.
        each: (D,) mean nats per dimension.
        exact: whether `kl` is the closed form, and `each` its parts.
    """

    means: Tensor
    kl: Tensor
    each: Tensor
    exact: bool


@torch.no_grad()
def posteriors(model: Autoencoder, batches: Iterable[Batch], seed: int = 0) -> Posteriors:
    """Read the posteriors of all items once; raises DataError when there are none."""
    means, log_scales, kls, each = [], [], [], []
    start = 0
    for batch in batches:
        context = model.condition(batch)
        items = range(start, start + len(batch)) if batch.index is None else batch.index.tolist()
        q = model.posterior(batch.x, context, batch.seen)
        latents = model.draws(q, context, 1, PerItem(seed, items))
        means.append(q.mean.double().cpu())
        if isinstance(q, NormalDistribution):
            log_scales.append(q.log_scale.double().cpu())
        if latents.kl is None:
            kls.append((latents.log_q - latents.log_p).double().cpu())
        else:
            kls.append(latents.kl.sum(1).double().cpu())
            each.append(latents.kl.double().cpu())
        start += len(batch)
    if not means:
        raise DataError("activity needs at least one item and got none; name a split that has items")
    mean, log_scale = torch.cat(means), torch.cat(log_scales)
    per = torch.cat(each) if each else _against_all(mean, log_scale)
    return Posteriors(mean, torch.cat(kls), per.mean(0), bool(each))


def _against_all(mean: Tensor, log_scale: Tensor) -> Tensor:
    """KL of each posterior (N, D) against the normal with the moments of all of them, (N, D) nats."""
    variance = torch.exp(2 * log_scale).mean(0) + mean.var(0, unbiased=False)
    q, all_of_them = NormalDistribution(mean, log_scale), NormalDistribution(mean.mean(0), variance.log() / 2)
    return normal_kl(q, all_of_them)


def activity(
    model: Autoencoder, batches: Iterable[Batch], *, split: str = "test", seed: int = 0
) -> list[Score]:
    """KL (its parts are the dimensions', where there is a closed form) and active units.

    Raises UsageError for a model whose codes have no density, DataError when there are no items.

    Arguments:
        model: an autoencoder whose `infer` gives densities.
        batches: the items, in order.
        split: which part of the data they are.
        seed: of the noise, used only where the KL has no closed form.
    """
    if not model.bounded:
        raise UsageError(
            "the codes of this model have no density, so there is no KL and no active unit; "
            "measure its reconstructions (fidelity) instead"
        )
    training = model.training
    model.eval()
    try:
        read = posteriors(model, batches, seed)
    finally:
        model.train(training)
    return [_kl(read, split, seed), _units(read, split)]


def _kl(read: Posteriors, split: str, seed: int) -> Score:
    value, error = mean_error(read.kl)
    joined = (
        "Monte-Carlo, one sample per item; per dimension against the normal with the moments of all "
        "posteriors, as this prior joins the dimensions"
    )
    return Score(
        "kl",
        value,
        "nats",
        "neither",
        len(read.kl),
        split,
        seed=None if read.exact else seed,
        error=error,
        least=LEAST,
        parts=tuple(read.each.tolist()),
        note="" if read.exact else joined,
    )


def _units(read: Posteriors, split: str) -> Score:
    n, d = read.means.shape
    active = int((read.means.var(0) > THRESHOLD).sum()) if n > 1 else 0
    return Score(
        "active units",
        float(active),
        f"of {d}",
        "higher",
        n,
        split,
        floor=0.0,
        floor_name="collapsed posterior",
        least=LEAST,
        note=f"dimensions whose posterior mean varies by more than {THRESHOLD} (Burda et al. 2016)",
    )
