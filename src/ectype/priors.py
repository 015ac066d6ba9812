"""What the latent is drawn from: p(z | c).

    normal   N(0, 1), or with a condition N(m(c), s(c)): a learned conditional prior
    vamp     a mixture of posteriors at learned pseudo-inputs
    fitted   N(0, 1) while training, then a Gaussian mixture fitted to the codes, so that a plain
             autoencoder generates too

A prior is called with the context and the model's posterior (only the VampPrior asks it anything)
and returns a distribution over z (B, D).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from ectype.context import Context
from ectype.likelihoods import Distribution
from ectype.likelihoods.normal import NormalDistribution
from ectype.mixtures import FullMixture, NormalMixture, fit_mixture
from ectype.shapes import Grid, Shape, Tokens

Posterior = Callable[[Tensor, Context | None], Distribution]


class Prior(nn.Module, ABC):
    """p(z | c) over z (B, D).

    Arguments:
        latent: D.
        shape: the form of the data, for priors made of pseudo-inputs.
        context: width C of the condition vector, 0 for none.
    """

    after_training: bool = False
    """True when `fit` has to be called with the codes of the training data."""

    def __init__(self, latent: int, shape: Shape, *, context: int = 0) -> None:
        super().__init__()
        self.latent = latent
        self.shape = shape
        self.context = context

    @abstractmethod
    def forward(self, n: int, context: Context | None, posterior: Posterior) -> Distribution:
        """The distribution of `n` latents under the context (B = n)."""

    def begin(self, x: Tensor) -> None:
        """Start from real items x (N, *form) where the prior has a use for them."""

    def fit(self, codes: Tensor, held_out: Tensor, vectors: Tensor | None) -> None:
        """Fit to codes (N, D) and, when conditioned, the context vectors (N, C) they belong to."""
        raise NotImplementedError


@final
class StandardNormal(Prior):
    """N(0, 1); with a condition N(m(c), s(c)), which starts at N(0, 1) and learns."""

    def __init__(self, latent: int, shape: Shape, *, context: int = 0) -> None:
        super().__init__(latent, shape, context=context)
        self.head = nn.Linear(context, 2 * latent) if context else None
        if self.head is not None:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)
        self.register_buffer("zero", torch.zeros(1), persistent=False)

    def forward(self, n: int, context: Context | None, posterior: Posterior) -> NormalDistribution:
        if self.head is not None and context is not None:
            mean, log_scale = self.head(context.vector).float().chunk(2, 1)
            return NormalDistribution(mean, log_scale.clamp(-5, 3))
        zero = self.get_buffer("zero").expand(n, self.latent)
        return NormalDistribution(zero, zero)


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
        form = (*shape.size, shape.vocabulary) if isinstance(shape, Tokens) else shape.form
        self.pseudo = nn.Parameter(torch.randn(components, *form) * 0.1)
        self.weights = nn.Parameter(torch.zeros(components))
        self.head = nn.Linear(context, components) if context else None
        if self.head is not None:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

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
        logits = self.weights
        if self.head is not None and context is not None:
            logits = logits + self.head(context.vector).float()
        return NormalMixture(logits.expand(n, -1), q.mean, q.log_scale)


@final
class Fitted(Prior):
    """N(0, 1) while training; afterwards a Gaussian mixture fitted to the codes of the data.

    The number of components is the one whose held-out log-likelihood is highest. With a condition
    the components' weights depend on it. Ghosh, Sajjadi, Vergari, Black and Schölkopf 2020, "From
    variational to deterministic autoencoders", section 4 ("ex-post density estimation").

    Arguments:
        components: the largest number of components tried.
    """

    after_training = True

    def __init__(self, latent: int, shape: Shape, *, context: int = 0, components: int = 32) -> None:
        super().__init__(latent, shape, context=context)
        self.components = components
        self.register_buffer("ready", torch.zeros(1))
        self.register_buffer("means", torch.zeros(components, latent))
        self.register_buffer("factors", torch.eye(latent).repeat(components, 1, 1))
        self.register_buffer("bias", torch.zeros(components))
        self.register_buffer("slope", torch.zeros(components, context))

    def forward(self, n: int, context: Context | None, posterior: Posterior) -> Distribution:
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
