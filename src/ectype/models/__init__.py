"""A model is its objective, with named players and stages; everything else is composed.

    loss(batch, player, noise) → Loss(total, each (B,), parts)     what a player has to make small
    decode(z, context)         → p(x | z, c)                       a distribution
    prior(n, context, …)       → p(z | c)                          a distribution
    infer(x, context, k)       → Latents                           for models that can read

Every class is abstract or final: a variant is an argument or a wrapper, never a subclass of a
concrete model. Models are plain modules: `vae.loss(Batch(x)).total.backward()` works in any loop.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ectype.context import Conditioner, Context
from ectype.data.batch import Batch
from ectype.errors import UsageError
from ectype.kinds import Kind
from ectype.likelihoods import Distribution, Latent, Likelihood, each
from ectype.models.latents import Latents as Latents
from ectype.models.latents import room
from ectype.noise import Noise
from ectype.priors import Prior
from ectype.shapes import Grid, Shape


@dataclass(frozen=True)
class Loss:
    """What one player has to make small.

    Arguments:
        each: (B,) nats per item, summed over its sites.
        weight: (B,) how much each item counts, or None.
        parts: named (B,) or scalar tensors to watch, detached.
    """

    each: Tensor
    weight: Tensor | None = None
    parts: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """The weighted mean over the batch, a scalar."""
        if self.weight is None:
            return self.each.mean()
        return (self.each * self.weight).sum() / self.weight.sum()


@dataclass(frozen=True)
class Stage:
    """A part of training.

    Arguments:
        name: what the record calls it.
        players: who moves, in order; empty: nobody, `settle` is called once with the data.
        share: of the total number of steps.
    """

    name: str
    players: tuple[str, ...]
    share: float = 1.0


class Model(nn.Module, ABC):
    """An objective with named players and stages."""

    coupled: bool = False
    """True when an item's loss depends on the others of its batch (no differential privacy then)."""

    bounded: bool = False
    """True when `infer` gives densities, so that a bound on log p(x) exists."""

    coded: bool = True
    """Whether an item has a latent; only what writes step by step can do without, and z is (B, 0) then."""

    exact: bool = False
    """True when the loss of an item is its exact negative log-likelihood."""

    adversarial: bool = False
    """True when a loss says nothing about quality, because it depends on how good the other player is."""

    needs: tuple[str, ...] = ("encoder", "decoder", "likelihood", "prior", "conditioner")
    """The parts `assembly` makes for the constructor, in its order."""

    default_prior: str
    """The prior that suits the family when the user names none (around another: that one's)."""

    remark: str = ""
    """What to know before training it on this data, in one line; or nothing."""

    usual: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """By network, the options of the parts that the family prefers when the user names none."""

    default_rate: float = 1e-3
    """Learning rate when the user names none."""

    rates: ClassVar[Mapping[str, float]] = {}
    """The same for networks that suit another one, by name; `assembly` sets it."""

    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's, for all players."""

    likelihood: Likelihood
    prior: Prior
    conditioner: Conditioner | None
    latent: int

    def __init__(self) -> None:
        super().__init__()
        self.spec: dict[str, Any] = {}
        """What `build` made it from; empty for a model that was put together by hand."""
        self.progress = 1.0
        """How much of training has passed, set by the loop; schedules such as warm-up read it."""
        self.anew = 0.0
        """How much had passed when it was last begun anew for a silent latent, set by the loop; 0: never."""
        self.begun = 0  # how often that was

    @property
    def warm_starts(self) -> bool:
        """Whether training can begin anew with a latent that is learned before its KL weighs anything."""
        return False

    @property
    def settled(self) -> bool:
        """Whether the rise of the rate and of what the loss weighs is over: losses can be compared then."""
        return self.progress >= 0.2

    @classmethod
    def suited(cls, kind: Kind) -> tuple[str, str]:
        """The network and the likelihood that suit it for a kind when the user names none."""
        return kind.network, kind.likelihood

    @classmethod
    def latent_for(cls, shape: Shape) -> int:
        """Latent numbers when the user names none, by the size of an item."""
        return room(shape.sites)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The parts of training, in order."""
        return (Stage("train", ("model",)),)

    @property
    def later(self) -> float:
        """Share of a run that is for the prior alone, when the model has been trained."""
        return 0.0

    def player(self, name: str) -> list[nn.Parameter]:
        """The parameters that player owns; players never share one."""
        if name != "model":
            raise KeyError(name)
        return [p for p in self.parameters() if p.requires_grad]

    def begin(self, items: int, some: Batch) -> None:
        """Start from the training set: how many items it has, and some of them."""
        self.prior.begin(some.x)
        self.likelihood.begin(some.known)

    def follow(self, player: str, loss: Loss, broken: Tensor) -> None:
        """State that moves after a player's step and has no gradient; `broken` is 1 where nothing moved."""

    def steadied(self, factor: float, augmentation: float) -> dict[str, Tensor]:
        """Buffers by name with which a game is calmer (heavier penalty, more augmentation); or none."""
        return {}

    def restrain(self) -> None:
        """Keep what could run away within bounds, after each step of a run begun anew; or nothing."""

    def condition(self, batch: Batch, noise: Noise = None) -> Context | None:
        """The context of a batch; None for a model without conditions."""
        return None if self.conditioner is None else self.conditioner.of(batch, noise)

    def guided(self, context: Context, null: Context, scale: float) -> Context:
        """The context whose distance from that in which nothing is given is `scale` times as large."""
        return context.guided(null, scale)

    @abstractmethod
    def loss(self, batch: Batch, player: str = "model", noise: Noise = None) -> Loss:
        """What `player` has to make small on this batch."""

    @abstractmethod
    def decode(self, z: Tensor, context: Context | None = None) -> Distribution:
        """p(x | z, c) for z (B, D)."""

    @abstractmethod
    def latents(self, n: int, context: Context | None = None) -> Latent:
        """p(z | c) for `n` items."""

    def reconstruction(self, p: Distribution, batch: Batch, k: int = 1) -> Tensor:
        """log p(x | z, c) of K samples per item, (K·B,) nats; unseen sites weigh nothing."""
        x, seen = batch.x, batch.seen
        if seen is not None:
            # whatever stands at an unseen site, NaN included: its gradient is 0 * NaN otherwise
            sites = seen.unsqueeze(1) if seen.dim() < x.dim() else seen
            x = torch.where(sites.bool(), x, torch.zeros_like(x))
            seen = seen.repeat(k, *(1 for _ in seen.shape[1:]))
        return each(p.log_prob_of(x, k), seen)

    def made(self, batch: Batch, noise: Noise = None) -> Tensor:
        """New items (B, *form) under the batch's conditions, as they are shown."""
        context = self.condition(batch, noise)
        return self.decode(self.latents(len(batch), context).draw(noise), context).show(noise)

    def settle(self, train: Iterable[Batch], select: Iterable[Batch]) -> None:
        """What is computed from the data in one pass, such as a fitted prior; by default nothing."""


class Autoencoder(Model, ABC):
    """A model that can read: encoder, decoder with its likelihood, prior, conditions.

    Arguments:
        encoder: (x, context, seen) → (B, numbers per latent · latent).
        decoder: (z, context) → (B, *likelihood.numbers).
        likelihood: what the decoder's numbers mean.
        prior: p(z | c).
        conditioner: conditions to a Context, or None.
    """

    per_latent: int
    """How many numbers the encoder emits per latent dimension."""

    @classmethod
    def latent_for(cls, shape: Shape) -> int:
        """As any model's, but fewer of a picture, from its places: a code has to tell each of them."""
        return room(math.prod(shape.size), picture=True) if isinstance(shape, Grid) else room(shape.sites)

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        prior: Prior,
        conditioner: Conditioner | None = None,
    ) -> None:
        super().__init__()
        if not likelihood.density:
            raise UsageError(
                f"an autoencoder is fitted by a density, and {type(likelihood).__name__.lower()} has none: "
                "use normal or laplace, for tokens categorical"
            )
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior = prior
        self.conditioner = conditioner
        self.latent = prior.latent

    @property
    def stages(self) -> tuple[Stage, ...]:
        train = Stage("train", ("model",))
        return (train, Stage("density", ())) if self.prior.after_training else (train,)

    @property
    def later(self) -> float:
        return self.prior.share

    @abstractmethod
    def posterior(
        self, x: Tensor, context: Context | None = None, seen: Tensor | None = None
    ) -> Distribution:
        """q(z | x, c) for x (B, *form)."""

    @abstractmethod
    def draws(self, q: Distribution, context: Context | None, k: int, noise: Noise) -> Latents:
        """K samples per item from a posterior that is already known, so it is encoded once."""

    def infer(
        self,
        x: Tensor,
        context: Context | None = None,
        k: int = 1,
        *,
        noise: Noise = None,
        seen: Tensor | None = None,
    ) -> Latents:
        """K samples of z for each x (B, *form)."""
        return self.draws(self.posterior(x, context, seen), context, k, noise)

    def decode(self, z: Tensor, context: Context | None = None) -> Distribution:
        p: Distribution = self.likelihood(self.decoder(z, context))
        return p

    def latents(self, n: int, context: Context | None = None) -> Latent:
        p: Latent = self.prior(n, context, self.posterior)
        return p

    def settle(self, train: Iterable[Batch], select: Iterable[Batch]) -> None:
        """Fit the prior to draws of q(z | x, c) where it is one that is fitted."""
        if self.prior.after_training:
            from ectype.models.settling import fit_prior

            fit_prior(self, train, select)
