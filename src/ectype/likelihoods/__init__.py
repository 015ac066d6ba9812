"""Decoder output → p(x | z, c): a decoder returns a distribution.

`log_prob(x)` gives **one value per site** in nats; a missing site is then a weight of zero and the
reduction happens in one place (`each`): the sum over an item's sites. Randomness is an argument of
`draw`. torch's own distributions take no generator and synchronise to validate, so these do not
build on them; the tests use them as oracles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ectype.noise import Noise
from ectype.noise import normal as standard_normal  # `normal` is a module here
from ectype.shapes import Shape


class Distribution(ABC):
    """A batch of distributions over items."""

    joint: bool = False
    """True for a density of the whole latent: log_prob takes (K·B, D), K-major, and gives (K·B,)."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), (B, *sites) in nats: one value per site."""

    def log_prob_of(self, x: Tensor, k: int) -> Tensor:
        """log p of the same items under K distributions each, K-major.

        x (B, *form) under a batch of K·B distributions to (K·B, *sites).
        """
        return self.log_prob(x if k == 1 else x.repeat(k, *(1 for _ in x.shape[1:])))

    @abstractmethod
    def draw(self, noise: Noise = None) -> Tensor:
        """One x per batch entry (B, *form), all randomness from `noise`."""

    def tempered(self, temperature: float = 1.0, nucleus: float = 1.0) -> Distribution:
        """The same where symbols are drawn with less or more courage; others stay as they are.

        Arguments:
            temperature: below 1 probable symbols become more so, above 1 less.
            nucleus: share of the probability that is drawn from, the most probable symbols first.

        Raises UsageError for numbers out of range.
        """
        return self

    def show(self, noise: Noise = None) -> Tensor:
        """What stands for it where one x is shown, (B, *form)."""
        return self.mean

    def emitted(self, noise: Noise = None) -> Tensor:
        """One x per batch entry for a critic to read, with a gradient: (B, *form), of choices one-hots."""
        return self.mean

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """E[x], (B, *form)."""

    @property
    @abstractmethod
    def mode(self) -> Tensor:
        """The most probable x where that has a closed form, else the mean: (B, *form)."""


class Latent(Distribution, ABC):
    """A distribution over latents z (B, D), each made of D numbers that can be moved a little."""

    @abstractmethod
    def numbers(self, noise: Noise = None) -> Tensor:
        """The numbers e (B, D) of a draw, N(0, 1) as a rule."""

    @abstractmethod
    def of_noise(self, e: Tensor) -> Tensor:
        """The draw (B, D) that numbers e (B, D) make."""

    @abstractmethod
    def noise_of(self, x: Tensor) -> Tensor:
        """The numbers (B, D) that a draw x (B, D) is made of; raises UsageError where that is not known."""

    def stepped(self, e: Tensor, size: Tensor, noise: Noise = None) -> Tensor:
        """Numbers a step away from e (B, D), sizes s (B, 1) in 0..1; their distribution stays what it is.

        e' = sqrt(1 - s²) e + s ξ for normal ones, whatever is made of them (Cotter, Roberts, Stuart and White
        2013, "MCMC methods for functions").
        """
        return torch.sqrt(1 - size**2) * e + size * standard_normal(e.shape, noise, e.device)

    def draw(self, noise: Noise = None) -> Tensor:
        return self.of_noise(self.numbers(noise))


class Choices(Distribution, ABC):
    """A distribution over labels or symbols, which have no mean: a draw is shown, the mode stands for it."""

    def show(self, noise: Noise = None) -> Tensor:
        return self.draw(noise)

    @property
    def mean(self) -> Tensor:
        return self.mode


class Likelihood(nn.Module, ABC):
    """Turns the numbers a decoder emits into a distribution over one kind of item.

    `discrete` says whether log_prob is a probability (bits/dim means something) or a density.
    `shown` says what its distributions `show`: the "mean" (images, numbers) or a "draw" (tokens).
    """

    discrete: bool
    several: bool = False
    """True where items of several parts are taken as they are; others are one part's."""
    density: bool = True
    """False where log_prob has no gradient, so that nothing can be fitted by it."""
    shown: str = "mean"
    numbers: tuple[int, ...]
    """The form of what the decoder has to emit for one item."""
    forms: tuple[tuple[int, ...], ...] = ()
    """The same for each part of an item of several, whose `numbers` are all of them in one row."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def begin(self, x: Tensor) -> None:
        """Start from some items of the training set x (N, *form), NaN where unseen; or do nothing.

        A decoder whose numbers mean the average item before it has learned anything need not find that
        first. It otherwise moves all its hidden units to do so, and tanh stays saturated there.
        """

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Decoder output (B, *numbers) to p(x | z, c). Computes in float32 whatever h is."""


def each(log_prob: Tensor, seen: Tensor | None = None) -> Tensor:
    """Sum of the sites of each item, (B, *sites) to (B,), nats; unseen sites weigh nothing."""
    if seen is not None:
        # where, not times: an unseen site may hold anything, and 0 * inf is not 0
        log_prob = torch.where(seen.bool(), log_prob, torch.zeros_like(log_prob))
    return log_prob.flatten(1).sum(1) if log_prob.dim() > 1 else log_prob
