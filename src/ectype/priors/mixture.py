"""Learned mixtures of normals as priors: free ones, and posteriors at pseudo-inputs (VampPrior)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor, nn

from ectype.context import Context
from ectype.errors import UsageError
from ectype.hardware import exact
from ectype.likelihoods import Latent
from ectype.likelihoods.normal import NormalDistribution
from ectype.noise import Noise, normal, uniform
from ectype.priors import Posterior, Prior
from ectype.shapes import Grid, Joint, Shape, Tokens

LOG_2PI = math.log(2 * math.pi)
_FAR = 0.9  # size of a step from which on it is a draw anew


def choose(logits: Tensor, noise: Noise) -> Tensor:
    """One component per batch entry, (B, M) to (B,), by the Gumbel-max trick."""
    u = uniform(logits.shape, noise, logits.device).clamp(1e-20, 1 - 1e-7)
    return (logits - torch.log(-torch.log(u))).argmax(1)


class MixtureDistribution(Latent, ABC):
    """A mixture of normals; a latent is one site, so log_prob is (B,).

    Its numbers are the draw itself: which component it is of, they do not say.

    Arguments:
        logits: (B, M) weights before the softmax.
        means: (M, D).
    """

    joint = True

    def __init__(self, logits: Tensor, means: Tensor) -> None:
        self.log_w = torch.log_softmax(logits.float(), 1)
        self.means = means

    @abstractmethod
    def each(self, x: Tensor) -> Tensor:
        """log N(x; mu_m, Σ_m), (B, M)."""

    @abstractmethod
    def placed(self, e: Tensor, m: Tensor) -> Tensor:
        """Standard normal e (B, D) as draws of components m (B,)."""

    @abstractmethod
    def standard(self, x: Tensor, m: Tensor) -> Tensor:
        """Draws (B, D) of components m (B,) as what they are made of: the inverse of `placed`."""

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.logsumexp(self._together(x), 1)

    def _together(self, x: Tensor) -> Tensor:
        return self.log_w.repeat(len(x) // len(self.log_w), 1) + self.each(x)

    def numbers(self, noise: Noise = None) -> Tensor:
        m = choose(self.log_w, noise)
        return self.placed(normal((len(m), self.means.shape[1]), noise, self.means.device), m)

    def of_noise(self, e: Tensor) -> Tensor:
        return e

    def noise_of(self, x: Tensor) -> Tensor:
        return x

    def stepped(self, e: Tensor, size: Tensor, noise: Noise = None) -> Tensor:
        """A step within a component, which is drawn by its share in the density at e (a Gibbs step).

        The longest are draws that have nothing to do with e, or none would reach a component that lies apart.
        """
        m = choose(torch.log_softmax(self._together(e), 1), noise)
        near = self.placed(super().stepped(self.standard(e, m), size, noise), m)
        return torch.where(size > _FAR, self.numbers(noise), near)

    @property
    def mean(self) -> Tensor:
        return self.log_w.exp() @ self.means

    @property
    def mode(self) -> Tensor:
        return self.means[self.log_w.argmax(1)]


@final
class NormalMixture(MixtureDistribution):
    """Mixture of diagonal normals.

    Arguments:
        logits: (B, M) weights before the softmax.
        means, log_scales: (M, D).
    """

    def __init__(self, logits: Tensor, means: Tensor, log_scales: Tensor) -> None:
        super().__init__(logits, means.float())
        self.log_scales = log_scales.float()

    def each(self, x: Tensor) -> Tensor:
        # (x - m)^2 / s^2 opened up: matrix products instead of a (B, M, D) tensor. The large terms would
        # cancel to nothing in bf16, also in the backward pass, which runs outside of any block here: on
        # a CPU, where oneDNN may round the operands of single precision, the products are in double
        with exact(x.device):
            kept = torch.float64 if x.device.type == "cpu" else torch.float32
            y, means = x.to(kept), self.means.to(kept)
            precision = torch.exp(-2 * self.log_scales.to(kept))
            square = (y * y) @ precision.T - 2 * y @ (means * precision).T
            square = (square + (means**2 * precision).sum(1)).float()
            return -0.5 * square - self.log_scales.sum(1) - 0.5 * LOG_2PI * x.shape[1]

    def placed(self, e: Tensor, m: Tensor) -> Tensor:
        return self.means[m] + torch.exp(self.log_scales[m]) * e

    def standard(self, x: Tensor, m: Tensor) -> Tensor:
        return (x - self.means[m]) / torch.exp(self.log_scales[m])


def checked_count(components: int) -> int:
    """A number of components; raises UsageError where it is none."""
    if not 0 < components <= 1 << 16:
        raise UsageError(f"components is a number from 1 to 65536, not {components}")
    return components


@final
class Weights(nn.Module):
    """Learned log-weights of M components, moved by the condition where there is one."""

    def __init__(self, components: int, context: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(components))
        self.head = nn.Linear(context, components, bias=False) if context else None
        if self.head is not None:
            nn.init.zeros_(self.head.weight)

    def forward(self, n: int, context: Context | None) -> Tensor:
        """Logits (n, M)."""
        if self.head is not None and context is not None:
            with exact(context.vector.device):
                logits: Tensor = self.bias + self.head(context.vector.float())
                return logits
        return self.bias.expand(n, -1)


@final
class Mixture(Prior):
    """Learned mixture of M diagonal normals; with a condition, the weights depend on it.

        p(z | c) = sum_m w_m(c) N(z; mu_m, s_m)

    The optimal prior is the mean of all posteriors (Hoffman and Johnson 2016, "ELBO surgery", section
    2); this learns a short summary of it. It costs two matrix products, where a VampPrior runs the
    encoder on its pseudo-inputs at every step.

    Arguments:
        components: M.
    """

    def __init__(self, latent: int, shape: Shape, *, context: int = 0, components: int = 256) -> None:
        super().__init__(latent, shape, context=context)
        self.means = nn.Parameter(torch.randn(checked_count(components), latent))
        self.log_scales = nn.Parameter(torch.zeros(components, latent))
        self.weights = Weights(components, context)

    def forward(self, n: int, context: Context | None, posterior: Posterior) -> NormalMixture:
        return NormalMixture(self.weights(n, context), self.means, self.log_scales.clamp(-6, 4))


@final
class VampPrior(Prior):
    """Mixture of the posteriors at M learned pseudo-inputs; with a condition, weights depend on it.

        p(z | c) = sum_m w_m(c) q(z | u_m)

    Tomczak and Welling 2018, "VAE with a VampPrior", equation 9.

    Arguments:
        components: M, the pseudo-inputs.
    """

    def __init__(self, latent: int, shape: Shape, *, context: int = 0, components: int = 64) -> None:
        super().__init__(latent, shape, context=context)
        if isinstance(shape, Joint):
            raise UsageError(
                "a vamp prior needs pseudo-inputs of one kind, and these items have several: use flow"
            )
        form = (*shape.size, shape.vocabulary) if isinstance(shape, Tokens) else shape.form
        self.pseudo = nn.Parameter(torch.randn(checked_count(components), *form) * 0.1)
        self.weights = Weights(components, context)

    def inputs(self) -> Tensor:
        """The pseudo-inputs as items (M, *form): in [0, 1] on grids, soft one-hots for tokens."""
        if isinstance(self.shape, Tokens):
            return torch.softmax(self.pseudo, -1)
        return torch.sigmoid(self.pseudo) if isinstance(self.shape, Grid) else self.pseudo

    def begin(self, x: Tensor) -> None:
        pick = x[torch.arange(len(self.pseudo)) % len(x)]
        if isinstance(self.shape, Tokens):
            start = 4 * nn.functional.one_hot(pick.long(), self.shape.vocabulary).float()
        elif isinstance(self.shape, Grid):
            # the sigmoid of +-2 stays away from where its gradient dies
            start = torch.logit(0.1 + 0.8 * pick)
        else:
            start = pick
        self.pseudo.data.copy_(start + 0.1 * self.pseudo.data)

    def forward(self, n: int, context: Context | None, posterior: Posterior) -> NormalMixture:
        # pseudo-inputs belong to no condition: they are read under a context that says nothing
        blank = None if context is None else context.blank(len(self.pseudo))
        q = posterior(self.inputs(), blank)
        if not isinstance(q, NormalDistribution):
            raise TypeError("a VampPrior is a mixture of normal posteriors")
        return NormalMixture(self.weights(n, context), q.mean, q.log_scale)
