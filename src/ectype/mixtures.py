"""Gaussian mixtures over latents: as distributions, and fitted to codes."""

from __future__ import annotations

import math
from typing import final

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from torch import Tensor

from ectype.likelihoods import Distribution
from ectype.noise import Noise, normal, uniform

_LOG_2PI = math.log(2 * math.pi)
_ENOUGH = 20_000  # codes used for a fit; more change the held-out likelihood in the third digit


def _choose(logits: Tensor, noise: Noise) -> Tensor:
    """One component per batch entry, (B, M) to (B,), by the Gumbel-max trick."""
    u = uniform(logits.shape, noise, logits.device).clamp(1e-20, 1 - 1e-7)
    return (logits - torch.log(-torch.log(u))).argmax(1)


@final
class NormalMixture(Distribution):
    """Mixture of diagonal normals; a latent is one site, so log_prob is (B,).

    Arguments:
        logits: (B, M) weights before the softmax.
        means, log_scales: (M, D).
    """

    def __init__(self, logits: Tensor, means: Tensor, log_scales: Tensor) -> None:
        self.log_w = torch.log_softmax(logits.float(), 1)
        self.means = means.float()
        self.log_scales = log_scales.float()

    def log_prob(self, x: Tensor) -> Tensor:
        # (x - m)^2 / s^2 opened up: three matrix products instead of a (B, M, D) tensor. In bf16 the
        # large terms would cancel to nothing, so autocast stays off.
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            precision = torch.exp(-2 * self.log_scales)
            square = (x * x) @ precision.T - 2 * x @ (self.means * precision).T
            square = square + (self.means**2 * precision).sum(1)
            size = self.log_scales.sum(1) + 0.5 * _LOG_2PI * x.shape[1]
            log_w = self.log_w.repeat(len(x) // len(self.log_w), 1)
            return torch.logsumexp(log_w - 0.5 * square - size, 1)

    def draw(self, noise: Noise = None) -> Tensor:
        m = _choose(self.log_w, noise)
        e = normal((len(m), self.means.shape[1]), noise, self.means.device)
        return self.means[m] + torch.exp(self.log_scales[m]) * e

    @property
    def mean(self) -> Tensor:
        return self.log_w.exp() @ self.means

    @property
    def mode(self) -> Tensor:
        return self.means[self.log_w.argmax(1)]


@final
class FullMixture(Distribution):
    """Mixture of normals with full covariances; a latent is one site, so log_prob is (B,).

    Arguments:
        logits: (B, M) weights before the softmax.
        means: (M, D).
        factors: (M, D, D) lower Cholesky factors L of the covariances L Lᵀ.
    """

    def __init__(self, logits: Tensor, means: Tensor, factors: Tensor) -> None:
        self.log_w = torch.log_softmax(logits.float(), 1)
        self.means = means
        self.factors = factors

    def log_prob(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            d = (x.float().unsqueeze(0) - self.means.unsqueeze(1)).transpose(1, 2)  # (M, D, B)
            e = torch.linalg.solve_triangular(self.factors, d, upper=False)
            size = self.factors.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * _LOG_2PI * x.shape[1]
            log_w = self.log_w.repeat(len(x) // len(self.log_w), 1)
            return torch.logsumexp(log_w - 0.5 * (e * e).sum(1).T - size, 1)

    def draw(self, noise: Noise = None) -> Tensor:
        m = _choose(self.log_w, noise)
        e = normal((len(m), self.means.shape[1]), noise, self.means.device)
        return self.means[m] + (self.factors[m] @ e.unsqueeze(2)).squeeze(2)

    @property
    def mean(self) -> Tensor:
        return self.log_w.exp() @ self.means

    @property
    def mode(self) -> Tensor:
        return self.means[self.log_w.argmax(1)]


def fit_mixture(
    codes: Tensor, held_out: Tensor, vectors: Tensor | None, most: int
) -> dict[str, Tensor]:
    """Fit a mixture to codes (N, D): means, Cholesky factors, weights, and weights by condition.

    Components: 1, 2, 4, … up to `most` while there are 5 codes or more for each; the count with the
    highest mean log-likelihood on `held_out` is kept (on the codes themselves when that is empty).
    With context `vectors` (N, C), the weights are a logistic regression of the component a code
    belongs to on its vector.
    """
    train = codes[:_ENOUGH].double().cpu().numpy()
    judge = held_out[:_ENOUGH].double().cpu().numpy() if len(held_out) else train
    floor = 1e-4 * float(train.var(0).mean()) + 1e-8
    best, best_score = None, -math.inf
    counts = [2**i for i in range(most.bit_length()) if 2**i <= most]
    for count in counts:
        if count > 1 and len(train) < 5 * count:
            break
        kind = "full" if len(train) >= 2 * count * train.shape[1] else "diag"
        fit = GaussianMixture(count, covariance_type=kind, reg_covar=floor, random_state=0, max_iter=50)
        score = float(_quiet_fit(fit, train).score(judge))
        if score > best_score:
            best, best_score = fit, score
    if best is None:
        raise ValueError("no codes to fit a mixture to")
    return _parameters(best, train, vectors, most)


def _quiet_fit(fit: GaussianMixture, train: np.ndarray) -> GaussianMixture:
    """Fit; stopping before convergence is judged by the held-out score, not by a warning."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit.fit(train)


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
        head = LogisticRegression(max_iter=500).fit(vectors[: len(train)].double().cpu().numpy(), owners)
        coef, bias = head.coef_, head.intercept_
        if len(head.classes_) == 2:  # sklearn keeps one row for two classes: log-odds of the second
            coef, bias = np.concatenate([-coef, coef]) / 2, np.concatenate([-bias, bias]) / 2
        out["bias"][:count] = -1e9
        out["bias"][head.classes_] = torch.from_numpy(bias).float()
        out["slope"][head.classes_] = torch.from_numpy(coef).float()
    return out
