"""What the latent is drawn from: p(z | c).

    normal   N(0, 1), or with a condition N(m(c), s(c)): a learned conditional prior
    mixture  a learned mixture of normals
    vamp     a mixture of posteriors at learned pseudo-inputs
    flow     N(0, 1), or a learned mixture of normals, bent by learned invertible layers
    fitted   N(0, 1) while training, then a Gaussian mixture fitted to the codes, so that a plain
             autoencoder generates too
    gan      N(0, 1) while training, then a generator of codes with its own critic (a latent GAN)

A prior is called with the context and the model's posterior (only the VampPrior asks it anything)
and returns a distribution over z (B, D).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from ectype.context import Context
from ectype.likelihoods import Distribution, Latent
from ectype.shapes import Shape

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

    share: float = 0.0
    """Of a run: how much of it, at the end, is for the prior alone, when the codes are known."""

    dense: bool = True
    """False where it can be drawn from and has no density."""

    least: int = 1
    """The smallest latent it can model."""

    def __init__(self, latent: int, shape: Shape, *, context: int = 0) -> None:
        super().__init__()
        self.latent = latent
        self.shape = shape
        self.context = context

    @abstractmethod
    def forward(self, n: int, context: Context | None, posterior: Posterior) -> Latent:
        """The distribution of `n` latents under the context (B = n)."""

    def against(self, n: int, context: Context | None, posterior: Posterior) -> Latent:
        """What the codes of `n` items are weighed by in a loss: the prior itself where it has a density."""
        p: Latent = self(n, context, posterior)
        return p

    def begin(self, x: Tensor) -> None:
        """Start from real items x (N, *form) where the prior has a use for them."""

    def fit(self, codes: Tensor, held_out: Tensor, vectors: Tensor | None) -> None:
        """Fit to codes (N, D) and, when conditioned, the context vectors (N, C) they belong to."""
        raise NotImplementedError
