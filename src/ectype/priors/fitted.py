"""A Gaussian mixture fitted to the codes after training: how a plain autoencoder generates."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from torch import Tensor

from ectype.context import Context
from ectype.errors import DataError
from ectype.hardware import exact
from ectype.likelihoods import Latent
from ectype.likelihoods.normal import NormalDistribution
from ectype.priors import Posterior, Prior
from ectype.priors.mixture import LOG_2PI, MixtureDistribution, checked_count
from ectype.shapes import Shape

_FREE = 100.0
"""How little coefficients are held short, sklearn's C."""
_ENOUGH = 20_000  # codes used for a fit; more change the held-out likelihood in the third digit


@final
class FullMixture(MixtureDistribution):
    """Mixture of normals with full covariances.

    Arguments:
        logits: (B, M) weights before the softmax.
        means: (M, D).
        factors: (M, D, D) lower Cholesky factors L of the covariances L Lᵀ.
    """

    def __init__(self, logits: Tensor, means: Tensor, factors: Tensor) -> None:
        super().__init__(logits, means)
        self.factors = factors

    def each(self, x: Tensor) -> Tensor:
        with exact(x.device):
            d = (x.float().unsqueeze(0) - self.means.unsqueeze(1)).transpose(1, 2)  # (M, D, B)
            e = torch.linalg.solve_triangular(self.factors, d, upper=False)
            size = self.factors.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * LOG_2PI * x.shape[1]
            return -0.5 * (e * e).sum(1).T - size

    def placed(self, e: Tensor, m: Tensor) -> Tensor:
        return self.means[m] + (self.factors[m] @ e.unsqueeze(2)).squeeze(2)

    def standard(self, x: Tensor, m: Tensor) -> Tensor:
        d = (x - self.means[m]).unsqueeze(2)
        return torch.linalg.solve_triangular(self.factors[m], d, upper=False).squeeze(2)


@final
class Fitted(Prior):
    """N(0, 1) while training; afterwards a Gaussian mixture fitted to the codes of the data.

    The number of components is the one whose held-out log-likelihood is highest. With a condition
    the components' weights depend on it. Ghosh, Sajjadi, Vergari, Black and Schölkopf 2020, "From
    variational to deterministic autoencoders", section 4 ("ex-post density estimation").

    Arguments:
        components: normals of the mixture, or pseudo-inputs; default: of fitted 32, the most that are tried,
            of flow 1, which is N(0, 1), or of items of several parts 64, of mixture 256, of vamp 64.
    """

    after_training = True

    def __init__(self, latent: int, shape: Shape, *, context: int = 0, components: int = 32) -> None:
        super().__init__(latent, shape, context=context)
        self.components = checked_count(components)
        self.register_buffer("ready", torch.zeros(1))
        self.register_buffer("means", torch.zeros(components, latent))
        self.register_buffer("factors", torch.eye(latent).repeat(components, 1, 1))
        self.register_buffer("bias", torch.zeros(components))
        self.register_buffer("slope", torch.zeros(components, context))

    def forward(self, n: int, context: Context | None, posterior: Posterior) -> Latent:
        means = self.get_buffer("means")
        if not self.get_buffer("ready").item():
            zero = means.new_zeros(n, self.latent)
            return NormalDistribution(zero, zero)
        logits = self.get_buffer("bias").expand(n, -1)
        if context is not None:
            logits = logits + context.vector.float() @ self.get_buffer("slope").T
        return FullMixture(logits, means, self.get_buffer("factors"))

    def fit(self, codes: Tensor, held_out: Tensor, vectors: Tensor | None) -> None:
        for name, value in fit_mixture(codes, held_out, vectors, self.components).items():
            self.get_buffer(name).copy_(value)
        self.get_buffer("ready").fill_(1)


def fit_mixture(codes: Tensor, held_out: Tensor, vectors: Tensor | None, most: int) -> dict[str, Tensor]:
    """Fit a mixture to codes (N, D): means, Cholesky factors, weights, and weights by condition.

    Components: 1, 2, 4, … up to `most` while there are 5 codes or more for each; the count with the
    highest mean log-likelihood on `held_out` is kept (on the codes themselves when that is empty).
    With context `vectors` (N, C), the weights are a logistic regression of the component a code
    belongs to on its vector.
    """
    train = codes[:_ENOUGH].double().cpu().numpy()
    if not len(train):
        raise DataError("no codes to fit a mixture to")
    if len(train) == 1:  # sklearn refuses one
        train = np.repeat(train, 2, 0)
    judge = held_out[:_ENOUGH].double().cpu().numpy() if len(held_out) else train
    floor = 1e-4 * float(train.var(0).mean()) + 1e-8
    best, best_score = None, -math.inf
    counts = [2**i for i in range(most.bit_length()) if 2**i <= most]
    for count in counts:
        if count > 1 and len(train) < 5 * count:
            break
        kind = "full" if len(train) >= 2 * count * train.shape[1] else "diag"
        fit = GaussianMixture(count, covariance_type=kind, reg_covar=floor, random_state=0, max_iter=50)
        with _quiet():
            score = float(fit.fit(train).score(judge))
        if score > best_score:
            best, best_score = fit, score
    if best is None:
        raise DataError("the codes have no finite likelihood under any mixture: did the training diverge?")
    return _parameters(best, train, vectors, most)


@contextmanager
def _quiet() -> Iterator[None]:
    """Stopping before convergence is judged by the held-out score, not by a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _parameters(
    fit: GaussianMixture, train: np.ndarray, vectors: Tensor | None, most: int
) -> dict[str, Tensor]:
    """sklearn's mixture as tensors padded to `most` components; unused ones have no weight."""
    count, size = fit.means_.shape
    full = fit.covariances_ if fit.covariance_type == "full" else [np.diag(v) for v in fit.covariances_]
    out = {
        "means": torch.zeros(most, size),
        "factors": torch.eye(size).repeat(most, 1, 1),
        "bias": torch.full((most,), -1e9),
        "slope": torch.zeros(most, 0 if vectors is None else vectors.shape[1]),
    }
    out["means"][:count] = torch.from_numpy(fit.means_)
    out["factors"][:count] = torch.from_numpy(np.linalg.cholesky(np.stack(full)))
    out["bias"][:count] = torch.from_numpy(np.log(fit.weights_ + 1e-12))
    owners = fit.predict(train)
    if vectors is not None and len(set(owners)) > 1:
        known = vectors[: len(train)].double().cpu().numpy()
        # in deviations, or sklearn's penalty of long coefficients would even out the weights of short vectors
        scale = float(known.std(0).max()) or 1.0
        with _quiet():
            head = LogisticRegression(C=_FREE, max_iter=500).fit(known / scale, owners)
        coef, bias = head.coef_ / scale, head.intercept_
        if len(head.classes_) == 2:  # sklearn keeps one row for two classes: log-odds of the second
            coef, bias = np.concatenate([-coef, coef]) / 2, np.concatenate([-bias, bias]) / 2
        out["bias"][:count] = -1e9
        out["bias"][head.classes_] = torch.from_numpy(bias).float()
        out["slope"][head.classes_] = torch.from_numpy(coef).float()
    return out
