"""What the latent dimensions carry: KL per dimension, active units, mutual information.

    KL_d     mean over items of KL(q(z_d | x, c) || p(z_d | c)), nats: what dimension d tells about x;
             for a prior that joins the dimensions, p(z_d) is the normal with the moments of all
             posteriors, and KL_d bounds the information of dimension d about x from above
    active   Var_x(E_q[z_d | x]) > 0.01: dimension d answers to x at all
    I(x; z)  mean over items of log q(z | x, c) - log 1/N sum_n q(z | x_n, c_n), z ~ q(z | x, c), nats

The last is what of the KL is information, the rest is how far all posteriors together are from the prior:
Hoffman and Johnson 2016, "ELBO surgery: yet another way to carve up the variational evidence lower bound",
section 2. With N items it can be no larger than log N, and small values may come out below 0.

Active units are Burda, Grosse and Salakhutdinov 2016, "Importance weighted autoencoders", section
5.2. A posterior that ignores x has none: that is posterior collapse, and KL 0 is its floor.
"""

from __future__ import annotations

import math
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
_MOST = 10_000  # items whose posteriors are compared with each other: a second
_ROWS = 500


@dataclass(frozen=True)
class Posteriors:
    """What was read off the posteriors of N items.

    Arguments:
        means: (N, D) E_q[z | x, c].
        kl: (N,) nats per item; the closed form, or a one-sample Monte-Carlo estimate.
        each: (D,) mean nats per dimension.
        exact: whether `kl` is the closed form, and `each` its parts.
        z: (N, D) one draw from each posterior.
        log_scales: (N, D) of the posteriors; (0, D) where they are not normal.
    """

    means: Tensor
    kl: Tensor
    each: Tensor
    exact: bool
    z: Tensor
    log_scales: Tensor


@torch.no_grad()
def posteriors(model: Autoencoder, batches: Iterable[Batch], seed: int = 0) -> Posteriors:
    """Read the posteriors of all items once; raises DataError when there are none."""
    means, log_scales, kls, each, drawn = [], [], [], [], []
    start = 0
    for batch in batches:
        context = model.condition(batch)
        items = range(start, start + len(batch)) if batch.index is None else batch.index.tolist()
        q = model.posterior(batch.x, context, batch.seen)
        latents = model.draws(q, context, 1, PerItem(seed, items))
        means.append(q.mean.double().cpu())
        drawn.append(latents.z.double().cpu())
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
    mean = torch.cat(means)
    log_scale = torch.cat(log_scales) if log_scales else mean[:0]
    per = torch.cat(each) if each else _against_all(mean, log_scale)
    return Posteriors(mean, torch.cat(kls), per.mean(0), bool(each), torch.cat(drawn), log_scale)


def _against_all(mean: Tensor, log_scale: Tensor) -> Tensor:
    """KL of each posterior (N, D) against the normal with the moments of all of them, (N, D) nats."""
    variance = torch.exp(2 * log_scale).mean(0) + mean.var(0, unbiased=False)
    q, all_of_them = NormalDistribution(mean, log_scale), NormalDistribution(mean.mean(0), variance.log() / 2)
    return normal_kl(q, all_of_them)


def activity(
    model: Autoencoder, batches: Iterable[Batch], *, split: str = "test", seed: int = 0
) -> list[Score]:
    """KL (its parts are the dimensions', where there is a closed form), active units, mutual information.

    Raises UsageError for a model whose codes have no density, DataError when there are no items.

    Arguments:
        model: an autoencoder whose `infer` gives densities.
        batches: the items, in order.
        split: which part of the data they are.
        seed: of the noise, which the KL uses only where it has no closed form.
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
    return [_kl(read, split, seed), _units(read, split), *_information(read, split, seed)]


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


def _information(read: Posteriors, split: str, seed: int) -> list[Score]:
    n = min(len(read.log_scales), _MOST)
    if n < 2:
        return []
    value, error = mean_error(information(read.z[:n], read.means[:n], read.log_scales[:n]))
    note = f"I(x; z) by the aggregate posterior of these items, at most log N = {math.log(n):.2f}"
    none = "collapsed posterior"
    return [
        Score(
            "mutual information", value, "nats", "higher", n, split, seed, error, 0.0, none, LEAST, note=note
        )
    ]


def information(z: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    """log q(z_i | x_i) - log 1/N sum_n q(z_i | x_n), (N,), of a draw from each normal posterior, (N, D)."""
    precision = torch.exp(-2 * log_scales)
    constant = -0.5 * (means.square() * precision).sum(1) - log_scales.sum(1)
    rows = []
    for i, part in enumerate(z.split(_ROWS)):
        # log q(z_i | x_n) but for the normal's constant, which both have
        log_q = part @ (means * precision).T - 0.5 * part.square() @ precision.T + constant
        own = log_q[torch.arange(len(part)), i * _ROWS + torch.arange(len(part))]
        rows.append(own - torch.logsumexp(log_q, 1) + math.log(len(z)))
    return torch.cat(rows)
